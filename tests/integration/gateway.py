"""A real cluster for the gateway's tests: the bed's Slurm, reached through the bed's sshd by our own ssh room."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

import bed
from slurmgate.core.outcomes import Admission, Refused, Seen, Staged, SubmitOutcome, Submitted, Task, Uncertain
from slurmgate.core.states import Kind, state
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import JobSubmissionSpec
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import File, Package
from slurmgate.slurm.package import prepare
from slurmgate.slurm.records import half_known
from slurmgate.ssh.credentials import PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.runner import Runner

Answer = TypeVar("Answer")


@dataclass
class Keys:
    files: dict[str, Path]

    async def private_key(self, user: str) -> PrivateKey:
        return PrivateKey.parse(self.files[user].read_bytes())


@dataclass
class Job:
    """A submission on its way, and what it may be asked afterwards."""

    token: str
    admission: Admission
    package: Package
    user: str = "kirby"
    directory: str = ""
    attempt: int = 1
    job_id: str = ""


@dataclass
class Site:
    """The gateway together with what a test does behind its back."""

    bed: bed.Bed
    gateway: CliGateway
    runner: Runner
    spec: SlurmClusterSpec
    jobs: list[Job] = field(default_factory=list)

    def make(
        self,
        script: str | bytes = "#!/bin/sh\ntrue\n",
        *,
        user: str = "kirby",
        token: str | None = None,
        held: bool = False,
        files: Sequence[File] = (),
        environment: Sequence[tuple[str, str]] = (),
        **spec: Any,
    ) -> Job | Refused:
        token = token or str(uuid.uuid4())
        body = {
            "clusterRef": {"name": "valhalla"},
            "owner": "kirby@example.org",
            "script": {"inline": "x"},
            "environment": [{"name": name, "value": "x"} for name, _ in environment],
            **spec,
        }
        prepared = prepare(
            JobSubmissionSpec.model_validate(body),
            namespace="research",
            name="job",
            token=token,
            user=user,
            script=script.encode() if isinstance(script, str) else script,
            files=files,
            environment=environment,
            held=held,
            cluster=self.spec,
            installation="this-cluster",
            accounting=True,
        )
        return prepared if isinstance(prepared, Refused) else Job(token, *prepared, user=user)

    def job(self, script: str | bytes = "#!/bin/sh\ntrue\n", **more: Any) -> Job:
        job = self.make(script, **more)
        assert isinstance(job, Job), job
        return job

    async def stage(self, job: Job) -> Job:
        staged = await self.gateway.stage(job.user, job.package)
        assert isinstance(staged, Staged), staged
        job.directory, job.attempt = staged.directory, staged.attempt
        return job

    async def send(self, job: Job) -> SubmitOutcome:
        return await self.gateway.submit(job.user, job.token, job.directory, job.attempt)

    async def submit(self, job: Job) -> Job:
        await self.stage(job)
        submitted = await self.send(job)
        if isinstance(submitted, Uncertain):  # on a busy machine slurmctld may need longer than sbatch waits

            async def found() -> Submitted | None:
                outcome = await self.gateway.find(job.user, job.token, job.directory)
                return outcome if isinstance(outcome, Submitted) else None

            submitted = await eventually(found, seconds=60)
        assert isinstance(submitted, Submitted), submitted
        job.job_id = submitted.job_id
        return job

    async def run(self, script: str | bytes, **more: Any) -> Job:
        return await self.submit(self.job(script, **more))

    async def rows(self, job: Job) -> tuple[Task, ...]:
        seen = await self.gateway.observe(job.user, [job.user])
        assert isinstance(seen, Seen), seen
        return seen.tasks.get(job.job_id, ())

    async def record(self, job: Job, *, tasks: int | None = None, seconds: float = 60) -> tuple[Task, ...]:
        """Its rows in accounting, once all have ended there; `tasks` is their number if it is an array."""

        async def ended() -> tuple[Task, ...]:
            if any(state(row.state).kind is not Kind.ENDED for row in await self.rows(job)):
                return ()
            seen = await self.gateway.account(job.user, [job.job_id])
            assert isinstance(seen, Seen), seen
            rows = seen.tasks.get(job.job_id, ())
            whole = [row for row in rows if state(row.state).kind is Kind.ENDED and not half_known(row)]
            return rows if len(whole) == len(rows) == (tasks or 1) else ()

        return await eventually(ended, seconds=seconds)

    def shell(self, command: str, *, user: str = "kirby") -> str:
        """What a person sees who types this on the login node."""
        done = self.bed.slurm.inside(["/bin/bash", "-c", command], user=user)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, job: Job, name: str) -> bytes:
        """A file of the job's working directory."""
        return self.path(job, name).read_bytes()

    def path(self, job: Job, name: str = ".") -> Path:
        return self.bed.slurm.description.homes / Path(job.directory).relative_to("/home") / name


async def eventually(ask: Callable[[], Awaitable[Answer | None]], *, seconds: float = 30) -> Answer:
    """The first answer that is not empty."""
    until = time.monotonic() + seconds
    while True:
        if answer := await ask():
            return answer
        assert time.monotonic() < until, "it did not come to that"
        await asyncio.sleep(0.3)


@pytest.fixture(scope="session")
def gateway_bed() -> Iterator[bed.Bed]:
    running = bed.up(f"gateway-{os.getpid()}", slurm=bed.Options(message_timeout=4, kill_wait=4), kubernetes=False)
    yield running
    running.down()


@asynccontextmanager
async def site_of(running: bed.Bed) -> AsyncIterator[Site]:
    """The gateway to this bed."""
    slurm = running.slurm.description
    endpoint = Endpoint(name="valhalla", hosts=(Host(slurm.host, slurm.port),), known_hosts=slurm.known_hosts)
    runner = Runner(endpoint, Keys(slurm.users))
    spec = SlurmClusterSpec.model_validate(
        {
            "ssh": {"hosts": [{"host": slurm.host, "port": slurm.port}], "knownHosts": {"inline": slurm.known_hosts}},
            "identity": {"mapping": {"configMap": "mapping"}},
            "limits": {"commandTimeoutSeconds": 20},
        }
    )
    try:
        yield Site(running, CliGateway(runner, spec), runner, spec)
    finally:
        await runner.close()
