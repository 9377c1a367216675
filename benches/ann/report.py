"""The Markdown that `benches/ann/run` prints: machine and versions, tables, ratios beside their targets."""

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from pathlib import Path

RECALLS = [0.95, 0.99, 0.998]
GROWTH_RECALLS = [0.95, 0.99]
FILTER_RECALL = 0.99
QUANTISED = ["usearch-i8", "usearch-i8-rescored", "faiss-sq8", "qdrant-i8"]


def heading(root, here, python, arguments, profile):
    """Where and with what it was measured."""

    def first(command):
        try:
            return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "unknown"

    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    flags = set((re.search(r"flags\s*: (.*)", cpuinfo) or [""])[0].split())
    wide = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8") if flag in flags]
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    changed = "" if first(["git", "status", "--porcelain", "-uno"]) == "unknown" else " with changes"
    lock = (here / "qdrant-edge/Cargo.lock").read_text()
    qdrant = re.search(r'name = "qdrant-edge"\nversion = "(.*)"', lock)[1]
    pinned = ", ".join(line for line in (here / "requirements.txt").read_text().split() if re.match(r"(numpy|hnsw|use|fai)", line))
    rows = [
        ("CPU", f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores; {' '.join(wide)}"),
        ("memory", f"{memory:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, load at the start {load()}"),
        ("lookalike", f"commit {first(['git', 'rev-parse', '--short', 'HEAD'])}{changed}, cargo profile {profile}"),
        ("compilers", f"{first(['rustc', '--version'])}; {first(['c++', '--version'])}"),
        ("Python", f"{first([python, '--version']).removeprefix('Python ')}: {pinned}"),
        ("Qdrant", f"qdrant-edge {qdrant}, release profile"),
        ("when", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
    ]
    command = " ".join(["benches/ann/run", *arguments])
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"# Approximate search, side by side\n\n`{command}`\n\n| | |\n|---|---|\n{table}"


def load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def of(lines, stage):
    return [line for line in lines if line["stage"] == stage]


def curve(lines):
    """(recall, queries per CPU second) of each setting, none of them worse than another in both."""
    best = []
    for recall, speed in sorted(((line["recall"], line["per_cpu_s"]) for line in of(lines, "search")), reverse=True):
        if not best or speed > best[-1][1]:
            best.append((recall, speed))
    return best[::-1]


def at_recall(points, recall):
    """Queries per CPU second at a recall, between the two settings around it; None if not reached."""
    for (low, slow_low), (high, slow_high) in zip(points, points[1:]):
        if low <= recall <= high:
            share = (recall - low) / (high - low) if high > low else 0
            return slow_low + share * (slow_high - slow_low)
    return points[0][1] if points and points[0][0] >= recall else None


def ratio(ours, theirs):
    return ours / theirs if ours and theirs else None


def number(value, form=",.0f"):
    return "-" if value is None else f"{value:{form}}"


def markdown(head, rows):
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n{body}\n"


def built(lines, threads):
    """The build by so many threads; of two the last, which asked nothing."""
    found = [line for line in of(lines, "build") if line["threads"] == threads]
    return found[-1] if found else None


def asked(lines):
    """The build of the index that was asked."""
    return next(iter(of(lines, "build")), None)


def tables(name, about, results, threads):
    failed = [engine for engine, lines in results.items() if of(lines, "failed")]
    results = {engine: lines for engine, lines in results.items() if asked(lines)}
    distance = about["distance"].lower()
    builders = sorted({str(asked(lines)["threads"]) for lines in results.values()})
    parts = [
        f"\n## {name}\n",
        f"{about['rows']:,} rows of {about['dimension']} components, {distance}, {about['queries']:,} queries; M 16, "
        f"ef_construction 200, k 10. One process each, built by {' or '.join(builders)} thread(s), asked by one if not said "
        "otherwise.\n",
    ]
    if failed:
        parts.append(f"Failed: {', '.join(failed)}.\n")
    parts += [speeds(results), targets(results), filters(results)]
    if threads > 1:
        parts.append(scaling(results, threads))
    parts.append(markdown(["engine", "how it was set"], [[e, asked(l)["settings"]] for e, l in results.items()]))
    return "\n".join(parts)


def speeds(results):
    base = results.get("hnswlib", [])
    rows = []
    for engine, lines in results.items():
        build, points = asked(lines), curve(lines)
        reached = [at_recall(points, recall) for recall in RECALLS]
        ratios = " / ".join(number(ratio(a, at_recall(curve(base), r)), ".2f") for a, r in zip(reached, RECALLS))
        rows.append(
            [f"**{engine}**" if engine == "lookalike" else engine, f"{build['build_cpu_s']:.1f}"]
            + [f"{build['bytes'] / 1e6:,.0f}", f"{build['anonymous_bytes'] / 1e6:,.0f}"]
            + [number(speed) if speed else f"- (to {max(r for r, _ in points):.3f})" for speed in reached]
            + [ratios]
        )
    head = ["engine", "build, CPU s", "MB resident", "of it not files"]
    head += [f"queries per CPU s at {recall}" for recall in RECALLS] + ["ratio to hnswlib"]
    return markdown(head, rows)


def targets(results):
    """What the ratios were to be. The best quantised peer is the fastest at that recall."""
    ours, base = results.get("lookalike"), results.get("hnswlib")
    if not ours or not base:
        return ""
    rows = []
    for recall in RECALLS:
        mine, plain = at_recall(curve(ours), recall), at_recall(curve(base), recall)
        peers = {e: at_recall(curve(results[e]), recall) for e in QUANTISED if e in results}
        best = max((e for e in peers if peers[e]), key=lambda e: peers[e], default=None)
        quantised = f"{number(ratio(mine, peers[best]), '.2f')} ({best})" if best else "-"
        rows.append([f"queries per CPU s at {recall}", number(ratio(mine, plain), ".2f"), quantised])
    mine, plain = asked(ours), asked(base)
    rows.append(["CPU s of the build", number(ratio(mine["build_cpu_s"], plain["build_cpu_s"]), ".2f"), ""])
    rows.append(["resident memory", number(ratio(mine["bytes"], plain["bytes"]), ".2f"), ""])
    rows.append(["memory that is not files", number(ratio(mine["anonymous_bytes"], plain["anonymous_bytes"]), ".2f"), ""])
    for keep in sorted({line["keep"] for line in of(ours, "filter")}, reverse=True):
        (mine, _), (plain, _) = filtered_at(ours, keep), filtered_at(base, keep)
        others = {e: filtered_at(results[e], keep)[0] for e in results if e not in ("lookalike", "hnswlib")}
        best = max((e for e in others if others[e]), key=lambda e: others[e], default=None)
        beside = f"{number(ratio(mine, others[best]), '.1f')} ({best}, of all others)" if best else "-"
        rows.append([f"filtered, {keep:.1%} kept, at {FILTER_RECALL}", number(ratio(mine, plain), ".1f"), beside])
    return markdown(["lookalike's ratio", "to hnswlib", "to the best quantised peer"], rows)


def filtered_at(lines, keep):
    """(queries per CPU second at the first setting that finds enough or None, the setting that finds most)."""
    settings = [line for line in of(lines, "filter") if line["keep"] == keep and "recall" in line]
    enough = [line["per_cpu_s"] for line in settings if line["recall"] >= FILTER_RECALL]
    return max(enough, default=None), max(settings, key=lambda line: line["recall"], default=None)


def filters(results):
    """Recall and speed with a filter, each engine by its own."""
    keeps = sorted({line["keep"] for lines in results.values() for line in of(lines, "filter")}, reverse=True)
    if not keeps:
        return ""
    rows = []
    for engine, lines in results.items():
        if not of(lines, "filter"):
            continue
        cells = []
        for keep in keeps:
            speed, most = filtered_at(lines, keep)
            if speed:
                reached = next(l for l in of(lines, "filter") if l["keep"] == keep and l.get("per_cpu_s") == speed)
                cells.append(f"{speed:,.0f} at {reached['recall']:.3f}")
            else:
                cells.append(f"only {most['recall']:.3f}: {most['per_cpu_s']:,.0f}" if most else "fewer than k found")
        rows.append([f"**{engine}**" if engine == "lookalike" else engine, *cells])
    head = ["filtered: queries per CPU s at recall"] + [f"{keep:.1%} kept" for keep in keeps]
    return markdown(head, rows)


def scaling(results, threads):
    rows = []
    for engine, lines in results.items():
        one, many = built(lines, 1), built(lines, threads)
        cells = [engine]
        for line in of(lines, "scale")[:2]:
            cells.append(f"{line['qps_1']:,.0f} / {line['qps']:,.0f} = {line['qps'] / line['qps_1']:.2f} (at {line['recall']:.3f})")
        cells += ["-"] * (3 - len(cells))
        cells.append(f"{one['build_s']:.1f} / {many['build_s']:.1f} = {one['build_s'] / many['build_s']:.2f}" if one and many else "-")
        rows.append(cells)
    return markdown(
        [f"1 and {threads} threads", "queries per s near 0.95", "queries per s near 0.99", "build, s"], rows
    )


def growth(name, by_engine):
    """Microseconds of a query against rows, and by how much they grow where rows grow tenfold."""
    sizes = [size for size, _ in next(iter(by_engine.values()))]
    rows = []
    for engine, points in by_engine.items():
        for recall in GROWTH_RECALLS:
            times = [at_recall(curve_, recall) for _, curve_ in points]
            cells = [number(1e6 / speed, ",.1f") if speed else "-" for speed in times]
            rows.append([f"{engine} at {recall}", *cells])
    head = [f"{name}: CPU microseconds of a query"] + [f"{size:,} rows" for size in sizes]
    return f"\n## Growth: {name}\n\n" + markdown(head, rows)
