"""What can go wrong: the server's own words, and what kind of failure it is."""

from __future__ import annotations

import httpx


class LookalikeError(Exception):
    """Anything that went wrong in a call."""


class Unreachable(LookalikeError):
    """No answer came: the server is not running, or not at this address."""


class ApiError(LookalikeError):
    """The server refused the call.

    Attributes:
        status: the HTTP status.
        message: what the server says; it names the field and the bound.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class InvalidRequest(ApiError):
    """400, 413 or 422: the request is wrong; the message names what."""


class Unauthorized(ApiError):
    """401 or 403: the key is missing or wrong. Pass `api_key`."""


class NotFound(ApiError):
    """404: there is no such collection, point or subject."""


class Conflict(ApiError):
    """409: it exists already, or parts do not belong together."""


class Busy(ApiError):
    """429: the server had no room for the call for as long as the client was willing to wait."""


_KINDS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
    429: Busy,
}


def error_of(response: httpx.Response) -> ApiError:
    """The exception for an answer that is none of success."""
    try:
        message = str(response.json()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        message = f"no reason given; is this a lookalike server? ({response.text[:200]!r})"
    return _KINDS.get(response.status_code, ApiError)(response.status_code, message)
