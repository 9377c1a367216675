"""Client of lookalike, the vector-search database with the CLIP model inside.

from lookalike_client import Client

client = Client("http://localhost:6333")
client.import_folder("photos", "~/Pictures")
client.search("photos", "a red bicycle")
"""

from ._async import AsyncClient, PointId
from ._errors import (
    ApiError,
    Busy,
    Conflict,
    InvalidRequest,
    LookalikeError,
    NotFound,
    Unauthorized,
    Unreachable,
)
from ._models import CalibrationOut as Calibration
from ._models import CandidateOut as Candidate
from ._models import CollectionOut as Collection
from ._models import DecisionOut as Decision
from ._models import DuplicateGroupOut as DuplicateGroup
from ._models import EnrolOut as Enrolment
from ._models import FacetHit, ImageLine
from ._models import IdentifyOut as Identification
from ._models import ModelOut as Model
from ._models import RecordOut as Record
from ._models import ScoredPointOut as Hit
from ._models import SubjectCountOut as SubjectCount
from ._models import SubjectOut as Subject
from ._models import TaskOut as Task
from ._models import VerifyOut as Verification
from ._models import WhiteningOut as Whitening
from ._pictures import Picture, content_id
from ._results import ImportReport, SearchResult
from ._sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Busy",
    "Calibration",
    "Candidate",
    "Client",
    "Collection",
    "Conflict",
    "Decision",
    "DuplicateGroup",
    "Enrolment",
    "FacetHit",
    "Hit",
    "Identification",
    "ImageLine",
    "ImportReport",
    "InvalidRequest",
    "LookalikeError",
    "Model",
    "NotFound",
    "Picture",
    "PointId",
    "Record",
    "SearchResult",
    "Subject",
    "SubjectCount",
    "Task",
    "Unauthorized",
    "Unreachable",
    "Verification",
    "Whitening",
    "content_id",
]
