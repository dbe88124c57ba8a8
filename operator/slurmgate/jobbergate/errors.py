"""What can go wrong between us and Jobbergate's API.

    HttpError                    the API answered, and neither with success nor with one of the following
    ├── MovedOnError             400: the status moved on, and this is not done to it any more
    ├── UnauthorizedError        401, or there is no token: nothing was done
    ├── ForbiddenError           403: the token lacks something, or the submission is another cluster's
    ├── NotFoundError            404: there is no such submission, script or file (any more)
    ├── DisagreesError           409: another Slurm job id is on record
    ├── RefusedError             422: the API takes no such value
    └── NonsenseError            success, but not in the API's words: whoever said so

and what can go wrong with anybody, see `http.errors`. `retryable` says whether the same request may succeed later without
anybody changing the submission.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from slurmgate.http.errors import HttpError, shortened

_LONGEST_LOOKED_AT = 4096
_ROUTE_UNKNOWN = "Not Found"
"""FastAPI's word for an address that the API does not have; of what is not there, Jobbergate says more."""
_CLAIM_MISSING = re.compile(r"(?i)token .*does not contain")
"""Said with 400 of a token without client_id (azp) or e-mail."""


class MovedOnError(HttpError):
    """The submission's status is another one than this needs. Read it to see which; it may have been ourselves."""

    retryable = False


class UnauthorizedError(HttpError):
    """The issuer gives no token, or the API does not take it. What was asked was not done."""


class ForbiddenError(HttpError):
    """The token lacks a permission or a claim, or the submission is another cluster's. Tokens get mended while we run."""


class NotFoundError(HttpError):
    """There is no such submission, script or file."""

    retryable = False


class DisagreesError(HttpError):
    """The API knows the submission by another Slurm job id."""

    retryable = False


class RefusedError(HttpError):
    """The API takes no such value."""

    retryable = False


class NonsenseError(HttpError):
    """A success that does not say what it should. What was asked may have been done. The message has no word of it."""

    def __init__(self, message: str) -> None:
        super().__init__(200, message)


_BY_STATUS: Mapping[int, type[HttpError]] = {
    400: MovedOnError,
    404: NotFoundError,
    409: DisagreesError,
    422: RefusedError,
}
_BY_STATUS_OF_ANYBODY: Mapping[int, type[HttpError]] = {401: UnauthorizedError, 403: ForbiddenError}


def api_error(status: int, body: bytes) -> HttpError:
    """The exception for an answer.

    What ends something (a 404 means that the submission was deleted) counts only in the API's own words: an ingress whose
    backend is down says 404, too.
    """
    detail = _detail(body)
    words = detail or shortened(body[:_LONGEST_LOOKED_AT].decode(errors="replace"))
    return _kind(status, detail)(status, f"{words} (HTTP {status})".strip())


def _kind(status: int, detail: str) -> type[HttpError]:
    if status in _BY_STATUS_OF_ANYBODY:
        return _BY_STATUS_OF_ANYBODY[status]
    if not detail or detail == _ROUTE_UNKNOWN:
        return HttpError
    return ForbiddenError if _CLAIM_MISSING.search(detail) else _BY_STATUS.get(status, HttpError)


def _detail(body: bytes) -> str:
    """What FastAPI says in its errors; empty if somebody else answered."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    match answer:
        case {"detail": str(words)}:
            return shortened(words)
        case {"detail": list(problems)}:
            return shortened("; ".join(_problem(each) for each in problems))
        case _:
            return ""


def _problem(problem: Any) -> str:
    """One entry of what pydantic found; what was sent is in it, too, and left out."""
    match problem:
        case {"loc": list(place), "msg": str(words)}:
            return f"{'.'.join(str(each) for each in place)}: {words}"
        case _:
            return "a problem that it does not explain"
