"""Plots of `benches/ann/run` as SVG. No background, and colours that can be read on white and on black, so
that the same file serves light and dark pages."""

import math

import report

TEXT, GRID = "#768390", "#76839040"
COLOURS = {
    "lookalike": "#e8590c",
    "hnswlib": "#3b82f6",
    "usearch-f32": "#64748b",
    "usearch-bf16": "#64748b",
    "usearch-i8": "#a855f7",
    "usearch-i8-rescored": "#a855f7",
    "faiss-hnsw": "#2f9e44",
    "faiss-sq8": "#2f9e44",
    "qdrant-f32": "#e64980",
    "qdrant-i8": "#e64980",
}
# Engines over bytes are dashed, in the colour of their library.
DASHED = {"usearch-i8": "2 3", "usearch-i8-rescored": "7 3", "faiss-sq8": "7 3", "qdrant-i8": "7 3"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 780, 430, 84, 176, 40, 54
LABEL_GAP = 15
LEAST_GAIN = 0.0003  # of recall, from one point of a curve to the next


class Axes:
    """A frame with two scales, each a function to 0..1."""

    def __init__(self, title, x_title, y_title, x, y):
        self.x, self.y = x, y
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="12" fill="{TEXT}" role="img" aria-label="{title}">',
            f'<text x="{LEFT}" y="22" font-size="15" font-weight="600">{title}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{x_title}</text>',
            f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{y_title}</text>',
        ]
        self.labels = []

    def place(self, x, y):
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * self.x(x),
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * self.y(y),
        )

    def tick_x(self, value, text, low):
        x, _ = self.place(value, low)
        self.parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        self.parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')

    def tick_y(self, value, text, low):
        _, y = self.place(low, value)
        self.parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        self.parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')

    def line(self, engine, points, label, dashes=None, dots=False):
        if not points:
            return
        colour, width = COLOURS.get(engine, TEXT), 3 if engine == "lookalike" else 1.8
        dashes = dashes or DASHED.get(engine)
        places = [self.place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linejoin="round"{dashed}/>'
        )
        if dots:
            self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{width + 0.6}" fill="{colour}"/>' for x, y in places]
        self.labels.append((places[-1], label, colour, width, dashed))

    def finished(self):
        """The names on the right, in the order of the curves' ends, moved apart; a thin line leads to the end."""
        labels = sorted(self.labels, key=lambda label: label[0][1])
        heights, lowest = [], HEIGHT - BOTTOM
        for (_, y), *_ in labels:
            heights.append(max(y, heights[-1] + LABEL_GAP if heights else TOP))
        for i in reversed(range(len(heights))):
            heights[i] = min(heights[i], lowest)
            lowest = heights[i] - LABEL_GAP
        start = WIDTH - RIGHT + 14
        for ((x, y), text, colour, width, dashed), height in zip(labels, heights):
            self.parts.append(
                f'<path d="M{x + 3:.1f} {y:.1f}L{start:.1f} {height:.1f}" stroke="{colour}" stroke-width="0.6" opacity="0.6"/>'
                f'<path d="M{start:.1f} {height:.1f}h20" stroke="{colour}" stroke-width="{width}"{dashed}/>'
                f'<text x="{start + 25:.1f}" y="{height + 4:.1f}" fill="{colour}" font-weight="{700 if width > 2 else 400}">{text}</text>'
            )
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def within(points, low, high):
    """The part of a curve between two values of x, its ends put between settings."""
    cut = []
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if x1 <= x0:
            continue
        for x in (low, high):
            if x0 < x < x1:
                cut.append((x, y0 + (x - x0) / (x1 - x0) * (y1 - y0)))
    return sorted(cut + [point for point in points if low <= point[0] <= high])


def ended(points):
    """A curve without its end, where it slows down and finds nothing more."""
    kept = points[:1]
    for point in points[1:]:
        if point[0] - kept[-1][0] > LEAST_GAIN:
            kept.append(point)
    return kept


def recall(title, curves):
    """Queries per CPU second (logarithmic) against recall; each step to the right halves what is missed."""
    low, high = 0.8, 0.999
    curves = {engine: within(ended(points), low, high) for engine, points in curves.items()}
    speeds = [speed for points in curves.values() for _, speed in points] or [1, 10]
    bottom, top = math.log10(min(speeds)) - 0.05, math.log10(max(speeds)) + 0.05
    span = math.log2((1 - low) / (1 - high))
    axes = Axes(
        title,
        "recall@10",
        "queries per CPU second",
        lambda recall: math.log2((1 - low) / (1 - recall)) / span,
        lambda speed: (math.log10(speed) - bottom) / (top - bottom),
    )
    for value in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999):
        axes.tick_x(value, f"{value:g}", min(speeds))
    for power in range(math.floor(bottom), math.ceil(top) + 1):
        for step in (1, 2, 5):
            value = step * 10.0**power
            if bottom <= math.log10(value) <= top:
                axes.tick_y(value, f"{value:,.0f}", low)
    for engine, points in sorted(curves.items(), key=lambda curve: curve[0] == "lookalike"):
        axes.line(engine, points, engine)
    return axes.finished()


def growth(title, by_engine):
    """Time of a query against rows (logarithmic): what grows with the logarithm is a straight line."""
    lines = {}
    for engine, points in by_engine.items():
        for wanted in report.GROWTH_RECALLS:
            speeds = [(size, report.at_recall(curve, wanted)) for size, curve in points]
            lines[engine, wanted] = [(size, 1e6 / speed) for size, speed in speeds if speed]
    sizes = sorted({size for points in by_engine.values() for size, _ in points})
    slowest = max((time for points in lines.values() for _, time in points), default=1.0)
    step = next(
        s * 10.0**p for p in range(-2, 8) for s in (1, 2, 5) if slowest / (s * 10.0**p) <= 6
    )
    top = math.ceil(slowest / step) * step
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])
    axes = Axes(
        title,
        "rows",
        "CPU microseconds of a query",
        lambda size: (math.log10(size) - first) / ((last - first) or 1),
        lambda time: time / top,
    )
    for size in sizes:
        axes.tick_x(size, f"{size:,}", 0)
    for i in range(round(top / step) + 1):
        axes.tick_y(i * step, f"{i * step:,.10g}", sizes[0])
    for (engine, wanted), points in lines.items():
        dashes = None if wanted == report.GROWTH_RECALLS[0] else "3 3"
        axes.line(engine, points, f"{engine} at {wanted}", dashes or "none", dots=True)
    return axes.finished()
