"""All kinds of queries, on this server and in the official client's own exact implementation."""

import base64
import json

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from conftest import ROOT

EXACT = models.SearchParams(exact=True)


@pytest.fixture(params=list(models.Distance))
def both(client, request):
    """A hundred points with two vectors each, in the server and in memory."""
    random = np.random.default_rng(5)
    params = models.VectorParams(size=6, distance=request.param)
    points = [
        models.PointStruct(
            id=i,
            vector={"": random.normal(size=6).tolist(), "b": random.normal(size=6).tolist()},
            payload={
                "n": int(random.permutation(1000)[0]) * 100 + i,
                "price": float(random.random()),
                "at": f"2026-{i % 12 + 1:02}-{i % 28 + 1:02}T{i % 24:02}:00:00Z",
                "kind": ["x", "y", "z", "w"][i % 4] if i % 10 else ["x", "y"],
                "shelf": i % 7,
            },
        )
        for i in range(100)
    ]
    ones = [client, QdrantClient(":memory:")]
    for one in ones:
        one.create_collection("c", vectors_config={"": params, "b": params})
        one.upsert("c", points)
    for field, kind in {"n": "integer", "price": "float", "at": "datetime"}.items():
        client.create_payload_index("c", field, kind)
    return ones


def same(both, **query):
    answers = [one.query_points("c", with_payload=True, search_params=EXACT, **query).points for one in both]
    assert [p.id for p in answers[0]] == [p.id for p in answers[1]], query
    scored = not isinstance(query.get("query"), models.OrderByQuery)
    for ours, theirs in zip(*answers):
        assert not scored or ours.score == pytest.approx(theirs.score, abs=1e-4), query
        assert ours.payload == theirs.payload
    return answers[0]


def vector(random):
    return random.normal(size=6).tolist()


FEW = models.Filter(must=[models.FieldCondition(key="shelf", range=models.Range(gte=2))])


@pytest.mark.parametrize("strategy", [None, *models.RecommendStrategy])
def test_recommendations(both, strategy):
    random = np.random.default_rng(6)
    for negative in [[], [3], [4, vector(random), 9]]:
        recommend = models.RecommendInput(positive=[1, vector(random), 7], negative=negative, strategy=strategy)
        hits = same(both, query=models.RecommendQuery(recommend=recommend), limit=12, offset=2, query_filter=FEW)
        assert len(hits) == 12 and not {1, 7} & {p.id for p in hits}
    if strategy in (models.RecommendStrategy.BEST_SCORE, models.RecommendStrategy.SUM_SCORES):
        same(both, query=models.RecommendQuery(recommend=models.RecommendInput(negative=[5], strategy=strategy)))


def test_discovery_and_context(both):
    random = np.random.default_rng(7)
    pairs = [models.ContextPair(positive=vector(random), negative=8), models.ContextPair(positive=9, negative=vector(random))]
    discover = models.DiscoverInput(target=vector(random), context=pairs)
    same(both, query=models.DiscoverQuery(discover=discover), limit=20, query_filter=FEW)
    answers = [one.query_points("c", query=models.ContextQuery(context=pairs), limit=98).points for one in both]
    for ours, theirs in zip(*answers):  # equal scores are many: those of 0
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)


def test_what_comes_first_is_fused_or_rescored(both):
    random = np.random.default_rng(8)
    prefetch = [
        models.Prefetch(query=vector(random), limit=30, filter=FEW),
        models.Prefetch(query=vector(random), using="b", limit=20),
        models.Prefetch(
            query=vector(random), limit=8,
            prefetch=models.Prefetch(query=models.RecommendQuery(recommend=models.RecommendInput(positive=[2])), limit=25),
        ),
    ]
    fusions = [
        models.FusionQuery(fusion=models.Fusion.RRF),
        models.FusionQuery(fusion=models.Fusion.DBSF),
        models.RrfQuery(rrf=models.Rrf(k=20, weights=[1.0, 0.5, 3.0])),
    ]
    for fusion in fusions:
        ours, theirs = ([(p.score, p.id) for p in one.query_points("c", query=fusion, prefetch=prefetch, limit=40).points] for one in both)
        # Equal scores may stand in any order.
        assert len(ours) == len(theirs)
        for (a, _), (b, _) in zip(ours, theirs):
            assert a == pytest.approx(b, abs=1e-4)
        assert same(both, query=models.FusionQuery(fusion=models.Fusion.DBSF), prefetch=prefetch[:2], limit=5, offset=3)
    same(both, query=vector(random), prefetch=prefetch, limit=15, query_filter=FEW)
    same(both, query=vector(random), using="b", prefetch=prefetch[2], limit=5)


def test_groups_are_full(both):
    random = np.random.default_rng(9)
    for field, size in [("kind", 3), ("shelf", 14), ("shelf", 1)]:
        asked = vector(random)
        ours, theirs = (
            one.query_points_groups("c", query=asked, group_by=field, group_size=size, limit=3, with_payload=["n"], search_params=EXACT).groups
            for one in both
        )
        assert [g.id for g in ours] == [g.id for g in theirs]
        for mine, reference in zip(ours, theirs):
            assert [p.id for p in mine.hits] == [p.id for p in reference.hits], field
            assert all(set(p.payload) == {"n"} for p in mine.hits)


def test_values_are_counted(both):
    for key, kind in {"kind": "keyword", "shelf": "integer"}.items():
        with pytest.raises(UnexpectedResponse, match=f"no index over `{key}`"):
            both[0].facet("c", key=key)
        both[0].create_payload_index("c", key, kind)
        for options in [{}, {"limit": 2}, {"facet_filter": FEW, "limit": 100}]:
            ours, theirs = (sorted((-h.count, h.value) for h in one.facet("c", key=key, **options).hits) for one in both)
            assert [count for count, _ in ours] == [count for count, _ in theirs]
            assert "limit" in options and options["limit"] == 2 or ours == theirs


def test_the_order_of_payload_fields(both):
    for key in ["n", "price", "at"]:
        for direction in models.Direction:
            order = models.OrderBy(key=key, direction=direction)
            if key == "at":  # equal ones may stand in any order
                ours, theirs = (sorted((r.payload["at"], r.id) for r in one.scroll("c", order_by=order, limit=100)[0]) for one in both)
                assert ours == theirs
                continue
            ours, theirs = (one.scroll("c", order_by=order, scroll_filter=FEW, limit=30) for one in both)
            assert ours[1] is None and [(r.id, r.order_value) for r in ours[0]] == [(r.id, r.order_value) for r in theirs[0]]
            same(both, query=models.OrderByQuery(order_by=order), limit=7, offset=3)
    start = models.OrderBy(key="price", start_from=0.5)
    assert all(p.payload["price"] >= 0.5 for p in same(both, query=models.OrderByQuery(order_by=start), limit=100))
    with pytest.raises(UnexpectedResponse, match="No range index for `order_by` key: `shelf`"):
        both[0].scroll("c", order_by="shelf")
    drawn = both[0].query_points("c", query=models.SampleQuery(sample=models.Sample.RANDOM), limit=60, query_filter=FEW).points
    assert len({p.id for p in drawn}) == 60 and all(p.id % 7 >= 2 for p in drawn)


def test_texts_and_pictures_stand_anywhere_in_a_query(client):
    def picture(path):
        return models.Image(image=base64.b64encode(path.read_bytes()).decode(), model="bundled")

    files = sorted((ROOT / "samples/clothing").glob("*.jpg"))[:20]
    client.create_collection("p", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
    client.upsert("p", [models.PointStruct(id=i, vector=picture(f)) for i, f in enumerate(files)])
    text = models.Document(text="trousers", model="bundled")
    liked = models.RecommendQuery(recommend=models.RecommendInput(positive=[picture(files[3]), text], negative=[models.Document(text="shoes", model="bundled")], strategy="best_score"))
    assert client.query_points("p", query=liked, limit=1).points[0].id == 3
    first = [models.Prefetch(query=text, limit=10), models.Prefetch(query=picture(files[3]), limit=10)]
    assert 3 in [p.id for p in client.query_points("p", query=models.FusionQuery(fusion="rrf"), prefetch=first, limit=3).points]
    parts = [{"image": picture(files[5]).image, "weight": 1.0}, {"image": picture(files[6]).image, "weight": -0.5}, {"text": "clothes", "weight": 0.01}]
    mixed = client.query_points("p", query=models.InferenceObject(object=parts, model="bundled"), limit=1)
    assert mixed.points[0].id == 5


def test_relevance_is_asked_for_in_the_options_of_a_text_and_read_as_the_order_value(client):
    lines = [json.loads(line) for line in (ROOT / "samples/samples.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["kind"] != "clothing"][:200]
    client.create_collection("p", vectors_config=models.VectorParams(size=256, distance=models.Distance.COSINE))
    client.upload_points("p", [
        models.PointStruct(
            id=i,
            vector=models.Image(image=base64.b64encode((ROOT / "samples" / line["file"]).read_bytes()).decode(), model="bundled"),
        )
        for i, line in enumerate(lines)
    ], wait=True)

    def ask(**options):
        text = models.Document(text=lines[0]["label"], model="bundled", options=options)
        return client.query_points("p", query=text, limit=20).points

    assert all(hit.order_value is None for hit in ask())
    hits = ask(with_relevance=True)
    said = [hit.order_value for hit in hits]
    assert len(said) == 20 and said == sorted(said, reverse=True) and all(0 <= r <= 1 for r in said)
    assert [(hit.id, hit.order_value) for hit in ask(min_relevance=said[4])] == [(hit.id, hit.order_value) for hit in hits[:5]]
    with pytest.raises(UnexpectedResponse, match="query.*min_relevance is 3"):
        ask(min_relevance=3)
