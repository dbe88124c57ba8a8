import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.http.errors import HttpError, UnreachableError
from slurmgate.jobbergate.errors import (
    DisagreesError,
    ForbiddenError,
    MovedOnError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    api_error,
)


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (400, MovedOnError, False),
        (401, UnauthorizedError, True),
        (403, ForbiddenError, True),
        (404, NotFoundError, False),
        (409, DisagreesError, False),
        (422, RefusedError, False),
        (429, HttpError, True),
        (500, HttpError, True),
        (503, HttpError, True),
    ],
)
def test_every_status_has_its_error(status: int, kind: type[HttpError], *, again: bool) -> None:
    error = api_error(status, b'{"detail":"Because of this"}')
    assert (type(error), error.status, error.retryable) == (kind, status, again)
    assert str(error) == error.message == f"Because of this (HTTP {status})"


def test_no_answer_may_be_asked_again() -> None:
    assert UnreachableError("silence").retryable


@pytest.mark.parametrize("status", [400, 404, 409, 422])
@pytest.mark.parametrize(
    "body",
    [b"", b"default backend - 404", b"<html>nginx</html>", b'{"detail":"Not Found"}', b'{"message":"no Route matched"}', b"[]"],
)
def test_what_ends_something_counts_only_in_the_apis_own_words(status: int, body: bytes) -> None:
    error = api_error(status, body)
    assert (type(error), error.retryable) == (HttpError, True)


@pytest.mark.parametrize("detail", ["Access token does not contain: client_id", "The token payload does not contain an email"])
def test_a_token_without_a_claim_is_no_status_that_moved_on(detail: str) -> None:
    error = api_error(400, json.dumps({"detail": detail}).encode())
    assert (type(error), error.retryable) == (ForbiddenError, True)


def test_what_was_wrong_with_a_value_is_named_without_the_value() -> None:
    problems = [{"type": "enum", "loc": ["body", "slurm_job_state"], "msg": "Input should be 'A'", "input": "private"}, "odd"]
    error = api_error(422, json.dumps({"detail": problems}).encode())
    assert str(error) == "body.slurm_job_state: Input should be 'A'; a problem that it does not explain (HTTP 422)"


@given(st.integers(300, 599), st.binary() | st.text().map(lambda text: json.dumps({"detail": text}).encode()))
def test_any_answer_becomes_one_short_line(status: int, body: bytes) -> None:
    error = api_error(status, body)
    assert error.status == status
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 600


def test_deep_and_long_answers_are_cut() -> None:
    assert len(str(api_error(500, b"[" * 1_000_000))) < 600
    assert str(api_error(500, b'{"detail":"' + b"x" * 1_000_000 + b'"}')).endswith("x… (HTTP 500)")
