"""What can go wrong between us and the API server.

    ApiError                 the server answered, and not with success
    ├── NotFoundError        404: no such object (or namespace)
    ├── ForbiddenError       403: RBAC or an admission policy says no
    ├── ConflictError        409: somebody else wrote in between
    ├── ExpiredError         410: a watch asked for history that is no longer kept
    ├── InvalidError         422: a `test` of a JSON patch failed, or the schema refuses the object
    └── UnreachableError     no answer: nobody can say whether the request was carried out

`retryable` says whether the same request may succeed later without anybody mending it.
"""

from collections.abc import Mapping
from typing import Any

_LONGEST_MESSAGE = 1024
_SERVER_ERROR = 500


class ApiError(Exception):
    """The API server's answer: HTTP status, `Status.reason` and `Status.message` (0 and our own words if there was none)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{message} ({reason})")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def retryable(self) -> bool:
        """Whether trying again later makes sense. 401 and 403 count: tokens and roles get mended while we run."""
        return self.status in {0, 401, 403, 408, 409, 429} or self.status >= _SERVER_ERROR


class NotFoundError(ApiError):
    """There is no such object."""


class ForbiddenError(ApiError):
    """The operator may not do this."""


class ConflictError(ApiError):
    """The object changed meanwhile."""


class ExpiredError(ApiError):
    """The history that a watch asked for is gone: list again."""


class InvalidError(ApiError):
    """The patch does not apply, or what it makes is not a valid object."""


class UnreachableError(ApiError):
    """No answer. What was asked may have been done."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


_BY_STATUS: Mapping[int, type[ApiError]] = {
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: InvalidError,
}


def api_error(status: int, body: Any) -> ApiError:
    """The exception for an answer; `body` is the parsed `Status` object, or whatever else stood there."""
    known = body if isinstance(body, dict) else {"message": str(body)}
    reason = str(known.get("reason") or f"HTTP{status}")
    message = str(known.get("message") or "the API server gave no reason")
    return _BY_STATUS.get(status, ApiError)(status, reason, message[:_LONGEST_MESSAGE])
