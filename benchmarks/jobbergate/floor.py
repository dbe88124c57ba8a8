"""What this API costs whoever carries submissions: no Slurm at all, and everything said once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp
from typing_extensions import override

from benchmarks.jobbergate.contestants import Contestant

Json = dict[str, Any]
AT_ONCE = 4
"""Requests under way. With more, an API of one worker is no faster."""
_PAGE = 100
_FIRST_JOB = 900_000


class Floor(Contestant):
    """The API's own floor."""

    @property
    @override
    def name(self) -> str:
        return "the API's own floor"

    @override
    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    @override
    def submit(self, count: int) -> None:
        asyncio.run(self._with_session(_submit))
        super().submit(count)

    @override
    def report(self, count: int) -> None:
        asyncio.run(self._with_session(_report))
        super().report(count)

    async def _with_session(self, work: Callable[["_Api"], Awaitable[None]]) -> None:
        gate = self.ground.bed.jobbergate
        token = gate.realm.machine_token(gate.description.client_id)
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        # Most of them wait for a connection, and for how long says nothing about the API.
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
            await work(_Api(session, gate.description.url))


async def _submit(api: "_Api") -> None:
    pending = await api.all("pending")
    for script, name in {(file["parent_id"], file["filename"]) for each in pending for file in each["job_script"]["files"]}:
        await api.ask("GET", f"/job-scripts/{script}/upload/{name}")
    said = [{"id": each["id"], **_said(_FIRST_JOB + number, "PENDING")} for number, each in enumerate(pending)]
    await asyncio.gather(*(api.ask("POST", "/job-submissions/agent/submitted", each) for each in said))


async def _report(api: "_Api") -> None:
    active = await api.all("active")
    await asyncio.gather(
        *(api.ask("PUT", f"/job-submissions/agent/{each['id']}", _said(each["slurm_job_id"], "CANCELLED")) for each in active)
    )


def _said(job: int, state: str) -> Json:
    return {"slurm_job_id": job, "slurm_job_state": state, "slurm_job_state_reason": "None", "slurm_job_info": "{}"}


class _Api:
    """The API as the cluster's client asks it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def all(self, which: str) -> Sequence[Json]:
        """The whole list of what is `pending` or `active`."""
        found: list[Json] = []
        page = pages = 1
        while page <= pages:
            answer = await self.ask("GET", f"/job-submissions/agent/{which}?page={page}&size={_PAGE}")
            found += answer["items"]
            page, pages = page + 1, answer["pages"]
        return found

    async def ask(self, method: str, where: str, content: Json | None = None) -> Json:
        """The answer, empty if it is not JSON."""
        async with self._session.request(method, self._url + where, json=content, raise_for_status=True) as answer:
            body = await answer.read()
            found: Json = await answer.json() if body and answer.content_type == "application/json" else {}
            return found
