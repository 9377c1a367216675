"""The Python in the README and the documents runs, page by page, against a server of its own.

A block after `<!-- not run: reason -->` is left out; `localhost:6333` is the page's server. Blocks of a page share
their names. Other blocks are run by tests/server/docs.rs."""

import pathlib
import re

import pytest
from conftest import ROOT, Server

BLOCK = re.compile(r"^(?P<mark><!-- not run: .+ -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: pathlib.Path) -> list[str]:
    return [found["code"] for found in BLOCK.finditer(page.read_text()) if not found["mark"]]


PAGES = {str(page.relative_to(ROOT)): page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if blocks(page)])
def test_the_python_of_a_page_runs(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    server = Server()
    try:
        names: dict[str, object] = {"__name__": "page"}
        for code in blocks(PAGES[name]):
            exec(compile(code.replace("http://localhost:6333", server.url), name, "exec"), names)
    finally:
        server.stop()
    if name == "README.md":
        hits = capsys.readouterr().out.splitlines()
        assert len(hits) == 3 and all(re.fullmatch(r"0\.\d+ \S+\.jpg", hit) for hit in hits), hits


def test_there_are_pages_with_python_in_them():
    assert {"README.md", "docs/how-to/move-from-qdrant.md"} <= {name for name, page in PAGES.items() if blocks(page)}
