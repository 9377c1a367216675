"""The client against the real binary."""

from __future__ import annotations

import asyncio
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import Document, Server, paths, png, samples, signature
from lookalike_client import (
    ApiError,
    AsyncClient,
    Busy,
    Client,
    Conflict,
    Decision,
    InvalidRequest,
    NotFound,
    Unauthorized,
    Unreachable,
    content_id,
)


def test_pictures_of_every_kind_go_in_and_are_found(client: Client, tmp_path: Path) -> None:
    client.create_collection("shop")
    files = paths(40)
    with files[2].open("rb") as opened:
        pictures: list[Any] = [str(files[0]), files[1].read_bytes(), opened, Image.open(files[3]), *files[4:]]
        pictures[10] = b"no picture"
        seen: list[tuple[int, int]] = []
        lines = client.upload_images(
            "shop",
            pictures,
            payloads=samples()[:40],
            on_progress=lambda done, total: seen.append((done, total)),
        )
    assert [line.index for line in lines] == list(range(40))
    assert [line.index for line in lines if line.status != "ok"] == [10]
    assert seen == [(32, 40), (40, 40)]
    assert lines[1].id == content_id(files[1].read_bytes())
    hit = client.search("shop", image=files[5], limit=1)[0]
    assert hit.score > 0.99
    assert hit.payload is not None
    assert hit.payload["file"] == samples()[5]["file"]
    assert len(client.search("shop", "a shirt")) == 10
    assert client.search("shop", "a shirt", limit=1, offset=1)[0].id == client.search("shop", "a shirt")[1].id
    assert (
        len(client.search("shop", "a shirt", image=files[5], image_weight=0.5, without=["apple"], limit=3))
        == 3
    )
    assert len(client.search("shop", like=hit.id, limit=2)) == 2
    vector = client.embed(texts=["a shirt"])[0]
    assert client.search("shop", vector=vector)[0].id == client.search("shop", "a shirt")[0].id
    with pytest.raises(ValueError, match="like"):
        client.search("shop")
    with pytest.raises(ValueError, match="payloads holds 1"):
        client.upload_images("shop", pictures[:2], payloads=[{}])


def test_a_folder_is_imported_once_and_goes_on_where_it_was(client: Client, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for place, path in enumerate(paths(40)):
        shutil.copy(path, tmp_path / ("inner" if place % 2 else ".") / f"{place:02}{path.suffix}")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / ".hidden").mkdir()
    shutil.copy(paths(50)[49], tmp_path / ".hidden")
    # A part of it is there, as after an interruption.
    client.create_collection("photos")
    client.upload_images("photos", sorted(tmp_path.glob("0*.*"))[:3])
    report = client.import_folder("photos", tmp_path, payload=lambda path: {"suffix": path.suffix})
    assert (report.imported, report.already_there, list(report.errors)) == (37, 3, ["broken.png"])
    assert "37 imported, 3 already there, 1 failed" in str(report)
    assert "broken.png" in report._repr_html_()
    again = client.import_folder("photos", tmp_path)
    assert (again.imported, again.already_there) == (0, 40)
    assert client.count("photos") == 40
    found = {point.payload["file"] for point in client.scroll("photos", page=7) if point.payload}
    assert "inner/01" + paths(2)[1].suffix in found
    with pytest.raises(NotADirectoryError):
        client.import_folder("photos", tmp_path / "broken.png")


def test_points_with_words_and_numbers_are_imported_and_bad_ones_reported(client: Client) -> None:
    client.create_collection("c")
    points = [{"id": i, "vector": {"text": f"thing {i}"}, "payload": {"n": i}} for i in range(70)]
    points.append({"id": 70, "vector": {"image": "AAAA"}, "payload": {}})
    report = client.import_points("c", points)
    assert report.imported == 70
    assert list(report.errors) == ["70"]
    assert client.count("c", {"must": [{"key": "n", "range": {"gte": 65}}]}) == 5
    client.call("PUT", "/collections/c/index", {"field_name": "n", "field_schema": "integer"})
    assert client.facet("c", "n", limit=3)[0].count == 1
    assert list(client.duplicates("c", threshold=0.9999)) == []


def test_an_import_in_the_background_is_followed_and_cancelled(client: Client) -> None:
    client.create_collection("c")
    points = [{"id": i, "vector": {"text": f"number {i}"}} for i in range(100)]
    points[7]["vector"] = [1.0, 2.0]
    looks: list[int] = []
    task = client.wait(
        client.start_import("c", points), every=0.05, progress=lambda task: looks.append(task.done)
    )
    assert (task.state, task.total, task.done, task.failed) == ("done", 100, 100, 1)
    assert task.failures[0].index == 7
    assert looks == sorted(looks)
    assert client.count("c") == 99
    snapshot = client.wait(client.start("POST", "/collections/c/snapshots").id)
    assert snapshot.state == "done"
    assert snapshot.result is not None
    assert snapshot.result["name"].startswith("c-")
    assert {snapshot.id, task.id} <= {each.id for each in client.tasks()}
    with pytest.raises(Conflict):
        client.cancel_task(task)
    many = client.start_import("c", ({"id": i, "vector": {"text": f"{i} of many"}} for i in range(20_000)))
    assert client.cancel_task(many).state in ("cancelling", "cancelled")
    assert client.wait(many).state == "cancelled"
    with pytest.raises(NotFound):
        client.task("00000000-0000-4000-8000-000000000000")


def test_results_are_shown_with_their_pictures_and_nothing_in_them_is_markup(
    client: Client, tmp_path: Path
) -> None:
    shutil.copy(paths(1)[0], tmp_path / "a.jpg")
    client.import_folder("c", tmp_path, payload=lambda _: {"note": "<script>alert(1)</script>"})
    found = client.search("c", "x", root=tmp_path)
    shown = found._repr_html_()
    assert "data:image/jpeg;base64," in shown
    assert "<script>" not in shown
    assert "note: <script>" in repr(found)
    # A payload cannot lead out of the folder.
    client.call("POST", "/collections/c/points/payload", {"payload": {"file": "../a.jpg"}, "filter": {}})
    (tmp_path / "inner").mkdir()
    assert "data:" not in client.search("c", "x", root=tmp_path / "inner")._repr_html_()
    assert len(found[:1]) == 1


def test_signatures_are_enrolled_calibrated_verified_and_identified(client: Client) -> None:
    client.create_signature_collection("bank", audit=True)
    for hand in range(12):
        enrolled = client.enrol("bank", f"hand/{hand}", [signature(hand, v) for v in range(4)], partial=True)
        assert enrolled.subject == f"hand/{hand}"
        assert len(enrolled.items) == 4
    blank = Image.new("L", (300, 100), 255)
    with pytest.raises(ApiError, match="nothing was enrolled"):
        client.enrol("bank", "hand/0", [blank])
    assert sum(subject.references for subject in client.subjects("bank", page=5)) > 12
    calibration = client.calibrate("bank", target_fars=[0.2])
    assert calibration.points[0].target_far == 0.2
    assert client.calibrations("bank")[0].id == calibration.id
    assert client.calibration("bank", calibration.id).det
    answer = client.verify("bank", "hand/1", signature(1, 9), target_far=0.2)
    assert isinstance(answer.decision, Decision)
    assert answer.calibration is not None
    assert answer.far is not None
    assert 0 <= answer.far.interval.low <= answer.far.interval.high <= 1
    found = client.identify("bank", png(signature(2, 9)), threshold=-5.0)
    assert found.candidates
    assert {line["kind"] for line in client.audit("bank")} == {"verify", "identify"}
    assert len(client.subject("bank", "hand/1").references) > 0
    assert client.delete_subject("bank", "hand/1") > 0
    with pytest.raises(NotFound):
        client.subject("bank", "hand/1")
    whitening = client.fit_whitening("bank", subjects=[f"hand/{hand}" for hand in range(2, 12)])
    assert whitening is not None
    assert whitening.origin == "fitted"


def test_errors_are_of_their_kinds_and_say_what_to_do(client: Client, server: Server) -> None:
    with pytest.raises(NotFound, match="none"):
        client.search("none", "x")
    client.create_collection("c")
    with pytest.raises(Conflict, match="already exists"):
        client.create_collection("c")
    with pytest.raises(InvalidRequest, match="limit"):
        client.search("c", "x", limit=100_000)
    with pytest.raises(ValueError, match="not fetched"):
        client.search("c", image="https://example.org/a.jpg")
    with Client("http://127.0.0.1:9") as nowhere, pytest.raises(Unreachable, match="lookalike serve"):
        nowhere.models()
    locked = Server("--api-key", "secret-key")
    with Client(locked.url) as stranger, pytest.raises(Unauthorized):
        stranger.models()
    with Client(locked.url, api_key="secret-key") as friend:
        assert friend.models()[0].name == "bundled"
    locked.stop()


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            is_busy = len(asked) < 3
            body = b'{"status": {"error": "busy"}}' if is_busy else b'{"result": {"models": []}}'
            self.send_response(429 if is_busy else 200)
            self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Handler) as busy:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{busy.server_port}"
        with Client(url) as client:
            assert client.models() == []
        assert len(asked) == 3
        asked.clear()
        with Client(url, patience=0) as hasty, pytest.raises(Busy):
            hasty.models()
        busy.shutdown()


def test_the_asynchronous_client_does_the_same(server: Server) -> None:
    async def work() -> None:
        async with AsyncClient(server.url) as client:
            await client.create_collection("a")
            await client.upload_images("a", paths(3))
            assert len(await client.search("a", "x")) == 3
            assert len([point async for point in client.scroll("a")]) == 3
            await client.delete_collection("a")

    asyncio.run(work())


def test_it_works_beside_the_official_client(client: Client) -> None:
    from qdrant_client import models

    client.create_collection("c")
    client.upload_images("c", paths(3), payloads=[{"n": 1}, {"n": 2}, {"n": 3}])
    where = models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=2))])
    assert len(client.search("c", "x", filter=where)) == 1
    official = client.qdrant()
    hits = official.query_points("c", query=models.Document(text="x", model="bundled"), limit=3).points
    assert [hit.id for hit in hits] == [hit.id for hit in client.search("c", "x", limit=3)]
    official.close()


def test_every_answer_that_was_seen_is_of_the_shape_that_the_document_promises(document: Document) -> None:
    # The judge raises in each call; here only that it was not asleep.
    expected = {"query_points", "upload_images", "verify", "identify", "calibrate", "enrol", "scroll_points"}
    assert expected <= document.seen
