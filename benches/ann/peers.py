"""One peer over one data set: prints a JSON line for its build and one for each setting, as `measure.rs` does.

    python peers.py ENGINE DIR BUILD_THREADS STAGES THREADS

STAGES are `search`, `filter` and `scale` with commas, or `-` for the build alone; THREADS is what `scale` goes
up to. M 16, ef_construction 200, k 10. Speed is queries per second of the best round, and queries per CPU second
over all rounds. Memory is what is resident beyond what was before the build, the rows' own mapping left out.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

M, EF_CONSTRUCTION, K = 16, 200, 10
EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
FILTERED_EFS = [16, 64, 128, 256, 512, 1024]
FILTERED_QUERIES = 200
ENOUGH = 0.9995  # the curve ends where nearly everything is found
SCALED_AT = [0.95, 0.99]  # a second thread is looked at where so much is found
TIE = 1e-6  # scores that differ by less are the same but for rounding
SPAN_S = float(os.environ.get("ANN_SPAN_S", 1))  # a measurement takes at least so many CPU seconds
SLOW_S = 2.0  # where a tenth of the filtered queries takes longer, they are all that is asked
PIECE = 20_000
# So many times k of the best by bytes are compared exactly; the usual one first. What is best at a recall counts.
RESCORED = [2, 1.5, 4]


class Hnswlib:
    """Its only filter is a function for each candidate. A method that is C is the cheapest there is in Python."""

    settings = "f32; filters by a Python function for each candidate (bytes.__getitem__)"

    def __init__(self, base, threads):
        import hnswlib

        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), M=M, ef_construction=EF_CONSTRUCTION)
        self.index.add_items(base, num_threads=threads)
        self.rows, self.masks = len(base), {}

    def set(self, ef, rescored=0, threads=1):
        self.index.set_ef(ef)
        self.threads = threads

    def search(self, queries):
        return self.index.knn_query(queries, K, num_threads=self.threads)[0]

    def filtered(self, queries, keep):
        if keep not in self.masks:
            self.masks[keep] = (np.arange(self.rows) % keep == 0).tobytes()
        allowed = self.masks[keep].__getitem__
        return self.index.knn_query(queries, K, num_threads=self.threads, filter=allowed)[0]


class Usearch:
    """Its Python module has no filter."""

    def __init__(self, base, threads, dtype):
        from usearch.index import Index

        self.settings = f"{dtype}; no filter in its Python module"
        self.index = Index(ndim=base.shape[1], metric="cos", dtype=dtype, connectivity=M, expansion_add=EF_CONSTRUCTION)
        for start in range(0, len(base), PIECE):
            rows = self.prepared(base[start : start + PIECE])
            self.index.add(np.arange(start, start + len(rows)), rows, threads=threads)

    def prepared(self, rows):
        return rows

    def set(self, ef, rescored=0, threads=1):
        self.index.expansion_search = ef
        self.threads = threads

    def search(self, queries):
        return self.index.search(self.prepared(queries), K, threads=self.threads).keys


class UsearchBytes(Usearch):
    """Bytes of our own making, on the scale of the largest component: it would make them of the unit vector
    whatever its components are, and most of the byte's range would lie idle. It has no rescoring of its own;
    where it is asked for, more than k are looked for and compared exactly by faiss's kernel."""

    def __init__(self, base, threads, rescored):
        import faiss

        self.faiss = faiss
        largest = max(np.abs(base[start : start + PIECE]).max() for start in range(0, len(base), PIECE))
        self.scale = np.float32(127 / largest)
        super().__init__(base, threads, "i8")
        self.rescored = RESCORED if rescored else [0]
        exactly = "the best 15, 20 or 40 compared exactly by faiss" if rescored else "scores by bytes, not rescored"
        self.settings = f"i8 on the scale of the largest component, {exactly}; no filter in its Python module"
        self.base = np.memmap(base.filename, np.float32, "r").reshape(base.shape) if rescored else None

    def prepared(self, rows):
        return np.clip(np.rint(rows * self.scale), -127, 127).astype(np.int8)

    def set(self, ef, rescored=0, threads=1):
        super().set(ef, rescored, threads)
        self.faiss.omp_set_num_threads(threads)
        self.wanted = round(max(rescored, 1) * K)

    def search(self, queries):
        found = self.index.search(self.prepared(queries), self.wanted, threads=self.threads).keys
        if self.base is None:
            return found
        found = np.ascontiguousarray(found, np.int64)
        scores = np.empty(found.shape, np.float32)
        of = self.faiss.swig_ptr
        self.faiss.fvec_inner_products_by_idx(
            of(scores), of(queries), of(self.base), of(found), queries.shape[1], *found.shape
        )
        return np.take_along_axis(found, np.argpartition(-scores, K - 1, axis=1)[:, :K], axis=1)


class Faiss:
    settings = "f32; filters by IDSelectorBitmap"

    def __init__(self, base, threads):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)
        self.graph = self.index = faiss.IndexHNSWFlat(base.shape[1], M, faiss.METRIC_INNER_PRODUCT)
        self.graph.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.add(base)
        self.rows, self.bitmaps = len(base), {}

    def prepared(self, rows):
        return rows

    def set(self, ef, rescored=0, threads=1):
        self.faiss.omp_set_num_threads(threads)
        self.ef = self.graph.hnsw.efSearch = ef
        if rescored:
            self.index.k_factor = rescored

    def search(self, queries):
        return self.index.search(self.prepared(queries), K)[1]

    def selected(self, keep):
        if keep not in self.bitmaps:
            self.bitmaps[keep] = np.packbits(np.arange(self.rows) % keep == 0, bitorder="little")
        return self.faiss.SearchParametersHNSW(
            sel=self.faiss.IDSelectorBitmap(self.bitmaps[keep]), efSearch=self.ef
        )

    def filtered(self, queries, keep):
        return self.index.search(self.prepared(queries), K, params=self.selected(keep))[1]


class FaissBytes(Faiss):
    """IndexHNSWSQ behind IndexRefineFlat. QT_8bit_direct takes bytes as they are and compares them as
    integers, which is the fastest of its quantisers; Euclidean distance does not mind the shift to 0..255, and
    of unit vectors it puts the same ones first. Components are filled up to the kernel's 16."""

    def __init__(self, base, threads):
        import faiss

        self.faiss = faiss
        self.settings = (
            "QT_8bit_direct (L2 over shifted bytes), IndexRefineFlat with k_factor 1.5, 2 or 4; "
            "filters by IDSelectorBitmap"
        )
        faiss.omp_set_num_threads(threads)
        self.rows, self.bitmaps = len(base), {}
        self.largest = max(np.abs(base[start : start + PIECE]).max() for start in range(0, len(base), PIECE))
        self.fill = -base.shape[1] % 16
        dimension = base.shape[1] + self.fill
        kind = faiss.ScalarQuantizer.QT_8bit_direct
        self.graph = faiss.IndexHNSWSQ(dimension, kind, M, faiss.METRIC_L2)
        self.graph.hnsw.efConstruction = EF_CONSTRUCTION
        self.index = faiss.IndexRefineFlat(self.graph)
        self.index.train(self.prepared(base[:PIECE]))
        for start in range(0, len(base), PIECE):
            self.index.add(self.prepared(base[start : start + PIECE]))

    rescored = RESCORED

    def prepared(self, rows):
        shifted = np.full((len(rows), rows.shape[1] + self.fill), 127.5, np.float32)
        shifted[:, : rows.shape[1]] += rows * np.float32(127.5 / self.largest)
        return np.clip(shifted, 0, 255, out=shifted)

    def filtered(self, queries, keep):
        params = self.faiss.IndexRefineSearchParameters(
            k_factor=self.index.k_factor, base_index_params=self.selected(keep)
        )
        return self.index.search(self.prepared(queries), K, params=params)[1]


ENGINES = {
    "hnswlib": Hnswlib,
    "usearch-f32": lambda base, threads: Usearch(base, threads, "f32"),
    "usearch-bf16": lambda base, threads: Usearch(base, threads, "bf16"),
    "usearch-i8": lambda base, threads: UsearchBytes(base, threads, rescored=False),
    "usearch-i8-rescored": lambda base, threads: UsearchBytes(base, threads, rescored=True),
    "faiss-hnsw": Faiss,
    "faiss-sq8": FaissBytes,
}


class Set:
    def __init__(self, directory):
        about = json.loads((directory / "set.json").read_text())
        self.file, self.dimension = directory / "base.f32", about["dimension"]
        self.rows, self.keeps = about["rows"], about["keeps"]
        self.queries = np.fromfile(directory / "queries.f32", np.float32).reshape(-1, self.dimension)
        self.tenth = np.fromfile(directory / "tenth.f32", np.float32).reshape(len(self.keeps), -1)

    def base(self):
        return np.memmap(self.file, np.float32, "r").reshape(self.rows, self.dimension)

    def recall(self, answers, level):
        """Share of answers that the filter lets through and that score no worse than the tenth of the truth."""
        answers = np.asarray(answers, np.int64)
        queries, tenth = self.queries[: len(answers)], self.tenth[level][: len(answers)]
        scores = np.einsum("qkd,qd->qk", self.base()[np.maximum(answers, 0)], queries, dtype=np.float64)
        right = (scores >= tenth[:, None] - TIE) & (answers >= 0) & (answers % self.keeps[level] == 0)
        return float(right.sum() / (len(queries) * K))


def resident():
    """Bytes that are resident, and of these those that no file stands behind; what was freed is given back first."""
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return [1024 * int(status.split(name)[1].split()[0]) for name in ("VmRSS:", "RssAnon:")]


def timed(search, queries):
    """(answers, queries per second of the best round, queries per CPU second)."""
    best, asked, cpu = 0.0, 0, time.process_time()
    while asked == 0 or time.process_time() - cpu < SPAN_S:
        began = time.perf_counter()
        answers = search(queries)
        best = max(best, len(queries) / (time.perf_counter() - began))
        asked += len(queries)
    return answers, best, asked / (time.process_time() - cpu)


def searched(index, data, tell):
    """(recall, queries per CPU second, ef, rescored) of each setting."""
    curve = []
    for rescored in getattr(index, "rescored", [0]):
        for ef in EFS:
            index.set(ef, rescored)
            answers, qps, per_cpu_s = timed(index.search, data.queries)
            recall = data.recall(answers, 0)
            curve.append((recall, per_cpu_s, ef, rescored))
            tell(stage="search", ef=ef, rescored=rescored, recall=recall, qps=qps, per_cpu_s=per_cpu_s)
            if recall >= ENOUGH:
                break
    return curve


def filtered(index, data, tell):
    for level, keep in enumerate(data.keeps):
        if keep == 1 or data.rows // keep < K:
            continue
        queries = data.queries[:FILTERED_QUERIES]
        for ef in FILTERED_EFS:
            index.set(ef, getattr(index, "rescored", [0])[0])
            try:
                cpu = time.process_time()
                index.filtered(queries[: FILTERED_QUERIES // 10], keep)
                if time.process_time() - cpu > SLOW_S:
                    queries = queries[: FILTERED_QUERIES // 10]
                answers, qps, per_cpu_s = timed(lambda q: index.filtered(q, keep), queries)
            except RuntimeError as error:  # hnswlib found fewer than k
                tell(stage="filter", keep=1 / keep, ef=ef, failed=str(error))
                continue
            recall = data.recall(answers, level)
            tell(stage="filter", keep=1 / keep, ef=ef, recall=recall, qps=qps, per_cpu_s=per_cpu_s)
            if recall >= ENOUGH:
                break


def scaled(index, data, tell, curve, threads):
    """Rounds with one thread and with several in turn, at the fastest setting that finds so much; the best of each."""
    for least in SCALED_AT:
        reached = [point for point in curve if point[0] >= least]
        if not reached:
            continue
        recall, _, ef, rescored = max(reached, key=lambda point: point[1])
        best, rounds, began = {1: 0.0, threads: 0.0}, 0, time.perf_counter()
        while rounds < 5 or time.perf_counter() - began < 4 * SPAN_S:
            for number in best:
                index.set(ef, rescored, number)
                start = time.perf_counter()
                index.search(data.queries)
                best[number] = max(best[number], len(data.queries) / (time.perf_counter() - start))
            rounds += 1
        qps = {"qps_1": best[1], "qps": best[threads]}
        tell(stage="scale", ef=ef, rescored=rescored, recall=recall, threads=threads, **qps)


def main():
    engine, directory, build_threads, stages, threads = sys.argv[1:]
    data, stages, build_threads = Set(Path(directory)), stages.split(","), int(build_threads)
    # Modules are loaded before the memory is looked at.
    __import__(engine.split("-")[0])
    __import__("faiss") if engine.startswith("usearch-i8") else None

    def tell(**line):
        print(json.dumps({"engine": engine} | line), flush=True)

    before, base = resident(), data.base()
    began, cpu = time.perf_counter(), time.process_time()
    index = ENGINES[engine](base, build_threads)
    build_s, build_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    del base  # its pages are not the engine's
    curve = searched(index, data, tell) if "search" in stages else []
    # After the queries, so that what they bring in from files is counted.
    size, anonymous_size = (now - then for now, then in zip(resident(), before))
    tell(
        stage="build", settings=index.settings, threads=build_threads, build_s=build_s, build_cpu_s=build_cpu_s,
        bytes=size, anonymous_bytes=anonymous_size,
    )
    if "filter" in stages and hasattr(index, "filtered"):
        filtered(index, data, tell)
    if "scale" in stages:
        scaled(index, data, tell, curve, int(threads))


if __name__ == "__main__":
    main()
