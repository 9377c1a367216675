"""One peer over one data set: prints a JSON line for its build and one for each setting.

    python peers.py ENGINE DIR [THREADS]

ENGINE is hnswlib, usearch-f32, usearch-i8, faiss-hnsw or faiss-sq8. M 16, ef_construction 200, k 10.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

M, EF_CONSTRUCTION, K = 16, 200, 10
EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
FILTERED_QUERIES = 200


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Hnswlib:
    def __init__(self, base, threads):
        import hnswlib

        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.set_num_threads(threads)
        self.index.add_items(base, num_threads=threads)
        self.threads = threads

    def set_ef(self, ef):
        self.index.set_ef(ef)

    def search(self, queries):
        return self.index.knn_query(queries, K, num_threads=self.threads)[0]

    def filtered(self, queries, keep):
        return self.index.knn_query(queries, K, num_threads=self.threads, filter=lambda i: i % keep == 0)[0]


class Usearch:
    def __init__(self, base, threads, dtype):
        from usearch.index import Index

        self.index = Index(ndim=base.shape[1], metric="cos", dtype=dtype, connectivity=M, expansion_add=EF_CONSTRUCTION)
        self.index.add(np.arange(len(base)), base, threads=threads)
        self.threads = threads

    def set_ef(self, ef):
        self.index.expansion_search = ef

    def search(self, queries):
        return self.index.search(queries, K, threads=self.threads).keys


class Faiss:
    """HNSW over floats, or over bytes with the best 20 refined by floats."""

    def __init__(self, base, threads, bytes_):
        import faiss

        faiss.omp_set_num_threads(threads)
        dimension = base.shape[1]
        if bytes_:
            kind = faiss.ScalarQuantizer.QT_8bit
            self.graph = faiss.IndexHNSWSQ(dimension, kind, M, faiss.METRIC_INNER_PRODUCT)
            self.index = faiss.IndexRefineFlat(self.graph)
            self.index.k_factor = 2
        else:
            self.graph = self.index = faiss.IndexHNSWFlat(dimension, M, faiss.METRIC_INNER_PRODUCT)
        self.graph.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.train(base)
        self.index.add(base)

    def set_ef(self, ef):
        self.graph.hnsw.efSearch = ef

    def search(self, queries):
        return self.index.search(queries, K)[1]


ENGINES = {
    "hnswlib": Hnswlib,
    "usearch-f32": lambda base, threads: Usearch(base, threads, "f32"),
    "usearch-i8": lambda base, threads: Usearch(base, threads, "i8"),
    "faiss-hnsw": lambda base, threads: Faiss(base, threads, False),
    "faiss-sq8": lambda base, threads: Faiss(base, threads, True),
}


def timed(search, queries):
    """(answers, queries per second of the best round, queries per CPU second)."""
    best, asked, cpu = 0.0, 0, time.process_time()
    while asked == 0 or time.process_time() - cpu < 1.0:
        began = time.perf_counter()
        answers = search(queries)
        best = max(best, len(queries) / (time.perf_counter() - began))
        asked += len(queries)
    return answers, best, asked / (time.process_time() - cpu)


def recall(answers, base, queries, tenth):
    """Share of answers that score no worse than the tenth of the truth: equal vectors may stand for each other."""
    scores = np.einsum("qkd,qd->qk", base[np.asarray(answers, np.int64)], queries)
    return float((scores >= tenth[:, None] - 1e-6).sum() / (len(queries) * K))


def main():
    engine, directory, *threads = sys.argv[1:]
    directory, threads = Path(directory), int(threads[0]) if threads else 1
    dimension = json.loads((directory / "set.json").read_text())["dimension"]
    base, queries = (np.fromfile(directory / f, np.float32).reshape(-1, dimension) for f in ("base.f32", "queries.f32"))
    truth = np.fromfile(directory / "truth.u32", np.uint32).reshape(len(queries), -1)
    tenth = np.einsum("qd,qd->q", base[truth[:, K - 1]], queries)
    before, began, cpu = resident_bytes(), time.perf_counter(), time.process_time()
    index = ENGINES[engine](base, threads)
    line = {"engine": engine, "build_s": time.perf_counter() - began, "build_cpu_s": time.process_time() - cpu}
    print(json.dumps(line | {"bytes": resident_bytes() - before}), flush=True)
    for ef in EFS:
        index.set_ef(ef)
        answers, qps, per_cpu_s = timed(index.search, queries)
        line = {"engine": engine, "ef": ef, "recall": recall(answers, base, queries, tenth), "qps": qps, "per_cpu_s": per_cpu_s}
        print(json.dumps(line), flush=True)
    if hasattr(index, "filtered"):
        few = queries[:FILTERED_QUERIES]
        for keep in (2, 10, 100):
            allowed = np.arange(0, len(base), keep)
            few_tenth = np.sort(few @ base[allowed].T, 1)[:, -K]
            for ef in (64, 128):
                index.set_ef(ef)
                try:
                    answers, qps, per_cpu_s = timed(lambda q: index.filtered(q, keep), few)
                except RuntimeError:  # fewer than k found
                    continue
                line = {"engine": engine, "keep": 1 / keep, "ef": ef, "recall": recall(answers, base, few, few_tenth)}
                print(json.dumps(line | {"qps": qps, "per_cpu_s": per_cpu_s}), flush=True)


if __name__ == "__main__":
    main()
