"""The official Qdrant client, unmodified, against the real binary."""

import base64
import json
import uuid

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from conftest import ROOT, Server

SAMPLES = [json.loads(line) for line in (ROOT / "samples/samples.jsonl").read_text().splitlines()]
MODEL = "bundled"


def image(sample: dict) -> models.Image:
    data = (ROOT / "samples" / sample["file"]).read_bytes()
    return models.Image(image=base64.b64encode(data).decode(), model=MODEL)


def text(words: str) -> models.Document:
    return models.Document(text=words, model=MODEL)


def ids(answer) -> list:
    return [point.id for point in answer.points]


@pytest.fixture()
def photos(client):
    """Sixty sample pictures, uploaded as pictures."""
    client.create_collection("photos", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
    chosen = SAMPLES[:30] + SAMPLES[-30:]
    points = [models.PointStruct(id=i, vector=image(s), payload=s) for i, s in enumerate(chosen)]
    client.upload_points("photos", points, batch_size=16, wait=True)
    return chosen


def test_the_client_knows_the_server(client):
    assert client.info().version == "1.19.0"
    assert client.collection_exists("photos") is False


def test_pictures_go_in_and_are_found_by_text_by_picture_and_by_id(client, photos):
    assert client.count("photos").count == 60
    assert client.get_collection("photos").points_count == 60
    by_text = client.query_points("photos", query=text("a photo of a shirt"), limit=5, with_payload=True)
    assert len(by_text.points) == 5 and all(p.payload["file"] for p in by_text.points)
    by_picture = client.query_points("photos", query=image(photos[7]), limit=3)
    assert ids(by_picture)[0] == 7 and by_picture.points[0].score > 0.999
    by_id = client.query_points("photos", query=7, limit=3)
    assert 7 not in ids(by_id) and ids(by_id)[:2] == ids(by_picture)[1:]


def test_filters_scroll_count_and_delete(client, photos):
    clothing = models.Filter(must=[models.FieldCondition(key="kind", match=models.MatchValue(value="clothing"))])
    expected = {i for i, s in enumerate(photos) if s["kind"] == "clothing"}
    assert 0 < len(expected) < 60
    client.create_payload_index("photos", "kind", models.PayloadSchemaType.KEYWORD)
    assert client.get_collection("photos").payload_schema["kind"].points == 60
    found = client.query_points("photos", query=text("apple"), query_filter=clothing, limit=60)
    assert set(ids(found)) == expected
    assert client.count("photos", count_filter=clothing).count == len(expected)
    seen, offset = [], None
    while True:
        records, offset = client.scroll("photos", limit=7, offset=offset, with_vectors=True)
        seen += records
        if offset is None:
            break
    assert [r.id for r in seen] == list(range(60))
    assert all(abs(np.linalg.norm(r.vector) - 1) < 1e-4 for r in seen)
    client.delete("photos", points_selector=[0, 1])
    client.delete("photos", points_selector=models.FilterSelector(filter=clothing))
    assert client.count("photos").count == len(set(range(60)) - expected - {0, 1})
    assert client.retrieve("photos", [0]) == []


def test_documents_batches_uuids_and_payload_changes(client):
    client.create_collection("texts", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
    words = ["a red apple", "a blue car", "a green tree"]
    names = [str(uuid.uuid5(uuid.NAMESPACE_URL, w)) for w in words]
    client.upload_collection("texts", vectors=[text(w) for w in words], ids=names, payload=[{"w": w} for w in words])
    answers = client.query_batch_points("texts", [models.QueryRequest(query=text(w), limit=1) for w in words])
    assert [ids(a)[0] for a in answers] == names
    client.set_payload("texts", {"seen": True}, points=[names[0]])
    client.overwrite_payload("texts", {"only": 1}, points=[names[1]])
    client.delete_payload("texts", keys=["w"], points=[names[0]])
    client.clear_payload("texts", points_selector=[names[2]])
    assert [r.payload for r in client.retrieve("texts", names)] == [{"seen": True}, {"only": 1}, {}]


def test_a_bad_picture_is_an_error_that_names_it_and_nothing_is_written(client):
    client.create_collection("photos", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
    bad = models.Image(image=base64.b64encode(b"no picture").decode(), model=MODEL)
    points = [models.PointStruct(id=0, vector=image(SAMPLES[0])), models.PointStruct(id=1, vector=bad)]
    with pytest.raises(UnexpectedResponse, match=r"points\[1\]"):
        client.upsert("photos", points)
    assert client.count("photos").count == 0
    with pytest.raises(UnexpectedResponse, match="not loaded"):
        client.query_points("photos", query=models.Document(text="x", model="another/model"))
    with pytest.raises(UnexpectedResponse, match="already exists"):
        client.create_collection("photos", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))


def test_the_api_key_is_asked_for():
    server = Server("--api-key", "a-secret-key")
    try:
        with pytest.raises(UnexpectedResponse, match="401"):
            QdrantClient(server.url, cloud_inference=True).get_collections()
        assert QdrantClient(server.url, api_key="a-secret-key").get_collections().collections == []
    finally:
        server.stop()


CONDITIONS = [
    models.FieldCondition(key="n", match=models.MatchValue(value=3)),
    models.FieldCondition(key="n", match=models.MatchAny(any=[1, 2, 5])),
    models.FieldCondition(key="n", match=models.MatchExcept(**{"except": [1, 2]})),
    models.FieldCondition(key="x", range=models.Range(gte=0.25, lt=0.75)),
    models.FieldCondition(key="tags", match=models.MatchValue(value="b")),
    models.FieldCondition(key="deep.flag", match=models.MatchValue(value=True)),
    models.FieldCondition(key="items[].k", match=models.MatchValue(value="u")),
    models.IsEmptyCondition(is_empty=models.PayloadField(key="tags")),
    models.IsNullCondition(is_null=models.PayloadField(key="maybe")),
    models.HasIdCondition(has_id=[1, 2, 3, 50]),
    models.HasVectorCondition(has_vector=""),
    models.FieldCondition(key="tags", values_count=models.ValuesCount(gte=1, lt=3)),
    models.FieldCondition(key="when", range=models.DatetimeRange(gte="2026-02-01T00:00:00Z")),
    models.FieldCondition(key="title", match=models.MatchText(text="red house")),
    models.FieldCondition(key="title", match=models.MatchTextAny(text_any="blue house")),
    models.FieldCondition(key="title", match=models.MatchPhrase(phrase="red house")),
    models.FieldCondition(
        key="at", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=170, lat=40), radius=3_000_000)
    ),
    models.FieldCondition(
        key="at",
        geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=100, lat=60), bottom_right=models.GeoPoint(lon=-100, lat=-60)
        ),
    ),
    models.FieldCondition(
        key="at",
        geo_polygon=models.GeoPolygon(
            exterior=models.GeoLineString(
                points=[models.GeoPoint(lon=x, lat=y) for x, y in [(-90, -50), (90, -50), (0, 80), (-90, -50)]]
            ),
            interiors=[
                models.GeoLineString(
                    points=[models.GeoPoint(lon=x, lat=y) for x, y in [(-20, -20), (20, -20), (0, 20), (-20, -20)]]
                )
            ],
        ),
    ),
    models.NestedCondition(
        nested=models.Nested(
            key="items",
            filter=models.Filter(
                must=[
                    models.FieldCondition(key="k", match=models.MatchValue(value="u")),
                    models.FieldCondition(key="v", range=models.Range(gt=1)),
                ]
            ),
        )
    ),
]


def payload(random) -> dict:
    made = {"n": int(random.integers(6)), "x": float(random.random())}
    if random.random() < 0.8:
        made["tags"] = [str(t) for t in random.choice(["a", "b", "c"], size=random.integers(3), replace=False)]
    if random.random() < 0.5:
        made["maybe"] = None
    if random.random() < 0.8:
        made["title"] = " ".join(random.choice(["Red", "house", "blue", "door"], size=random.integers(1, 5)))
    if random.random() < 0.8:
        places = [{"lon": float(random.uniform(-180, 180)), "lat": float(random.uniform(-90, 90))} for _ in range(2)]
        made["at"] = places if random.random() < 0.3 else places[0]
    if random.random() < 0.5:
        made["when"] = f"2026-0{random.integers(1, 6)}-1{random.integers(9)}T00:00:00Z"
    made["deep"] = {"flag": bool(random.random() < 0.5)}
    made["items"] = [{"k": str(random.choice(["u", "w"])), "v": int(random.integers(4))} for _ in range(random.integers(3))]
    return made


def random_filter(random) -> models.Filter:
    pick = lambda: [CONDITIONS[i] for i in random.choice(len(CONDITIONS), size=random.integers(3), replace=False)]
    counted = models.MinShould(conditions=pick() + pick(), min_count=int(random.integers(1, 3)))
    return models.Filter(
        must=pick() or None, should=pick() or None, must_not=pick()[:1] or None,
        min_should=counted if counted.conditions and random.random() < 0.3 else None,
    )


INDEXES = {
    "n": "integer", "x": "float", "tags": "keyword", "deep.flag": "bool", "items[].k": "keyword", "maybe": "keyword",
    "when": "datetime", "at": "geo",
    "title": models.TextIndexParams(type="text", tokenizer="word", lowercase=True, phrase_matching=True),
}


@pytest.mark.parametrize("distance", list(models.Distance))
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("indexed", [False, True])
def test_random_operations_end_as_in_the_client_s_own_exact_implementation(client, distance, seed, indexed):
    """Differential: the same random operations on this server and on QdrantClient(":memory:")."""
    random = np.random.default_rng(seed)
    reference = QdrantClient(":memory:")
    config = models.VectorParams(size=8, distance=distance)
    both = [client, reference]
    for one in both:
        one.create_collection("c", vectors_config=config)
    if indexed:
        for field, schema in INDEXES.items():
            client.create_payload_index("c", field, schema)
        assert client.get_collection("c").payload_schema["title"].params.phrase_matching
    for step in range(60):
        kind = random.random()
        if kind < 0.5:
            points = [
                models.PointStruct(id=int(random.integers(80)), vector=random.normal(size=8).tolist(), payload=payload(random))
                for _ in range(random.integers(1, 6))
            ]
            # One id once: which of two wins is nobody's promise.
            points = list({p.id: p for p in points}.values())
            for one in both:
                one.upsert("c", points)
        elif kind < 0.6:
            gone = [int(i) for i in random.integers(80, size=3)]
            for one in both:
                one.delete("c", gone)
        elif kind < 0.65:
            filter = random_filter(random)
            if filter.must:
                for one in both:
                    one.delete("c", models.FilterSelector(filter=filter))
        else:
            vector, filter = random.normal(size=8).tolist(), random_filter(random)
            answers = [
                one.query_points(
                    "c", query=vector, query_filter=filter, limit=10, with_payload=True, with_vectors=True,
                    search_params=models.SearchParams(exact=True),
                ).points
                for one in both
            ]
            where = f"step {step} filter {filter}"
            assert [p.id for p in answers[0]] == [p.id for p in answers[1]], where
            for ours, theirs in zip(*answers):
                assert ours.payload == theirs.payload, where
                assert np.allclose(ours.score, theirs.score, atol=1e-5), where
                assert np.allclose(ours.vector, theirs.vector, atol=1e-5), where
            counts = [one.count("c", count_filter=filter).count for one in both]
            assert counts[0] == counts[1], where
    pages = [one.scroll("c", limit=100)[0] for one in both]
    assert [(r.id, r.payload) for r in pages[0]] == [(r.id, r.payload) for r in pages[1]]


def test_a_collection_is_tuned_and_read_again(client):
    size = models.VectorParams(size=8, distance=models.Distance.DOT)
    client.create_collection("tuned", vectors_config={"a": size, "b": size}, quantization_config=models.BinaryQuantization(
        binary=models.BinaryQuantizationConfig(always_ram=True)))
    scalar = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
    assert client.update_collection(
        "tuned", hnsw_config=models.HnswConfigDiff(m=24), quantization_config=models.Disabled.DISABLED,
        vectors_config={"a": models.VectorParamsDiff(
            hnsw_config=models.HnswConfigDiff(ef_construct=70), quantization_config=scalar, on_disk=True)})
    config = client.get_collection("tuned").config
    assert config.quantization_config is None and config.hnsw_config.m == 24
    a, b = config.params.vectors["a"], config.params.vectors["b"]
    assert (a.hnsw_config.m, a.hnsw_config.ef_construct, a.on_disk) == (24, 70, True)
    assert a.quantization_config == scalar and b.quantization_config is None and b.hnsw_config is None
    with pytest.raises(UnexpectedResponse, match="vectors.c: there is no such vector"):
        client.update_collection("tuned", vectors_config={"c": models.VectorParamsDiff(on_disk=True)})


def test_templates_in_the_metadata_are_put_around_text_queries(client):
    params = models.VectorParams(size=256, distance=models.Distance.COSINE)
    client.create_collection("worded", vectors_config=params, metadata={"owner": "me"})
    client.upsert("worded", [models.PointStruct(id=1, vector=text("dog")), models.PointStruct(id=2, vector=text("an icon of a dog"))])
    score = lambda **options: {p.id: p.score for p in client.query_points(
        "worded", query=models.Document(text="dog", model=MODEL, options=options or None)).points}
    assert score()[1] == pytest.approx(1, abs=1e-4)
    assert client.update_collection("worded", metadata={"text_templates": ["an icon of a {}"]})
    assert client.get_collection("worded").config.metadata == {"owner": "me", "text_templates": ["an icon of a {}"]}
    assert score()[2] == pytest.approx(1, abs=1e-4) and score()[1] < 0.999
    assert score(templates=[])[1] == pytest.approx(1, abs=1e-4)
    with pytest.raises(UnexpectedResponse, match="text_templates"):
        client.update_collection("worded", metadata={"text_templates": ["no place for the text"]})
