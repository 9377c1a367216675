"""Made from the OpenAPI document by `scripts/generate.py`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, Field


class CandidateOut(BaseModel):
    """
    A subject and the probe's score against it.
    """

    score: float
    subject: str


class CollectionOut(BaseModel):
    """
    A collection, as Qdrant describes one.
    """

    config: Annotated[dict[str, Any], Field(description="Vectors, graph parameters, metadata.")]
    disk_bytes: Annotated[int, Field(ge=0)]
    indexed_vectors_count: Annotated[int, Field(description="Vectors that a graph covers.", ge=0)]
    payload_schema: Annotated[
        dict[str, Any],
        Field(description="Payload indexes by field: `{data_type, points, params?}`."),
    ]
    points_count: Annotated[int, Field(ge=0)]
    segments_count: Annotated[int, Field(ge=0)]
    status: Annotated[
        str,
        Field(description="`green`; `yellow` while a graph is being built; `red` when it is read-only."),
    ]
    vectors_count: Annotated[int, Field(ge=0)]


class DecisionOut(str, Enum):
    """
    `accept`, `reject`, or `review` where a person must look.
    """

    accept = "accept"
    reject = "reject"
    review = "review"


class FacetHit(BaseModel):
    """
    A value and the number of points that have it.
    """

    count: Annotated[int, Field(ge=0)]
    value: Any


class FailedItem(BaseModel):
    """
    An item that was left out.
    """

    error: str
    id: int | str
    index: Annotated[int, Field(description="Its place in the request.", ge=0)]


class ImageLine(BaseModel):
    """
    One line of the answer to an upload of pictures.
    """

    error: Annotated[str | None, Field(description="Why it was refused.")] = None
    file: Annotated[str | None, Field(description="Its name.")] = None
    id: int | str | None = None
    index: Annotated[int, Field(description="Place of the file in the upload.", ge=0)]
    status: Annotated[str, Field(description="`ok` or `error`.")]


class IntervalOut(BaseModel):
    """
    A range of 95 %.
    """

    high: float
    low: float


class ItemFailureOut(BaseModel):
    """
    An item of an import that failed.
    """

    error: Annotated[str, Field(description="Why.")]
    id: int | str | None = None
    index: Annotated[int, Field(description="Its place among the items, from 0.", ge=0)]


class ModelOut(BaseModel):
    """
    A model.
    """

    default: Annotated[bool, Field(description="Whether it is the one of vectors that name none.")]
    device: str | None = None
    dimension: Annotated[int, Field(ge=0)]
    loaded: Annotated[bool, Field(description="Whether it is in memory.")]
    modalities: Annotated[
        list[str] | None,
        Field(
            description="`text` and `image`, or `image` alone; absent where it was not loaded yet, as `device` and `precision` are."
        ),
    ] = None
    name: str
    precision: str | None = None
    weight_mib: Annotated[int, Field(description="MiB of its weights.", ge=0)]


class PlattOut(BaseModel):
    """
    Scores to probabilities.
    """

    offset: float
    slope: float


class ProbabilityOut(BaseModel):
    """
    The probability that a probe with this score is genuine, where the share `prior` of all is.
    """

    genuine: float
    prior: float


class QualityOut(BaseModel):
    """
    Facts of a picture's ink.
    """

    contrast: float
    height: Annotated[int, Field(ge=0)]
    ink_share: float
    width: Annotated[int, Field(ge=0)]


class RatePointOut(BaseModel):
    """
    A point of the DET curve.
    """

    far: float
    frr: float
    threshold: float


class RecordOut(BaseModel):
    """
    A point as it was read.
    """

    id: int | str
    order_value: Annotated[
        Any | None,
        Field(
            description="Where it stands in the order that was asked for; microseconds since 1970 of a datetime."
        ),
    ] = None
    payload: dict[str, Any] | None = None
    vector: Any | None = None


class ReferenceOut(BaseModel):
    """
    A reference.
    """

    id: int | str
    sha256: str | None = None


class ScoredPointOut(BaseModel):
    """
    A hit.
    """

    id: int | str
    order_value: Annotated[
        float | None,
        Field(description="The same, under a name that the official clients read."),
    ] = None
    payload: dict[str, Any] | None = None
    relevance: Annotated[
        float | None,
        Field(
            description="The probability from 0 to 1 that it is a right answer, where it was asked for and can be known."
        ),
    ] = None
    score: Annotated[
        float,
        Field(description="Similarity (larger is nearer) or distance (smaller is nearer)."),
    ]
    vector: Any | None = None
    version: Annotated[
        int,
        Field(
            description="Sequence number of the write that made the point as it is.",
            ge=0,
        ),
    ]


class SearchesOut(BaseModel):
    """
    The searches that identification rests on.
    """

    searches: Annotated[int, Field(ge=0)]
    subjects: Annotated[int, Field(ge=0)]


class SubjectCountOut(BaseModel):
    """
    A subject in a list.
    """

    forgeries: Annotated[int, Field(ge=0)]
    references: Annotated[int, Field(ge=0)]
    subject: str


class SubjectOut(BaseModel):
    """
    A subject.
    """

    forgeries: Annotated[int, Field(ge=0)]
    references: list[ReferenceOut]
    subject: str


class TaskOut(BaseModel):
    """
    A task as it is at the moment.
    """

    collection: Annotated[str | None, Field(description="The collection; none where it is all of them.")] = (
        None
    )
    created: Annotated[str, Field(description="When it was asked for, RFC 3339, UTC.")]
    done: Annotated[int, Field(description="Items that are done, well or not.", ge=0)]
    error: Annotated[str | None, Field(description="Why it `failed`.")] = None
    error_status: Annotated[
        int | None,
        Field(
            description="The status that the call would have been answered with, once it `failed`.",
            ge=0,
        ),
    ] = None
    eta: Annotated[float | None, Field(description="Seconds that the rest will take at this rate.")] = None
    failed: Annotated[int, Field(description="Items among them that failed.", ge=0)]
    failures: Annotated[list[ItemFailureOut], Field(description="The first 1,000 items that failed.")]
    finished: Annotated[str | None, Field(description="When it was over.")] = None
    id: Annotated[str, Field(description="A UUID.")]
    kind: Annotated[
        str,
        Field(description="`import`, `adapt`, `calibrate`, `whiten`, `snapshot` or `recover`."),
    ]
    rate: Annotated[float | None, Field(description="Items a second since it started.")] = None
    result: Annotated[
        Any | None,
        Field(description="What the call would have answered; once it is `done`."),
    ] = None
    started: Annotated[str | None, Field(description="When its turn came.")] = None
    state: Annotated[
        str,
        Field(description="`queued`, `running`, `cancelling`, and then `done`, `failed` or `cancelled`."),
    ]
    total: Annotated[int | None, Field(description="Items, where they are counted.", ge=0)] = None


class TasksOut(BaseModel):
    """
    All tasks that are known.
    """

    tasks: Annotated[list[TaskOut], Field(description="Newest first.")]


class ThresholdOut(BaseModel):
    """
    Accept from, reject below.
    """

    accept: float
    reject: float


class UpdatedOut(BaseModel):
    """
    A change that is done.
    """

    failed: Annotated[
        list[FailedItem] | None,
        Field(description="With `X-Lookalike-Partial: true`: items that could not be embedded."),
    ] = None
    operation_id: Annotated[int, Field(description="Sequence number of the write.", ge=0)]
    status: Annotated[str, Field(description="Always `completed`.")]


class UsedCalibrationOut(BaseModel):
    """
    The calibration that was used.
    """

    against: Annotated[str, Field(description="`random` or `skilled`.")]
    age_secs: int
    id: str
    version: Annotated[int, Field(ge=0)]


class UsedReferenceOut(BaseModel):
    """
    A reference that was compared with.
    """

    id: int | str
    similarity: float


class WhiteningOut(BaseModel):
    """
    A whitening.
    """

    cohort: Annotated[
        list[str],
        Field(description="Names of the subjects it was fitted on, where they are of this collection."),
    ]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    id: str
    origin: Annotated[str, Field(description="`default` or `fitted`.")]
    subjects: Annotated[int, Field(ge=0)]


class WhyOut(BaseModel):
    """
    A reason, as a word and as a sentence.
    """

    reason: str
    text: str


class DuplicateGroupOut(BaseModel):
    """
    Points that are the same as the first of them.
    """

    hits: Annotated[
        list[ScoredPointOut],
        Field(description="The representative, then the others by their score to it, best first."),
    ]
    id: Annotated[Any | None, Field(description="Id of the representative: the smallest.")] = None
    size: Annotated[
        int,
        Field(
            description="Points of the group; more than `hits` holds where they are more than 10,000.",
            ge=0,
        ),
    ]


class EnrolledOut(BaseModel):
    """
    What became of one picture.
    """

    error: str | None = None
    id: int | str | None = None
    quality: QualityOut | None = None
    sample: str
    status: Annotated[str, Field(description="`enrolled` or `refused`.")]


class EstimateOut(BaseModel):
    """
    A figure with its interval over subjects drawn again.
    """

    interval: IntervalOut
    value: float


class IdentifyOut(BaseModel):
    """
    Whose signature is this?
    """

    audit: Annotated[int | None, Field(ge=0)] = None
    calibration: UsedCalibrationOut | None = None
    candidates: Annotated[list[CandidateOut], Field(description="The best first.")]
    decision: DecisionOut
    note: str
    quality: QualityOut | None = None
    reasons: list[WhyOut]
    replay: bool
    search_far: Annotated[
        float | None,
        Field(description="The share of searches with a stranger's signature that name somebody."),
    ] = None
    searched: Annotated[int, Field(ge=0)]
    subject: Annotated[str | None, Field(description="Null where it is nobody's.")] = None
    threshold: ThresholdOut | None = None
    warnings: list[str]


class OperatingPointOut(BaseModel):
    """
    A threshold for a chosen FAR.
    """

    coarse: Annotated[
        bool,
        Field(
            description="Fewer than 30 false accepts are expected: the true FAR may be off by more than 30 %."
        ),
    ]
    far: EstimateOut
    frr: EstimateOut
    target_far: float
    threshold: float
    threshold_interval: IntervalOut


class SkilledOut(BaseModel):
    """
    What labelled forgeries show at the thresholds.
    """

    eer: EstimateOut
    far: list[float]
    forgeries: Annotated[int, Field(ge=0)]
    subjects: Annotated[int, Field(ge=0)]


class VerifyOut(BaseModel):
    """
    Is this the subject's signature?
    """

    audit: Annotated[
        int | None,
        Field(description="Its number in the audit log, where there is one.", ge=0),
    ] = None
    calibration: UsedCalibrationOut | None = None
    decision: DecisionOut
    far: EstimateOut | None = None
    frr: EstimateOut | None = None
    nearest_impostor: CandidateOut | None = None
    p_value: Annotated[
        float | None,
        Field(description="The share of genuine probes of the calibration that score no higher."),
    ] = None
    probability: ProbabilityOut | None = None
    quality: QualityOut | None = None
    reasons: Annotated[list[WhyOut], Field(description="The first decided.")]
    references: list[UsedReferenceOut]
    replay: Annotated[bool, Field(description="The probe is a copy of a reference.")]
    score: Annotated[float | None, Field(description="Null where the probe cannot be judged.")] = None
    subject: str
    threshold: ThresholdOut | None = None
    warnings: list[str]
    whitening: str


class CalibrationOut(BaseModel):
    """
    A calibration; `det`, `platt` and `eer_threshold` only where one is asked for by its id.
    """

    against: Annotated[str, Field(description="`random` or `skilled`.")]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    current: Annotated[bool, Field(description="It is in use.")]
    det: list[RatePointOut] | None = None
    eer: EstimateOut
    eer_threshold: float | None = None
    enrolled: Annotated[int, Field(ge=0)]
    genuine: Annotated[int, Field(ge=0)]
    id: str
    identification: SearchesOut | None = None
    impostors: Annotated[int, Field(ge=0)]
    outgrown: Annotated[bool, Field(description="The collection has grown by half since.")]
    platt: PlattOut | None = None
    points: list[OperatingPointOut]
    recipe: str
    seed: Annotated[int, Field(ge=0)]
    skilled: SkilledOut | None = None
    stale: Annotated[str | None, Field(description="Why it should be made anew.")] = None
    subjects: Annotated[int, Field(ge=0)]
    version: Annotated[int, Field(ge=0)]
    whitening: str


class EnrolOut(BaseModel):
    """
    What an enrolment did.
    """

    advice: Annotated[str | None, Field(description="What should still be done.")] = None
    items: list[EnrolledOut]
    references: Annotated[int, Field(description="References that the subject has now.", ge=0)]
    subject: str
