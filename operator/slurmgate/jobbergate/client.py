"""Jobbergate's API as a cluster uses it: a method for each thing that can be asked. Only a fresh token leads to another try.

The contract is that of the Jobbergate Agent (jobbergate_agent/jobbergate/*.py, 5.7 to 5.12), and of some more routes that its
token opens.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from yarl import URL

from slurmgate.http.client import Answer, Http, address
from slurmgate.http.errors import HttpError
from slurmgate.jobbergate import wire
from slurmgate.jobbergate.errors import NonsenseError, RefusedError, UnauthorizedError, api_error
from slurmgate.jobbergate.token import Tokens
from slurmgate.jobbergate.wire import JobScript, MaxTime, Model, Page, Pending, Row

PAGE_SIZE = 100
"""The most that the API gives at once."""

LARGEST_FILE = 6 * 1024 * 1024
"""Bytes. The API's own limit is 5 MiB, where nobody changed it."""

_LARGEST_ANSWER = 64 * 1024 * 1024
_ROOT = "jobbergate"
_JSON = "application/json"
_PAGE = "text/html"
_TOKENS_TAKEN = "it must be of the issuer that the API trusts, and API 5.8 and older take none that has an audience (aud)"
_NO_SUCCESS = 300
_SERVER_ERROR = 500
_UNAUTHORIZED = 401
_GARBAGE = (
    "job-script-templates/upload/garbage-collector",
    "job-scripts/upload/garbage-collector",
    "job-scripts/clean-unused-entries",
)


class _MaxTimes(Model):
    max_times: tuple[MaxTime, ...]


class _Info(Model):
    version: str


class _OpenApi(Model):
    info: _Info


class _Made(Model):
    id: int


class JobbergateApi:
    """Requests as the client whose tokens these are; the client is the cluster.

    Every method raises HttpError, whose kinds say what is known of the outcome.
    """

    def __init__(self, url: str, tokens: Tokens, http: Http) -> None:
        """`url`: of the API, with `/jobbergate` at its end or without.

        Raises:
            UnusableError: `url` is no address.
        """
        base = address(url, what="address of Jobbergate's API")
        self.url = base if base.name == _ROOT else base / _ROOT
        self._tokens = tokens
        self._http = http

    async def version(self) -> str:
        """The API's version."""
        return wire.read(_OpenApi, await self._get("openapi.json")).info.version

    async def pending(self, page: int = 1) -> Page[Pending]:
        """What waits for this cluster. In no order, and whatever leaves the list moves the others up: read page 1 again."""
        return wire.page(Pending, await self._get("job-submissions/agent/pending", page=page, size=PAGE_SIZE))

    async def rows(
        self, *, page: int, newest_first: bool = False, status: str | None = None, slurm_job_id: int | None = None
    ) -> Page[Row]:
        """The submissions of all clusters, archived ones too: by id, or those first that changed last.

        `status`, `slurm_job_id`: only those that have it.
        """
        order = ("updated_at", "false") if newest_first else ("id", "true")
        query = {"sort_field": order[0], "sort_ascending": order[1], "include_archived": "true"}
        chosen = {"submit_status": status} if status else {}
        chosen |= {"slurm_job_ids": str(slurm_job_id)} if slurm_job_id is not None else {}
        return wire.page(Row, await self._get("job-submissions", page=page, size=PAGE_SIZE, **query, **chosen))

    async def row(self, number: int) -> Row:
        """A submission, of whatever cluster."""
        return wire.read(Row, await self._get(f"job-submissions/{number}"))

    async def script(self, number: int) -> JobScript:
        """A job script, with the names of its files."""
        return wire.read(JobScript, await self._get(f"job-scripts/{number}"))

    async def file(self, job_script_id: int, filename: str) -> bytes:
        """A file of a job script, byte for byte."""
        try:
            return await self._ask("GET", _upload(job_script_id, filename), accept="*/*", largest=LARGEST_FILE)
        except HttpError as error:
            if error.status >= _SERVER_ERROR and not _sayable(filename):
                words = f"the API cannot hand out {filename!r}: it fails at names with letters beyond Latin-1"
                raise RefusedError(error.status, words) from error
            raise

    async def submitted(self, number: int, *, slurm_job_id: int, state: str, reason: str | None, info: str) -> None:
        """Say which Slurm job a submission has become. MovedOnError if that was said already, even if just so."""
        job = _job(slurm_job_id, state, reason, info)
        await self._say("POST", "job-submissions/agent/submitted", {"id": number, **job})

    async def rejected(self, number: int, message: str) -> None:
        """Say that a submission becomes no Slurm job, and why: its owner gets a mail with it."""
        await self._say("POST", "job-submissions/agent/rejected", {"id": number, "report_message": wire.storable(message)})

    async def update(self, number: int, *, slurm_job_id: int | None, state: str, reason: str | None, info: str) -> None:
        """Say how a submission's Slurm job is. A state that ends the job ends the submission."""
        await self._say("PUT", f"job-submissions/agent/{number}", _job(slurm_job_id, state, reason, info))

    async def healthy(self, interval_seconds: int) -> None:
        """Say that the cluster can be used, and that this is said again before so many seconds are over."""
        await self._ask("PUT", "clusters/status", query={"interval": str(interval_seconds)})

    async def max_times(self, number: int) -> list[MaxTime]:
        """Up to when the API has metrics of the submission's job, for each task."""
        return list(wire.read(_MaxTimes, await self._get(f"job-submissions/agent/metrics/{number}")).max_times)

    async def put_metrics(self, number: int, body: bytes) -> None:
        """Hand over metrics, msgpack of at most 2,047 rows. MovedOnError if it has one of them already: none is taken."""
        where = f"job-submissions/agent/metrics/{number}"
        await self._ask("PUT", where, body=body, content_type="application/octet-stream")

    async def register(
        self,
        *,
        name: str,
        slurm_job_id: int,
        execution_directory: str | None,
        sbatch_arguments: tuple[str, ...],
        client_id: str,
        job_script_id: int,
    ) -> Row:
        """Make a submission of a Slurm job that there is already. The token must be one with an e-mail: the owner's.

        The job script must have one entrypoint: `make_script`.
        """
        content = {
            "name": name,
            "slurm_job_id": slurm_job_id,
            "execution_directory": execution_directory,
            "sbatch_arguments": list(sbatch_arguments) or None,
            "client_id": client_id,
            "job_script_id": job_script_id,
        }
        return wire.read(Row, wire.parsed(await self._say("POST", "job-submissions", content)))

    async def make_script(self, name: str, filename: str, content: bytes) -> int:
        """Make a job script with one entrypoint, and return its id. The token must be one with an e-mail: the owner's."""
        made = wire.read(_Made, wire.parsed(await self._say("POST", "job-scripts", {"name": name})))
        boundary = uuid4().hex
        head = 'Content-Disposition: form-data; name="upload_file"; filename="file"\r\nContent-Type: application/octet-stream'
        await self._ask(
            "PUT",
            _upload(made.id, "ENTRYPOINT"),
            query={"filename": filename},
            body=f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode(),
            content_type=f"multipart/form-data; boundary={boundary}",
        )
        return made.id

    async def collect_garbage(self) -> None:
        """Have an API older than 5.7 remove scripts and files that nobody uses. Newer ones do so by themselves."""
        for where in _GARBAGE:
            await self._ask("DELETE", where)

    async def _get(self, where: str, **query: object) -> Any:
        content = await self._ask("GET", where, query={name: str(value) for name, value in query.items()})
        return wire.parsed(content)

    async def _say(self, method: str, where: str, content: Mapping[str, object]) -> bytes:
        return await self._ask(method, where, body=json.dumps(content).encode(), content_type=_JSON)

    async def _ask(
        self,
        method: str,
        where: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        largest: int = _LARGEST_ANSWER,
    ) -> bytes:
        """The answer's content. A token that the API does not take is replaced once."""
        url = URL(f"{self.url}/{where}", encoded=True).with_query(query)
        headers = {"Accept": accept} | ({"Content-Type": content_type} if body is not None else {})

        async def send(token: str) -> Answer:
            authorized = {**headers, "Authorization": f"Bearer {token}"}
            answer = await self._http.send(method, url, headers=authorized, body=body, largest=largest)
            if answer.status >= _NO_SUCCESS:  # some pages show what was asked, headers and all
                return replace(answer, body=answer.body.replace(token.encode(), b"..."))
            return answer

        token = await self._tokens.current()
        answer = await send(token)
        if answer.status == _UNAUTHORIZED:
            self._tokens.refused(token)
            answer = await send(await self._tokens.current())
        if answer.status >= _NO_SUCCESS:
            raise self._error(answer)
        if answer.content_type == _PAGE:  # which would do as a script, or as a report taken
            raise NonsenseError("the answer is a page for people, and not the API's")
        return answer.body

    def _error(self, answer: Answer) -> HttpError:
        error = api_error(answer.status, answer.body)
        if isinstance(error, UnauthorizedError):
            return UnauthorizedError(error.status, f"{self.url} does not take a fresh token: {error.message}; {_TOKENS_TAKEN}")
        return error


def _upload(job_script_id: int, name: str) -> str:
    return f"job-scripts/{job_script_id}/upload/{quote(name, safe='')}"


def _sayable(filename: str) -> bool:
    """Whether the API can put a file's name into a header of its answer, as it does."""
    return filename.encode("latin-1", errors="replace").decode("latin-1") == filename


def _job(slurm_job_id: int | None, state: str, reason: str | None, info: str) -> dict[str, object]:
    return {
        "slurm_job_id": slurm_job_id,
        "slurm_job_state": state,
        "slurm_job_state_reason": None if reason is None else wire.storable(reason),
        "slurm_job_info": wire.storable(info),
    }
