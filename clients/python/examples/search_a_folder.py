"""A folder of pictures in, words out. Run it beside `lookalike serve`."""

import os
from pathlib import Path

from lookalike_client import Client

folder = Path(os.environ.get("SAMPLES", "samples")) / "clothing"

with Client(os.environ.get("LOOKALIKE_URL", "http://localhost:6333")) as client:
    report = client.import_folder(
        "example", folder, on_progress=lambda done, total: print(f"{done} of {total}")
    )
    print(report)
    print(client.search("example", "a red dress", limit=3))
    first = client.search("example", "a red dress", limit=1)[0]
    print("more like it:", [hit.payload for hit in client.search("example", like=first.id, limit=3)])
