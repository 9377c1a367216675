"""Snapshots through the official Qdrant client: made under load, recovered from a file and from a URL."""

import pathlib
import threading
import urllib.request

import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse


def points(value: int):
    return [models.PointStruct(id=i, vector=[i, value], payload={"v": value}) for i in range(200)]


def values(client) -> set:
    found, _ = client.scroll("c", limit=1000, with_payload=True)
    assert len(found) == 200
    return {point.payload["v"] for point in found}


@pytest.fixture()
def collection(client):
    client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("c", points(0), wait=True)


def test_a_snapshot_is_made_listed_recovered_and_deleted(client, server, collection):
    stop = threading.Event()

    def write():
        value = 1
        while not stop.is_set():
            client.upsert("c", points(value), wait=True)
            value += 1

    writer = threading.Thread(target=write)
    writer.start()
    made = [client.create_snapshot("c") for _ in range(3)]
    stop.set()
    writer.join()
    assert [s.name for s in client.list_snapshots("c")] == sorted(s.name for s in made)
    client.upsert("c", points(-1), wait=True)
    folder = pathlib.Path(server.data.name).resolve() / "snapshots/collections/c"
    seen = []
    for snapshot in made:
        location = f"file://{folder / snapshot.name}"
        assert client.recover_snapshot("c", location, checksum=snapshot.checksum, wait=True)
        (value,) = values(client)  # every request writes all points: a moment has one value
        seen.append(value)
    assert seen == sorted(seen) and seen[0] >= 0
    url = f"{server.url}/collections/c/snapshots/{made[0].name}"
    client.upsert("c", points(-2), wait=True)
    assert client.recover_snapshot("c", url, priority=models.SnapshotPriority.SNAPSHOT, wait=True)
    assert values(client) == {seen[0]}
    assert client.delete_snapshot("c", made[0].name, wait=True)
    assert [s.name for s in client.list_snapshots("c")] == sorted(s.name for s in made[1:])
    with pytest.raises(UnexpectedResponse) as error:
        client.recover_snapshot("c", location, checksum="0" * 64, wait=True)
    assert error.value.status_code == 400 and b"checksum" in error.value.content


def test_a_snapshot_of_all_is_made_downloaded_and_deleted(client, server, collection):
    made = client.create_full_snapshot()
    assert made.name in [s.name for s in client.list_full_snapshots()]
    with urllib.request.urlopen(f"{server.url}/snapshots/{made.name}") as response:
        assert len(response.read()) == made.size
    assert client.delete_full_snapshot(made.name, wait=True)
    assert client.list_full_snapshots() == []
