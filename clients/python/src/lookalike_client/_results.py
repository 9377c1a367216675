"""Answers that people look at: hits, and what an import came to, also in notebooks."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from ._models import ScoredPointOut

_MAX_PICTURE = 2 * 1024 * 1024
"""Largest file that a notebook's cell takes in, bytes."""
_TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".gif": "gif"}


@dataclass(frozen=True)
class SearchResult(Sequence[ScoredPointOut]):
    """Hits, best first. A notebook shows them as cards, with the pictures where `root` is known.

    Attributes:
        hits: what was found.
        root: the folder that the payload's `file` lies below.
    """

    hits: list[ScoredPointOut]
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, at: int) -> ScoredPointOut: ...
    @overload
    def __getitem__(self, at: slice) -> SearchResult: ...
    def __getitem__(self, at: int | slice) -> ScoredPointOut | SearchResult:
        if isinstance(at, slice):
            return SearchResult(self.hits[at], self.root)
        return self.hits[at]

    def __iter__(self) -> Iterator[ScoredPointOut]:
        return iter(self.hits)

    def __repr__(self) -> str:
        lines = [f"SearchResult of {len(self.hits)}"]
        for place, hit in enumerate(self.hits, 1):
            relevance = "" if hit.relevance is None else f"  relevance {hit.relevance:.2f}"
            lines.append(f"{place:4}. {hit.score:.3f}{relevance}  {_words(hit.payload)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cards = "".join(self._card(hit) for hit in self.hits) or "nothing is found"
        return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{cards}</div>'

    def _card(self, hit: ScoredPointOut) -> str:
        picture = self._picture(hit)
        bar = ""
        if hit.relevance is not None:
            share = max(0.0, min(1.0, hit.relevance))
            bar = (
                '<div role="meter" aria-label="relevance" aria-valuemin="0" aria-valuemax="1" '
                f'aria-valuenow="{share:.2f}" title="relevance {share:.2f}" '
                'style="height:5px;background:#8884;border-radius:3px">'
                f'<div style="width:{share:.0%};height:5px;background:#4a8;border-radius:3px"></div></div>'
            )
        about = html.escape(_words(hit.payload))
        return (
            '<figure style="width:160px;margin:0;font:12px sans-serif;overflow-wrap:anywhere">'
            f"{picture}{bar}<figcaption><b>{hit.score:.3f}</b> {about}</figcaption></figure>"
        )

    def _picture(self, hit: ScoredPointOut) -> str:
        name = (hit.payload or {}).get("file")
        if self.root is None or not isinstance(name, str):
            return ""
        root = self.root.resolve()
        path = (root / name).resolve()
        kind = _TYPES.get(path.suffix.lower())
        # A payload is data: it does not lead out of the folder.
        inside = path.is_relative_to(root) and path.is_file() and path.stat().st_size <= _MAX_PICTURE
        if kind is None or not inside:
            return ""
        data = base64.b64encode(path.read_bytes()).decode()
        alt = html.escape(name, quote=True)
        style = "width:160px;height:120px;object-fit:contain"
        return f'<img src="data:image/{kind};base64,{data}" alt="{alt}" style="{style}">'


def _words(payload: dict[str, Any] | None) -> str:
    def word(value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value)
        return text if len(text) <= 60 else text[:59] + "…"

    return ", ".join(f"{key}: {word(value)}" for key, value in (payload or {}).items())


@dataclass
class ImportReport:
    """What an import came to.

    Attributes:
        imported: items written now.
        already_there: items that the collection had.
        errors: item and reason of what failed.
        ids: the point of each item that was written or there.
    """

    imported: int = 0
    already_there: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    ids: dict[str, int | str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.imported} imported, {self.already_there} already there"
        return f"{text}, {len(self.errors)} failed" if self.errors else text

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(item)}</td><td>{html.escape(why)}</td></tr>"
            for item, why in self.errors.items()
        )
        table = f"<table><tr><th>item</th><th>error</th></tr>{rows}</table>" if rows else ""
        return f"<p>{html.escape(str(self))}</p>{table}"
