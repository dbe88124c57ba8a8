"""Reads InfluxDB 1.x, by its /query (https://docs.influxdata.com/influxdb/v1/tools/api/): bounded, and with a deadline.

The answer is asked for in chunks, one JSON object for each line, so that no line holds up the event loop for long, and because
a server with `max-row-limit` cuts off all others without a word.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Annotated, Any, Final, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slurmgate.http.client import DEADLINE, Answer, Http
from slurmgate.http.errors import HttpError, UnreachableError, shortened
from slurmgate.jobbergate.dsn import Dsn, UnusableDsnError

_LARGEST_ANSWER: Final = 64 * 1024 * 1024
_LONGEST_LOOKED_AT: Final = 4096
_POINTS_PER_LINE: Final = 1000
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_LAST_SECOND: Final = 2**63 // 10**9
"""InfluxDB counts nanoseconds in 64 bits."""
_ADVICE: Final = "user and password are in the Secret that spec.jobbergate.metrics.dsnSecretRef names"


class InfluxError(Exception):
    """InfluxDB cannot be asked so, or refuses, or says what nobody understands. The message has no password in it."""


class InfluxUnreachableError(InfluxError):
    """Nobody answers, whatever is asked."""


_Second = Annotated[int, Field(ge=-_LAST_SECOND, le=_LAST_SECOND)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Series(_Model):
    """Points of one measurement that have the same tags; a long one comes in several parts."""

    name: str
    """Of the measurement."""
    tags: dict[str, str] = {}
    values: tuple[tuple[_Second, Any], ...]
    """Seconds since 1970, and what there was at that time."""


class _Result(_Model):
    error: str | None = None
    series: tuple[Series, ...] = ()


class _Line(_Model):
    error: str | None = None
    results: tuple[_Result, ...] = ()


Read = Callable[[], Awaitable[str]]
"""Reads a text, now; raises InfluxError with what is missing."""


@asynccontextmanager
async def connected(dsn: Read, authority: Read | None = None) -> AsyncGenerator["Influx"]:
    """The InfluxDB that is configured now. Its password is read each time and kept nowhere.

    Raises:
        InfluxError: something is missing, or cannot be used.
    """
    try:
        found = Dsn.parse(await dsn())
    except UnusableDsnError as error:
        raise InfluxError(str(error)) from None
    async with Influx(found, authority=await authority() if authority else None) as influx:
        yield influx


class Influx:
    """One database, by a bounded pool of connections. Made inside the event loop, closed at the end."""

    def __init__(self, dsn: Dsn, *, authority: str | None = None, deadline: float = DEADLINE) -> None:
        """`authority`: the certificates that are trusted, and no others, as PEM; None trusts those that the system does.

        Raises:
            InfluxError: `authority` holds no certificate, or nobody would look at it.
        """
        if authority is not None and dsn.server.scheme != "https":
            raise InfluxError("there is a certificateAuthority, but the DSN of InfluxDB does not begin with https+influxdb://")
        try:
            self._http = Http(authority=authority, deadline=deadline)
        except HttpError as error:
            raise InfluxError(f"InfluxDB: {error.message}") from None
        self._url = (dsn.server / "query").with_query(
            db=dsn.database, epoch="s", chunked="true", chunk_size=str(_POINTS_PER_LINE)
        )
        self._headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if dsn.user:
            self._headers["Authorization"] = f"Basic {b64encode(f'{dsn.user}:{dsn.password}'.encode()).decode()}"
        self._password = dsn.password

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def ask(self, statements: Sequence[str]) -> list[Series]:
        """What some SELECT statements find, all in one request.

        Raises:
            InfluxUnreachableError: no answer.
            InfluxError: it refuses one of them, or answers something else.
        """
        answer = await self._send("; ".join(statements))
        if answer.status != _OK:
            raise self._refusal(answer)
        found: list[Series] = []
        for line in answer.body.splitlines():
            try:
                said = _Line.model_validate_json(line)
            except ValidationError:
                raise InfluxError(f"what {self._url.origin()} answers is not what InfluxDB 1.x says") from None
            for problem in (said.error, *(result.error for result in said.results)):
                if problem is not None:
                    raise InfluxError(f"InfluxDB at {self._url.origin()}: {self._words(problem)}")
            found += [series for result in said.results for series in result.series]
            await asyncio.sleep(0)
        return found

    async def _send(self, query: str) -> Answer:
        body = urlencode({"q": query}).encode()  # of any length, and in nobody's access log
        try:
            return await self._http.send("POST", self._url, headers=self._headers, body=body, largest=_LARGEST_ANSWER)
        except UnreachableError as error:
            raise InfluxUnreachableError(f"InfluxDB at {error.message}") from None
        except HttpError as error:
            raise InfluxError(f"InfluxDB at {error.message}") from None

    def _refusal(self, answer: Answer) -> InfluxError:
        try:
            words = _Line.model_validate_json(answer.body).error or ""
        except ValidationError:  # it is no InfluxDB who answers, or not in this way
            words = answer.body[:_LONGEST_LOOKED_AT].decode(errors="replace")
        advice = f"; {_ADVICE}" if answer.status == _UNAUTHORIZED else ""
        return InfluxError(f"InfluxDB at {self._url.origin()}: {self._words(words)} (HTTP {answer.status}){advice}")

    def _words(self, text: str) -> str:
        return shortened(text.replace(self._password, "…") if self._password else text)
