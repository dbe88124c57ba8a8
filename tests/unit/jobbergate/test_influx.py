"""The client of InfluxDB against answers that the real one does not give on demand; tests/integration has the real one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from slurmgate.jobbergate.dsn import Dsn
from slurmgate.jobbergate.influx import Influx, InfluxError, InfluxUnreachableError, connected

PASSWORD = "s3cret/ü"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def influx_at(handler: Handler, *, deadline: float = 15) -> AsyncIterator[Influx]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        dsn = Dsn.parse(f"influxdb://reader:s3cret%2F%C3%BC@{server.host}:{server.port}/slurm")
        async with Influx(dsn, deadline=deadline) as influx:
            yield influx


def says(text: str, *, status: int = 200) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    return answer


def line(*series: object, **more: object) -> str:
    return json.dumps({"results": [{"statement_id": 0, "series": series, **more}]}) + "\n"


async def test_statements_go_in_the_body_and_the_password_in_a_header() -> None:
    seen: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, request.headers["Authorization"]))
        assert (await request.post())["q"] == "SELECT 1; SELECT 2"
        return web.Response(text=line())

    async with influx_at(answer) as influx:
        assert await influx.ask(["SELECT 1", "SELECT 2"]) == []
    credentials = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    assert seen == [("POST", "/query?db=slurm&epoch=s&chunked=true&chunk_size=1000", f"Basic {credentials}")]


async def test_an_answer_comes_in_lines() -> None:
    one = {"name": "CPUTime", "tags": {"job": "1"}, "columns": ["time", "value"], "values": [[1000, 1], [1001, 2.5]]}
    async with influx_at(says(line(one, partial=True) + line(one))) as influx:
        found = await influx.ask(["SELECT"])
    assert [(each.name, each.tags, each.values) for each in found] == [("CPUTime", {"job": "1"}, ((1000, 1), (1001, 2.5)))] * 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says('{"error":"authorization failed"}', status=401), r"authorization failed \(HTTP 401\); .*dsnSecretRef"),
        (says('{"error":"reader not authorized to read"}', status=403), r"not authorized to read \(HTTP 403\)"),
        (says('{"error":"no: s3cret/ü"}', status=400), r"no: … \(HTTP 400\)"),
        (says("<html>Bad gateway</html>", status=502), r"HTTP 502"),
        (says('{"results":[{"error":"database not found: slurm"}]}'), "database not found: slurm"),
        (says('{"error":"error parsing query"}'), "error parsing query"),
        (says("<html>Welcome</html>"), "not what InfluxDB 1.x says"),
        (says(line({"name": "CPUTime", "values": [["a", "b", "c"]]})), "not what InfluxDB 1.x says"),
        (says('{"error":"' + "x" * 10_000 + '"}'), "x…"),
    ],
)
async def test_what_influxdb_refuses_is_said_in_its_words(answer: Handler, words: str) -> None:
    async with influx_at(answer) as influx:
        with pytest.raises(InfluxError, match=words) as refused:
            await influx.ask(["SELECT"])
    assert PASSWORD not in str(refused.value)
    assert len(str(refused.value)) < 1000


async def test_credentials_are_not_sent_on_to_another_place() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        assert request.path == "/query"
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with influx_at(elsewhere) as influx:
        with pytest.raises(InfluxError, match="HTTP 307"):
            await influx.ask(["SELECT"])


async def test_who_thinks_for_too_long_is_unreachable() -> None:
    async def sleep(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with influx_at(sleep, deadline=0.2) as influx:
        with pytest.raises(InfluxUnreachableError, match=r"InfluxDB at http://127.0.0.1:\d+ gave no answer within 0.2 s"):
            await influx.ask(["SELECT"])


async def test_where_nobody_listens_influxdb_is_unreachable() -> None:
    async with Influx(Dsn.parse("influxdb://127.0.0.1:1/slurm")) as influx:
        with pytest.raises(InfluxUnreachableError, match=r"InfluxDB at http://127\.0\.0\.1:1 cannot be reached"):
            await influx.ask(["SELECT"])


async def test_an_authority_that_nobody_would_look_at_is_refused() -> None:
    with pytest.raises(InfluxError, match=r"does not begin with https\+influxdb://"):
        Influx(Dsn.parse("influxdb://host/slurm"), authority="-----BEGIN CERTIFICATE-----")


async def test_an_authority_that_is_none_is_refused() -> None:
    with pytest.raises(InfluxError, match="no certificate that can be read"):
        Influx(Dsn.parse("https+influxdb://host/slurm"), authority="nonsense")


async def text(content: str) -> str:
    return content


async def test_the_dsn_and_the_authority_are_read_for_each_connection() -> None:
    async with connected(lambda: text("influxdb://127.0.0.1:1/slurm\n")) as influx:
        with pytest.raises(InfluxUnreachableError):
            await influx.ask(["SELECT"])
    with pytest.raises(InfluxError, match="begins with neither"):
        async with connected(lambda: text("nonsense")):
            pass
    with pytest.raises(InfluxError, match="no certificate that can be read"):
        async with connected(lambda: text("https+influxdb://host/slurm"), lambda: text("nonsense")):
            pass
