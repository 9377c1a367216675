"""Pictures as users have them, made the bytes of a picture file."""

from __future__ import annotations

import base64
import binascii
import io
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})
"""Endings of names that are taken for pictures in a folder."""


@runtime_checkable
class Saves(Protocol):
    """What `PIL.Image.Image` is to us."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Write the picture."""


Picture: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Saves"
"""A path, the bytes of a file, an open binary file, a `data:` URL, or a picture of Pillow."""


def load(picture: Picture) -> tuple[str | None, bytes]:
    """The file's name, where there is one, and its bytes.

    Raises:
        ValueError: for an address, which neither client nor server fetches.
        OSError: where the file cannot be read.
    """
    if isinstance(picture, bytes):
        return None, picture
    if isinstance(picture, str) and picture.startswith("data:"):
        head, _, body = picture.partition(",")
        if not head.endswith(";base64"):
            raise ValueError("expected a data: URL with base64")
        try:
            return None, base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the data: URL is not base64: {error}") from error
    if isinstance(picture, str) and "://" in picture:
        raise ValueError(f"addresses of pictures are not fetched; download {picture} first")
    if isinstance(picture, (str, os.PathLike)):
        path = Path(picture)
        return path.name, path.read_bytes()
    if isinstance(picture, Saves):
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        return None, buffer.getvalue()
    name = getattr(picture, "name", None)
    return Path(name).name if isinstance(name, str) else None, picture.read()


def encoded(picture: Picture) -> str:
    """The picture as base64, as JSON takes it."""
    return base64.b64encode(load(picture)[1]).decode()


def content_id(data: bytes) -> str:
    """The id that the server, the command line and this client give to a picture's bytes."""
    # RFC 9562: SHA-1 over the namespace and the bytes; uuid.uuid5 takes text alone.
    import hashlib

    digest = hashlib.sha1(uuid.NAMESPACE_OID.bytes + data, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def below(folder: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder and of those within it, in the order of their paths.

    Raises:
        NotADirectoryError: where it is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    found = (path for path in root.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(root).parts))


def plain_filter(filter: Any) -> Any:
    """A filter as JSON: a dict as it is, or a model of qdrant-client."""
    if isinstance(filter, BaseModel):
        return filter.model_dump(mode="json", exclude_none=True)
    return filter


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Slices of a list."""
    return (items[at : at + size] for at in range(0, len(items), size))


Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many are done, and of how many."""
