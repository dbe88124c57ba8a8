"""Jobbergate's API, its issuer and InfluxDB, answering whatever they like: nothing is raised but what says so."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurmgate.http.client import Answer, Http
from slurmgate.http.errors import HttpError
from slurmgate.jobbergate import influx, measurements
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.dsn import Dsn
from slurmgate.jobbergate.influx import Influx, InfluxError
from slurmgate.jobbergate.token import Tokens

pytestmark = pytest.mark.slow

LONGEST = 2500
"""Of a message that a condition has to hold."""
SECRET = "canary-of-a-client"
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [0, -1, 10**30, 2**31, 1e308, "", "0", "²", "\x00", "\ud800", "x" * 3000, [], {}, None, True, "CREATED"]
)
JSON = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=8
)
FIELDS = st.sampled_from(
    (
        *("id", "items", "page", "pages", "total", "size", "name", "owner_email", "client_id", "status", "updated_at", "files"),
        *("info", "version", "max_times", "max_time", "node_host", "step", "task", "job_script", "filename", "file_type"),
        *("access_token", "expires_in", "error", "error_description", "detail", "slurm_job_id", "sbatch_arguments"),
    )
)
OBJECT = st.recursive(
    JSON, lambda inner: st.dictionaries(FIELDS, inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=12
)
BODY = OBJECT.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80) | st.just(b"[" * 5_000)
ANSWER = st.builds(Answer, st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503]), BODY)

CALLS: dict[str, Callable[[JobbergateApi], Awaitable[object]]] = {
    "version": lambda api: api.version(),
    "pending": lambda api: api.pending(),
    "rows": lambda api: api.rows(page=1),
    "row": lambda api: api.row(1),
    "script": lambda api: api.script(1),
    "file": lambda api: api.file(1, "a"),
    "submitted": lambda api: api.submitted(1, slurm_job_id=1, state="PENDING", reason=None, info=""),
    "rejected": lambda api: api.rejected(1, "why"),
    "update": lambda api: api.update(1, slurm_job_id=1, state="RUNNING", reason=None, info=""),
    "max_times": lambda api: api.max_times(1),
    "make_script": lambda api: api.make_script("a", "a", b"a"),
}


class Malicious:
    """What answers every request with the next of these, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    async def send(self, method: str, url: object, **_: object) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def close(self) -> None:
        """Nothing is open."""


def asked(call: Callable[[JobbergateApi], Awaitable[object]], *answers: Answer) -> str:
    """The words of the error, empty if there is none."""

    async def ask() -> None:
        async def secret() -> str:
            return SECRET

        http = cast("Http", Malicious(*answers))
        tokens = Tokens(http, issuer="https://issuer.example.org/realms/site", client_id="client", secret=secret)
        await call(JobbergateApi("https://jobbergate.example.org", tokens, http))

    try:
        asyncio.run(ask())
    except HttpError as error:
        return str(error)
    return ""


GRANT = Answer(200, json.dumps({"access_token": "a.b.c", "expires_in": 300}).encode())


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_the_api_may_answer_anything(call: Callable[[JobbergateApi], Awaitable[object]]) -> None:
    @given(st.lists(ANSWER, min_size=1, max_size=3))
    def check(answers: list[Answer]) -> None:
        assert len(asked(call, GRANT, *answers)) <= LONGEST

    check()


@given(ANSWER)
def test_the_issuer_may_answer_anything(answer: Answer) -> None:
    words = asked(CALLS["version"], answer)
    assert len(words) <= LONGEST
    assert SECRET not in words


def test_an_issuer_that_repeats_our_secret_does_not_make_us_say_it() -> None:
    for status in (200, 400, 401, 500):
        for field in ("error", "error_description", "detail", "message"):
            repeated = json.dumps({field: f"wrong secret {SECRET}", "error": f"bad {SECRET}"})
            assert SECRET not in asked(CALLS["version"], Answer(status, repeated.encode()))
        assert SECRET not in asked(CALLS["version"], Answer(status, f"no such client: {SECRET}".encode()))


TAGS = st.dictionaries(
    st.sampled_from(["job", "host", "step", "task"]), st.sampled_from(["1", "-5", "4294967291", "²", "", "n"])
)
SERIES = st.fixed_dictionaries(
    {"name": st.sampled_from([*measurements._KINDS, "other"])},
    optional={
        "tags": TAGS | JSON | st.just({"job": "1", "host": "n\ud800", "step": "0", "task": "0"}),
        "values": st.lists(st.tuples(st.integers() | JSON, JSON), max_size=4) | JSON,
    },
)
TIMELESS = {"name": "CPUTime", "tags": {"job": "1", "host": "n", "step": "0", "task": "0"}, "values": [[10**30, 1]]}
LINE = st.builds(lambda series: {"results": [{"series": series}]}, st.lists(SERIES, max_size=4) | JSON) | OBJECT


@example([{"results": [{"series": [TIMELESS]}]}])
@given(st.lists(LINE, max_size=3))
def test_influxdb_may_answer_anything(lines: list[Any]) -> None:
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    with suppress(InfluxError):
        found = measured(body)
        for rows in measurements.rows(found).values():
            for part in measurements.parts(rows):
                measurements.packed(part)
        measurements.spans(found)


@given(st.binary(max_size=100), st.sampled_from([200, 400, 401, 500]))
def test_influxdb_may_answer_with_what_is_no_json(body: bytes, status: int) -> None:
    with suppress(InfluxError):
        measured(body, status=status)


def measured(body: bytes, *, status: int = 200) -> list[influx.Series]:
    async def ask() -> list[influx.Series]:
        return await Influx(Dsn.parse(f"influxdb://reader:{SECRET}@localhost/slurm")).ask(["SELECT"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(influx, "Http", lambda **_: Malicious(Answer(status, body)))
        return asyncio.run(ask())


def test_a_database_that_repeats_our_password_does_not_make_us_say_it() -> None:
    for body in (f'{{"error": "wrong: {SECRET}"}}', f"wrong: {SECRET}", f'{{"results": [{{"error": "{SECRET}"}}]}}'):
        for status in (200, 401):
            with pytest.raises(InfluxError) as raised:
                measured(body.encode(), status=status)
            assert SECRET not in str(raised.value)
