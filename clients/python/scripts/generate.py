"""Makes the generated files of this client, or checks that they are those that would be made.

    python scripts/generate.py --binary ../../target/debug/lookalike [--check]

`_models.py` comes from the server's OpenAPI document by datamodel-code-generator, `_sync.py` from
`_async.py` by the rules below.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "lookalike_client"

# Words of the asynchronous client, and what they are in the other.
RULES = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bhttpx\.AsyncClient\b", "httpx.Client"),
    (r"\bAsyncQdrantClient\b", "QdrantClient"),
    (r"\bAsyncClient\b", "Client"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio\n", ""),
    (r"^import os\n", "import os\nimport time\n"),
    (
        r"^from collections\.abc import Iterator, Callable, Iterable, ",
        "from collections.abc import Callable, Iterable, Iterator, ",
    ),
    (
        r'^"""The asynchronous client\..*"""$',
        '"""The client. Made from `_async.py` by `scripts/generate.py`: change it there."""',
    ),
]


def sync(text: str) -> str:
    """The synchronous client's source."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def needed(document: dict[str, Any]) -> dict[str, Any]:
    """The schemas that the client imports and those they are made of, without paths and envelopes."""
    block = (PACKAGE / "_async.py").read_text().split("from ._models import (")[1].split(")")[0]
    wanted, schemas = re.findall(r"\w+", block), document["components"]["schemas"]
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = schemas[name]
            wanted += re.findall(r'"#/components/schemas/(\w+)"', json.dumps(schemas[name]))
    # An id is a number or a text, not an object that holds one.
    if "PointIdOut" in found:
        del found["PointIdOut"]
        plain = '"oneOf": [{"type": "integer"}, {"type": "string"}]'
        found = json.loads(json.dumps(found).replace('"$ref": "#/components/schemas/PointIdOut"', plain))
    return {**document, "paths": {}, "components": {"schemas": dict(sorted(found.items()))}}


def models(document: str) -> str:
    """The models' source."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "openapi.json", Path(folder) / "models.py"
        source.write_text(json.dumps(needed(json.loads(document))))
        command = [
            *(sys.executable, "-m", "datamodel_code_generator"),
            *("--input", str(source), "--input-file-type", "openapi", "--output", str(target)),
            *("--output-model-type", "pydantic_v2.BaseModel", "--target-python-version", "3.10"),
            *("--use-standard-collections", "--use-union-operator", "--use-schema-description"),
            *(
                "--use-annotated",
                "--disable-timestamp",
                "--use-subclass-enum",
                "--use-double-quotes",
                "--collapse-root-models",
                "--formatters",
                "builtin",
            ),
            *("--custom-file-header", '"""Made from the OpenAPI document by `scripts/generate.py`."""'),
        ]
        subprocess.run(command, check=True)
        return target.read_text()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--binary", required=True, help="the server's binary, whose OpenAPI document is taken"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    args = parser.parse_args()
    document = subprocess.run([args.binary, "openapi"], check=True, capture_output=True, text=True).stdout
    made = {
        "_models.py": models(document),
        "_sync.py": sync((PACKAGE / "_async.py").read_text()),
    }
    stale = []
    for name, text in made.items():
        path = PACKAGE / name
        formatted = subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"],
            input=text,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        if not path.exists() or path.read_text() != formatted:
            stale.append(name)
            if not args.check:
                path.write_text(formatted)
    if stale and args.check:
        print(f"not as they would be made: {', '.join(stale)}; run scripts/generate.py", file=sys.stderr)
        return 1
    print(f"{'made' if stale else 'up to date'}: {', '.join(stale or made)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
