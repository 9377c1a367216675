"""The client. Made from `_async.py` by `scripts/generate.py`: change it there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from ._errors import Unreachable, error_of
from ._models import (
    CalibrationOut,
    CollectionOut,
    DuplicateGroupOut,
    EnrolOut,
    FacetHit,
    IdentifyOut,
    ImageLine,
    ModelOut,
    RecordOut,
    ScoredPointOut,
    SubjectCountOut,
    SubjectOut,
    TaskOut,
    TasksOut,
    UpdatedOut,
    VerifyOut,
    WhiteningOut,
)
from ._pictures import Picture, Progress, below, chunks, content_id, encoded, load, plain_filter
from ._results import ImportReport, SearchResult

PointId = int | str
"""An unsigned number, or a UUID."""

BATCH = 32
"""Pictures of one upload."""
BATCH_BYTES = 32 * 1024 * 1024
"""Bytes after which an upload is full, whatever its pictures."""
LONGEST_WAIT = 30.0
"""Longest wait between two tries of a busy server, seconds."""

M = TypeVar("M", bound=BaseModel)


class Client:
    """A client of one server.

    Args:
        url: the server's address.
        api_key: its key, where it wants one; `LOOKALIKE_API_KEY` if absent.
        timeout: seconds that a call may take.
        patience: seconds that a busy server (429) is waited for, in one call.
        http: a client of httpx to use, with its own address, headers and time-outs.
    """

    def __init__(
        self,
        url: str = "http://localhost:6333",
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        patience: float = 300.0,
        http: httpx.Client | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._key = api_key if api_key is not None else os.environ.get("LOOKALIKE_API_KEY")
        self._patience = patience
        headers = {"api-key": self._key} if self._key else {}
        self._http = http or httpx.Client(timeout=timeout)
        self._http.headers.update(headers)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- calls ---

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        files: Any = None,
        data: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        waited, wait = 0.0, 0.25
        while True:
            try:
                response = self._http.request(
                    method,
                    self.url + path,
                    json=body,
                    headers=headers,
                    params=params,
                    files=files,
                    data=data,
                    content=content,
                )
            except httpx.TransportError as error:
                raise Unreachable(
                    f"cannot reach {self.url}: {error!r}; is `lookalike serve` running there?"
                ) from error
            if response.status_code != 429 or waited >= self._patience:
                break
            pause = min(float(response.headers.get("retry-after", wait)), LONGEST_WAIT)
            time.sleep(pause)
            waited, wait = waited + pause, min(wait * 2, LONGEST_WAIT)
        if response.is_success:
            return response
        raise error_of(response)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Any call of the API; the answer's `result`. `/openapi.json` lists them.

        Raises:
            ApiError: what the server says.
            Unreachable: where it does not answer.
        """
        return (self._send(method, path, body=body, **options)).json()["result"]

    def _model(self, model: type[M], method: str, path: str, body: Any = None, **options: Any) -> M:
        return model.model_validate(self.call(method, path, body, **options))

    # --- the server and its model ---

    def info(self) -> dict[str, Any]:
        """The server's title, version and model."""
        found: dict[str, Any] = (self._send("GET", "/")).json()
        return found

    def models(self) -> list[ModelOut]:
        """The loaded models."""
        found = self.call("GET", "/models")
        return [ModelOut.model_validate(model) for model in found["models"]]

    def embed(self, *, texts: Sequence[str] = (), pictures: Sequence[Picture] = ()) -> list[list[float]]:
        """Vectors of texts, then of pictures, of unit length."""
        inputs: list[dict[str, str]] = [{"text": text} for text in texts]
        inputs += [{"image": encoded(picture)} for picture in pictures]
        vectors: list[list[float]] = (self.call("POST", "/embed", {"inputs": inputs}))["embeddings"]
        return vectors

    def qdrant(self) -> Any:
        """The official client of the same server; needs the package qdrant-client."""
        from qdrant_client import QdrantClient

        return QdrantClient(self.url, api_key=self._key, cloud_inference=True)

    # --- collections ---

    def collections(self) -> list[str]:
        """The names of all collections."""
        return [each["name"] for each in (self.call("GET", "/collections"))["collections"]]

    def collection(self, name: str) -> CollectionOut:
        """A collection: counts, index state, configuration."""
        return self._model(CollectionOut, "GET", f"/collections/{name}")

    def exists(self, name: str) -> bool:
        """Whether there is such a collection."""
        return bool((self.call("GET", f"/collections/{name}/exists"))["exists"])

    def create_collection(self, name: str, **options: Any) -> None:
        """Create a collection; without options one vector of the model's dimension under cosine.

        Raises:
            Conflict: where it exists.
        """
        self.call("PUT", f"/collections/{name}", options)

    def create_signature_collection(self, name: str, *, audit: bool = False) -> None:
        """Create a collection of signatures; with `audit` every decision is logged."""
        self.call("PUT", f"/collections/{name}", {"signatures": {"audit": audit}})

    def delete_collection(self, name: str) -> bool:
        """Delete a collection; false where there was none."""
        return bool(self.call("DELETE", f"/collections/{name}"))

    def count(self, collection: str, filter: Any = None) -> int:
        """How many points there are, or match the filter."""
        body = {"filter": plain_filter(filter)} if filter is not None else {}
        return int((self.call("POST", f"/collections/{collection}/points/count", body))["count"])

    # --- search ---

    def search(
        self,
        collection: str,
        text: str | None = None,
        *,
        image: Picture | None = None,
        image_weight: float = 1.0,
        without: Sequence[str] = (),
        like: PointId | None = None,
        vector: Sequence[float] | None = None,
        filter: Any = None,
        limit: int = 10,
        offset: int = 0,
        min_relevance: float | None = None,
        using: str | None = None,
        with_payload: Any = True,
        root: str | os.PathLike[str] | None = None,
    ) -> SearchResult:
        """Find by words, by a picture, by both and without others; like a stored point; by a vector.

        Args:
            collection: where.
            text: words.
            image: a picture; with words, both count.
            image_weight: how much the picture counts beside the words.
            without: words that lead away.
            like: a stored point, in place of words and picture.
            vector: numbers, in place of words and picture.
            filter: which points, as Qdrant has it: a dict, or a model of qdrant-client.
            limit: most hits.
            offset: hits to skip.
            min_relevance: only hits that are right with this probability, 0 to 1.
            using: name of the vector.
            with_payload: true, false, names, or `{"include" | "exclude": [..]}`.
            root: the folder that was imported, for notebooks to show the pictures.
        """
        body: dict[str, Any] = {
            "query": _query(text, image, image_weight, without, like, vector),
            "limit": limit,
            "offset": offset,
            "with_payload": with_payload,
            "with_relevance": True,
        }
        if filter is not None:
            body["filter"] = plain_filter(filter)
        if min_relevance is not None:
            body["min_relevance"] = min_relevance
        if using is not None:
            body["using"] = using
        found = self.call("POST", f"/collections/{collection}/points/query", body)
        hits = [ScoredPointOut.model_validate(hit) for hit in found["points"]]
        return SearchResult(hits, None if root is None else Path(root))

    def scroll(
        self, collection: str, *, filter: Any = None, with_vector: bool = False, page: int = 256
    ) -> Iterator[RecordOut]:
        """All points, in the order of their ids."""
        body: dict[str, Any] = {"limit": page, "with_payload": True, "with_vector": with_vector}
        if filter is not None:
            body["filter"] = plain_filter(filter)
        while True:
            found = self.call("POST", f"/collections/{collection}/points/scroll", body)
            for point in found["points"]:
                yield RecordOut.model_validate(point)
            if found["next_page_offset"] is None:
                return
            body["offset"] = found["next_page_offset"]

    def facet(self, collection: str, key: str, *, limit: int = 10, filter: Any = None) -> list[FacetHit]:
        """The values of an indexed payload field, the most frequent first."""
        body: dict[str, Any] = {"key": key, "limit": limit}
        if filter is not None:
            body["filter"] = plain_filter(filter)
        found = self.call("POST", f"/collections/{collection}/facet", body)
        return [FacetHit.model_validate(hit) for hit in found["hits"]]

    def duplicates(self, collection: str, **options: Any) -> Iterator[DuplicateGroupOut]:
        """Groups of points that are nearly the same; the options are those of the HTTP API."""
        body = {"with_payload": True, **options}
        while True:
            found = self.call("POST", f"/collections/{collection}/duplicates", body)
            for group in found["groups"]:
                yield DuplicateGroupOut.model_validate(group)
            if found.get("next_offset") is None:
                return
            body["offset"] = found["next_offset"]

    # --- pictures in ---

    def upload_images(
        self,
        collection: str,
        pictures: Iterable[Picture],
        *,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        ids: Sequence[PointId | None] | None = None,
        using: str | None = None,
        on_progress: Progress | None = None,
    ) -> list[ImageLine]:
        """Send pictures; one answer for each, in their order. One that cannot be read never fails the rest.

        A picture without an id gets one made from its bytes, so that the same picture is one point.

        Raises:
            ValueError: where payloads or ids are not as many as pictures.
        """
        given = list(pictures)
        for name, column in (("payloads", payloads), ("ids", ids)):
            if column is not None and len(column) != len(given):
                raise ValueError(f"{name} holds {len(column)}, pictures holds {len(given)}")
        lines: list[ImageLine] = []
        for at, batch in _batches(given):
            end = at + len(batch)
            lines += self._upload(
                collection,
                batch,
                [dict(payload or {}) for payload in payloads[at:end]] if payloads else None,
                list(ids[at:end]) if ids else None,
                using,
                at,
            )
            if on_progress:
                on_progress(end, len(given))
        return lines

    def _upload(
        self,
        collection: str,
        batch: list[tuple[str | None, bytes]],
        payloads: list[dict[str, Any]] | None,
        ids: list[PointId | None] | None,
        using: str | None,
        at: int,
    ) -> list[ImageLine]:
        parts: list[tuple[str, tuple[str | None, str | bytes, str]]] = []
        for name, column in (("payloads", payloads), ("ids", ids)):
            if column is not None:
                parts.append((name, (None, json.dumps(column), "application/json")))
        for place, (file, data) in enumerate(batch):
            parts.append(("image", (file or f"{at + place}", data, "application/octet-stream")))
        params = {"using": using} if using else None
        response = self._send("POST", f"/collections/{collection}/images", files=parts, params=params)
        lines = [ImageLine.model_validate_json(line) for line in response.text.splitlines()]
        for line in lines:
            line.index += at
        return sorted(lines, key=lambda line: line.index)

    def existing(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        """Which of the ids the collection has."""
        found: set[PointId] = set()
        for batch in chunks(list(ids), 1000):
            body = {"ids": batch, "with_payload": False, "with_vector": False}
            found |= {point["id"] for point in self.call("POST", f"/collections/{collection}/points", body)}
        return found

    def import_folder(
        self,
        collection: str,
        folder: str | os.PathLike[str],
        *,
        payload: Callable[[Path], Mapping[str, Any]] | None = None,
        overwrite: bool = False,
        on_progress: Progress | None = None,
    ) -> ImportReport:
        """Import the pictures of a folder and of those within it; the collection is created if need be.

        Ids are made from the pictures' bytes and what is there already is not sent again, so that an import
        which was interrupted goes on, and one that is repeated costs little.

        Args:
            collection: where to.
            folder: where from; names that begin with a dot are left out.
            payload: what to keep with a picture beside `file`, its path below the folder.
            overwrite: send also what is there already.
            on_progress: called with how many are done, and of how many.
        """
        root = Path(folder)
        paths = below(root)
        if not self.exists(collection):
            self.create_collection(collection)
        report, done = ImportReport(), 0
        for batch in chunks(paths, BATCH):
            read: dict[str, tuple[Path, bytes]] = {}
            for path in batch:
                name = path.relative_to(root).as_posix()
                try:
                    data = path.read_bytes()
                except OSError as error:
                    report.errors[name] = str(error)
                    continue
                report.ids[name] = identity = content_id(data)
                # The same picture twice is one point; the last name of it stays.
                read[identity] = (path, data)
            there = set() if overwrite else self.existing(collection, list(read))
            report.already_there += len(there)
            fresh = {identity: found for identity, found in read.items() if identity not in there}
            self._import(collection, root, fresh, payload, report)
            done += len(batch)
            if on_progress:
                on_progress(done, len(paths))
        return report

    def _import(
        self,
        collection: str,
        root: Path,
        fresh: dict[str, tuple[Path, bytes]],
        payload: Callable[[Path], Mapping[str, Any]] | None,
        report: ImportReport,
    ) -> None:
        if not fresh:
            return
        names = [path.relative_to(root).as_posix() for path, _ in fresh.values()]
        payloads = [
            {"file": name, **(payload(path) if payload else {})}
            for name, (path, _) in zip(names, fresh.values(), strict=True)
        ]
        pictures = [data for _, data in fresh.values()]
        for line in self.upload_images(collection, pictures, payloads=payloads, ids=list(fresh)):
            if line.status == "ok":
                report.imported += 1
            elif line.index < len(names):
                report.errors[names[line.index]] = line.error or "refused"
                report.ids.pop(names[line.index], None)

    def import_points(
        self, collection: str, points: Iterable[Mapping[str, Any]], *, batch: int = 64
    ) -> ImportReport:
        """Write points as Qdrant has them, `{"id", "vector", "payload"}`; a vector may be `{"text"}` or
        `{"image"}` for the model. Those that cannot be embedded are reported and never fail the rest.
        """
        report, group = ImportReport(), []
        for point in points:
            group.append(dict(point))
            if len(group) == batch:
                self._points(collection, group, report)
                group = []
        if group:
            self._points(collection, group, report)
        return report

    def _points(self, collection: str, group: list[dict[str, Any]], report: ImportReport) -> None:
        headers = {"x-lookalike-partial": "true"}
        body = {"points": group}
        done = self._model(UpdatedOut, "PUT", f"/collections/{collection}/points", body, headers=headers)
        failed = {item.index: item.error for item in done.failed or []}
        for place, point in enumerate(group):
            if place in failed:
                report.errors[str(point["id"])] = failed[place]
            else:
                report.imported += 1
                report.ids[str(point["id"])] = point["id"]

    # --- long work in the background ---

    def start_import(self, collection: str, points: Iterable[Mapping[str, Any]]) -> TaskOut:
        """Start an import of points, as `import_points` takes them, that the server carries out on its own.

        All of them are sent first. `wait` waits for the task; it ends with its server.
        """
        body = b"".join(json.dumps(dict(point)).encode() + b"\n" for point in points)
        path, headers = f"/collections/{collection}/import", {"content-type": "application/x-ndjson"}
        response = self._send("POST", path, content=body, headers=headers, params={"async": "true"})
        return TaskOut.model_validate(response.json()["result"])

    def start(self, method: str, path: str, body: Any = None) -> TaskOut:
        """Start any long call (adapt, calibrate, whitening, snapshots, recover) as a task."""
        return self._model(TaskOut, method, path, body, params={"async": "true"})

    def tasks(self) -> list[TaskOut]:
        """The tasks of the server, newest first; those that are over for a day."""
        return (self._model(TasksOut, "GET", "/tasks")).tasks

    def task(self, task: TaskOut | str) -> TaskOut:
        """A task as it is now."""
        return self._model(TaskOut, "GET", f"/tasks/{_task_id(task)}")

    def cancel_task(self, task: TaskOut | str) -> TaskOut:
        """Cancel a task: one that runs ends at its next step, `cancelling` until then."""
        return self._model(TaskOut, "DELETE", f"/tasks/{_task_id(task)}")

    def wait(
        self,
        task: TaskOut | str,
        *,
        every: float = 0.5,
        timeout: float | None = None,
        progress: Callable[[TaskOut], None] | None = None,
    ) -> TaskOut:
        """Wait until a task is over, however it ended: `state` says that.

        Args:
            task: the task or its id.
            every: seconds between two looks.
            timeout: seconds after which the task is answered as it is.
            progress: is told after every look.
        """
        waited = 0.0
        while True:
            found = self.task(task)
            if progress is not None:
                progress(found)
            is_over = found.state in ("done", "failed", "cancelled")
            if is_over or (timeout is not None and waited >= timeout):
                return found
            time.sleep(every)
            waited += every

    # --- signatures ---

    def enrol(
        self,
        collection: str,
        subject: str,
        samples: Iterable[Picture],
        *,
        forgery: bool = False,
        payload: Mapping[str, Any] | None = None,
        partial: bool = False,
    ) -> EnrolOut:
        """Enrol reference signatures of a subject.

        Args:
            collection: a collection of signatures.
            subject: whose they are, or are said to be.
            samples: pictures, one signature each.
            forgery: they imitate the subject; kept for calibration alone.
            payload: kept with each.
            partial: enrol the others where one is unfit, which otherwise refuses all.
        """
        body = {
            "subject": subject,
            "samples": [encoded(sample) for sample in samples],
            "forgery": forgery,
            "payload": dict(payload or {}),
        }
        headers = {"x-lookalike-partial": "true" if partial else "false"}
        return self._model(EnrolOut, "POST", f"/collections/{collection}/enrol", body, headers=headers)

    def subjects(self, collection: str, *, page: int = 1000) -> Iterator[SubjectCountOut]:
        """All subjects, in the order of their names."""
        start: str | None = None
        while True:
            params = {"limit": page, **({} if start is None else {"from": start})}
            found = self.call("GET", f"/collections/{collection}/subjects", params=params)
            for subject in found["subjects"]:
                yield SubjectCountOut.model_validate(subject)
            start = found.get("next")
            if start is None:
                return

    def subject(self, collection: str, subject: str) -> SubjectOut:
        """One subject with its references."""
        return self._model(SubjectOut, "GET", f"/collections/{collection}/subjects/{_quoted(subject)}")

    def delete_subject(self, collection: str, subject: str) -> int:
        """Delete a subject with everything derived from it; returns how many points that were."""
        path = f"/collections/{collection}/subjects/{_quoted(subject)}"
        return int((self.call("DELETE", path))["deleted"])

    def verify(
        self,
        collection: str,
        subject: str,
        sample: Picture,
        *,
        target_far: float | None = None,
        review_far: float | None = None,
        threshold: float | None = None,
        prior: float = 0.5,
    ) -> VerifyOut:
        """Is this the subject's signature? `decision` is accept, reject or review.

        Args:
            collection: a collection of signatures.
            subject: whose it is said to be.
            sample: the picture.
            target_far: a FAR of the calibration; its lowest where neither this nor `threshold` is given.
            review_far: a higher FAR, between whose threshold and the other's a person decides.
            threshold: accept from this score on.
            prior: the share of genuine signatures among all that are presented.
        """
        body = {
            "subject": subject,
            "sample": encoded(sample),
            "prior": prior,
            "policy": _policy(target_far, review_far, threshold),
        }
        return self._model(VerifyOut, "POST", f"/collections/{collection}/verify", body)

    def identify(
        self,
        collection: str,
        sample: Picture,
        *,
        target_far: float | None = None,
        review_far: float | None = None,
        threshold: float | None = None,
        limit: int = 5,
    ) -> IdentifyOut:
        """Whose signature is this, if anybody's?"""
        body = {
            "sample": encoded(sample),
            "limit": limit,
            "policy": _policy(target_far, review_far, threshold),
        }
        return self._model(IdentifyOut, "POST", f"/collections/{collection}/identify", body)

    def calibrate(
        self,
        collection: str,
        *,
        target_fars: Sequence[float] = (),
        against: str = "random",
        seed: int = 1,
    ) -> CalibrationOut:
        """Find thresholds for chosen FARs on the collection's own signatures."""
        body = {"target_fars": list(target_fars), "against": against, "seed": seed}
        return self._model(CalibrationOut, "POST", f"/collections/{collection}/calibrate", body)

    def calibrations(self, collection: str) -> list[CalibrationOut]:
        """All calibrations, oldest first."""
        found = self.call("GET", f"/collections/{collection}/calibrations")
        return [CalibrationOut.model_validate(each) for each in found["calibrations"]]

    def calibration(self, collection: str, calibration: str) -> CalibrationOut:
        """One calibration, with its DET curve."""
        path = f"/collections/{collection}/calibrations/{calibration}"
        return self._model(CalibrationOut, "GET", path)

    def fit_whitening(
        self, collection: str, *, share: float = 0.5, subjects: Sequence[str] = (), seed: int = 1
    ) -> WhiteningOut | None:
        """Fit the whitening on a cohort of the collection's subjects, which calibrations leave out."""
        body = {"share": share, "subjects": list(subjects), "seed": seed}
        found = (self.call("POST", f"/collections/{collection}/whitening", body))["whitening"]
        return None if found is None else WhiteningOut.model_validate(found)

    def audit(self, collection: str) -> list[dict[str, Any]]:
        """The lines of the audit log."""
        text = (self._send("GET", f"/collections/{collection}/audit")).text
        return [json.loads(line) for line in text.splitlines()]


def _query(
    text: str | None,
    image: Picture | None,
    image_weight: float,
    without: Sequence[str],
    like: PointId | None,
    vector: Sequence[float] | None,
) -> Any:
    mixed = text is not None or image is not None
    if sum([mixed, like is not None, vector is not None]) != 1:
        raise ValueError("give words, a picture or both; or `like`; or `vector`")
    if like is not None:
        return like
    if vector is not None:
        return list(vector)
    if image is None and not without:
        return {"text": text}
    if text is None and image is not None and not without:
        return {"image": encoded(image)}
    parts: list[dict[str, Any]] = []
    if text is not None:
        parts.append({"text": text})
    if image is not None:
        parts.append({"image": encoded(image), "weight": image_weight})
    # Half as strong as what is wanted, as on the command line.
    parts += [{"text": words, "weight": -0.5} for words in without]
    return {"object": parts}


def _policy(
    target_far: float | None, review_far: float | None, threshold: float | None
) -> dict[str, float] | None:
    given = {"target_far": target_far, "review_far": review_far, "threshold": threshold}
    return {key: value for key, value in given.items() if value is not None} or None


def _task_id(task: TaskOut | str) -> str:
    return task if isinstance(task, str) else str(task.id)


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _batches(pictures: list[Picture]) -> Iterable[tuple[int, list[tuple[str | None, bytes]]]]:
    """Pictures read when their turn comes, with the place of the first: memory is that of one batch."""
    start, batch, size = 0, [], 0
    for place, picture in enumerate(pictures):
        loaded = load(picture)
        batch.append(loaded)
        size += len(loaded[1])
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield start, batch
            start, batch, size = place + 1, [], 0
    if batch:
        yield start, batch
