"""Many searches at once, without threads. Run it beside `lookalike serve`."""

import asyncio
import os
from pathlib import Path

from lookalike_client import AsyncClient

folder = Path(os.environ.get("SAMPLES", "samples")) / "clothing"


async def main() -> None:
    async with AsyncClient(os.environ.get("LOOKALIKE_URL", "http://localhost:6333")) as client:
        await client.import_folder("example", folder)
        words = ["a hat", "shoes", "a shirt", "trousers"]
        found = await asyncio.gather(*(client.search("example", each, limit=1) for each in words))
        for each, hits in zip(words, found, strict=True):
            print(each, "->", hits[0].payload)


asyncio.run(main())
