"""Every example runs, and the README's lines are those of an example."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Server, paths

HERE = Path(__file__).resolve().parents[1]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    folder = tmp_path / "samples" / "clothing"
    folder.mkdir(parents=True)
    for path in paths(12):
        shutil.copy(path, folder)
    return folder.parent


@pytest.mark.parametrize("example", sorted((HERE / "examples").glob("*.py")), ids=lambda path: path.name)
def test_example_runs(example: Path, server: Server, samples: Path) -> None:
    env = {**os.environ, "LOOKALIKE_URL": server.url, "SAMPLES": str(samples)}
    done = subprocess.run(
        [sys.executable, str(example)], env=env, cwd=samples, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_code_of_the_readme_runs(server: Server, samples: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    code = (
        "\n".join(blocks)
        .replace("http://localhost:6333", server.url)
        .replace("path/to/pictures", str(samples / "clothing"))
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=samples, capture_output=True, text=True)
    assert done.returncode == 0, f"{code}\n{done.stderr}"
