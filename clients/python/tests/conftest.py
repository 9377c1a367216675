"""A real server, and a client whose every answer is compared with the OpenAPI document."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from PIL import Image, ImageDraw

from lookalike_client import Client

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "samples"


def binary() -> str:
    """The binary under test."""
    return os.environ.get("TEST_BINARY", str(ROOT / "target/debug/lookalike"))


class Server:
    """A server process over its own data directory."""

    def __init__(self, *flags: str) -> None:
        self.data = tempfile.TemporaryDirectory()
        command = [binary(), "serve", "--port", "0", "--data-dir", self.data.name, *flags]
        env = {**os.environ, "LOOKALIKE_LOG": "error"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert self.process.stdout is not None
        banner = ""
        while "ready " not in banner:
            line = self.process.stdout.readline()
            assert line, f"the server did not start: {banner}"
            banner += line
        found = re.search(r"http://\S+", banner)
        assert found is not None
        self.url = found.group()

    def stop(self) -> None:
        """A clean stop."""
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0
        self.data.cleanup()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


class Document:
    """The server's OpenAPI document, as a judge of its answers."""

    def __init__(self) -> None:
        text = subprocess.run([binary(), "openapi"], check=True, capture_output=True, text=True).stdout
        self.document: dict[str, Any] = json.loads(text)
        self.seen: set[str] = set()
        patterns = ((re.sub(r"\{\w+\}", "[^/]+", path), path) for path in self.document["paths"])
        # The longest first: /points/query before /points/{id}.
        self.paths = sorted(patterns, key=lambda pair: ("{" in pair[1].rsplit("/", 1)[-1], -len(pair[1])))

    def judge(self, response: httpx.Response) -> None:
        """Fails where an answer is not of the shape that the document promises."""
        response.read()
        # As it was sent: a name with a slash in it is one part.
        asked = response.request.url.raw_path.decode().split("?")[0]
        path = next(known for pattern, known in self.paths if re.fullmatch(pattern, asked))
        operation = self.document["paths"][path][response.request.method.lower()]
        status = str(response.status_code)
        responses = operation["responses"]
        content = (responses.get(status) or responses["default"]).get("content", {})
        kind = response.headers.get("content-type", "").split(";")[0]
        schema = content.get(kind, {}).get("schema")
        if schema is None:
            return
        self.seen.add(operation["operationId"])
        lines = response.text.splitlines() if kind == "application/x-ndjson" else [response.text]
        for line in lines:
            whole = {**schema, "components": self.document["components"]}
            jsonschema.Draft202012Validator(whole).validate(json.loads(line))


@pytest.fixture(scope="session")
def document() -> Document:
    return Document()


@pytest.fixture
def client(server: Server, document: Document) -> Iterator[Client]:
    http = httpx.Client(timeout=120, event_hooks={"response": [document.judge]})
    with Client(server.url, http=http) as client:
        yield client
        for name in client.collections():
            client.delete_collection(name)


def samples() -> list[dict[str, Any]]:
    """The lines of the samples' list."""
    return [json.loads(line) for line in (SAMPLES / "samples.jsonl").read_text().splitlines()]


def paths(count: int) -> list[Path]:
    """The files of the first so many samples."""
    return [SAMPLES / str(line["file"]) for line in samples()[:count]]


def signature(hand: int, variation: int) -> Image.Image:
    """Pen strokes: one hand each, different enough each time to be no copy."""
    import math

    picture = Image.new("L", (320, 120), 255)
    draw = ImageDraw.Draw(picture)
    points = []
    for step in range(160):
        t = step / 160
        wave = math.sin((11 + 3 * hand) * t + hand) * math.cos((3 + hand) * t)
        points.append(
            (
                20 + 280 * t + 9 * math.sin(9 * t + 2.1 * variation),
                60 + (30 + 2 * hand) * wave + 9 * math.sin(6 * t + 1.3 * variation),
            )
        )
    draw.line(points, fill=20, width=3)
    return picture


def png(picture: Image.Image) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
