"""A real server for the official client: started on a free port, stopped at the end."""

import os
import pathlib
import re
import subprocess
import tempfile

import pytest
from qdrant_client import QdrantClient

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary() -> str:
    """The binary under test: TEST_BINARY, or what `cargo build` made."""
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return os.environ.get("TEST_BINARY", f"{target}/debug/lookalike")


class Server:
    """A server process over its own data directory."""

    def __init__(self, *flags: str):
        self.data = tempfile.TemporaryDirectory()
        command = [binary(), "serve", "--port", "0", "--data-dir", self.data.name, *flags]
        env = {**os.environ, "LOOKALIKE_LOG": "error"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        banner = ""
        while "ready " not in banner:
            line = self.process.stdout.readline()
            assert line, f"the server did not start: {banner}"
            banner += line
        self.url = re.search(r"http://\S+", banner).group()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0
        self.data.cleanup()


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture()
def client(server):
    client = QdrantClient(server.url, cloud_inference=True, timeout=60)
    yield client
    for collection in client.get_collections().collections:
        client.delete_collection(collection.name)
    client.close()
