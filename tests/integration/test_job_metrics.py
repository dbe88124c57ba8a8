"""What real Slurm jobs use, through a real InfluxDB with TLS and password, in the tables of the real Jobbergate API."""

import asyncio
import base64
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count
from urllib.request import Request, urlopen

import pytest
from typing_extensions import override

import bed
from bed.jobbergate.deployment import Deployment
from bed.jobbergate.person import Person
from bed.life import Bed
from bed.state import Influxdb
from slurmgate.http.client import Http
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.dsn import Dsn
from slurmgate.jobbergate.forwarding import MetricsForwarder
from slurmgate.jobbergate.influx import Influx, InfluxError, Series, connected
from slurmgate.jobbergate.token import Tokens

pytestmark = [pytest.mark.bed, pytest.mark.slow]

JOB = """#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=4 --profile=task --acctg-freq=task=1
srun bash -c '[ $SLURM_PROCID != 0 ] || timeout 12 bash -c "while :; do :; done"; sleep $((SLURM_PROCID ? 12 : 0))'
srun --nodes=1 --ntasks=1 --nodelist=node2 sleep 3
"""
"""Of four tasks Slurm's plugin has 16 kB after seven seconds, and writes them while the step runs."""
COLUMNS = {
    "CPUFrequency": "cpu_frequency",
    "CPUTime": "cpu_time",
    "CPUUtilization": "cpu_utilization",
    "Pages": "page_faults",
    "RSS": "memory_rss",
    "VMSize": "memory_virtual",
}
GPUS = {"GPUMemMB": 17592186044415, "GPUUtilization": 18446744073709551615}
"""What Slurm writes on a node that has none."""
KEY = "extract(epoch from time)::bigint, node_host, step, task"
BEGIN = 1_700_000_000
numbers = count(1_000_001)
"""Of Slurm jobs that there are not."""


@pytest.fixture(scope="module")
def running() -> Iterator[Bed]:
    options = bed.Options(nodes=2, accounting=False, profile=True)
    running = bed.up(f"metrics-{os.getpid()}", slurm=options, kubernetes=False, jobbergate=True)
    yield running
    running.down()


@pytest.fixture
def influxdb(running: Bed) -> Influxdb:
    influxdb = running.slurm.description.influxdb
    assert influxdb is not None
    return influxdb


@pytest.fixture
def jobbergate(running: Bed) -> Deployment:
    return running.jobbergate


@pytest.fixture
def alice(jobbergate: Deployment) -> Person:
    return Person(jobbergate, "alice@example.com")


@pytest.fixture
async def api(jobbergate: Deployment) -> AsyncIterator[JobbergateApi]:
    description = jobbergate.description

    async def secret() -> str:
        return description.client_secret

    async with Http() as http:
        tokens = Tokens(http, issuer=description.issuer, client_id=description.client_id, secret=secret)
        yield JobbergateApi(description.url, tokens, http)


@pytest.fixture
async def influx(influxdb: Influxdb) -> AsyncIterator[Influx]:
    async with reading(influxdb) as influx:
        yield influx


@pytest.fixture
def forwarder(influx: Influx, api: JobbergateApi) -> MetricsForwarder:
    return forwarding(influx, api)


def reading(influxdb: Influxdb, *, deadline: float = 15) -> Influx:
    return Influx(Dsn.parse(influxdb.dsn), authority=influxdb.certificate.read_text(), deadline=deadline)


def forwarding(influx: Influx, api: JobbergateApi) -> MetricsForwarder:
    return MetricsForwarder(lambda: nullcontext(influx), api, dict, cluster="valhalla", interval_seconds=60)


def write(influxdb: Influxdb, lines: Iterable[str]) -> None:
    """Write points as Slurm's plugin does."""
    credentials = base64.b64encode(f"slurm:{influxdb.password}".encode()).decode()
    url = f"{influxdb.url}/write?db={influxdb.database}&rp=autogen&precision=s"
    request = Request(url, "\n".join(lines).encode(), {"Authorization": f"Basic {credentials}"})
    with urlopen(request, timeout=30, context=ssl.create_default_context(cafile=influxdb.certificate)):
        pass


def samples(job: int, times: Iterable[int], *, host: str = "node1", step: int = 0, task: object = 0) -> list[str]:
    """A value for each measurement: of CPUTime it is the second."""
    tags = f"job={job},step={step},task={task},host={host}"
    values = dict.fromkeys(("CPUFrequency", "CPUUtilization", "Pages", "RSS", "VMSize", "ReadMB", "WriteMB"), 7)
    return [
        f"{name},{tags} value={value} {time}" for time in times for name, value in {**values, **GPUS, "CPUTime": time}.items()
    ]


def table(jobbergate: Deployment, number: int, what: str) -> list[str]:
    """Some columns of what the API has of a submission, a line for each row."""
    statement = f"select {what} from job_submission_metrics where job_submission_id = {number}"
    return jobbergate.sql(statement).splitlines()


class Remembering(Influx):
    """Keeps what it was told: Slurm writes over a value that it wrote in the same second, when it may have been passed on."""

    said: list[Series]

    @override
    async def ask(self, statements: Sequence[str]) -> list[Series]:
        found = await super().ask(statements)
        self.said = [*getattr(self, "said", []), *found]
        return found


def lines_of(found: Iterable[Series], measurement: str) -> set[str]:
    """What InfluxDB has said of it, as `table` shows it."""
    return {
        f"{second}|{each.tags['host']}|{each.tags['step']}|{each.tags['task']}|{value}"
        for each in found
        if each.name == measurement
        for second, value in each.values
    }


async def test_what_a_real_job_uses_arrives_while_it_runs_and_all_of_it_when_it_has_ended(
    running: Bed, influxdb: Influxdb, api: JobbergateApi, jobbergate: Deployment, alice: Person
) -> None:
    influx = Remembering(Dsn.parse(influxdb.dsn), authority=influxdb.certificate.read_text())
    forwarder = forwarding(influx, api)
    job = int(running.slurm.inside(["sbatch", "--parsable"], user="kirby", stdin=JOB).stdout)
    number = alice.submit(alice.script(), slurm_job_id=job).id

    def state() -> str:
        return running.slurm.inside(["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]).stdout.strip()

    deadline = time.monotonic() + 60
    while not table(jobbergate, number, "step"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
        await forwarder.tick({number: job})
    assert state() == "RUNNING"
    assert set(table(jobbergate, number, "distinct step")) == {"0"}
    while state() != "COMPLETED":
        await asyncio.sleep(0.5)
        await forwarder.tick({number: job})
        assert forwarder.problem == ""
    await forwarder.tick({})
    assert forwarder.problem == ""

    tasks = {f"node{1 + task // 4}|0|{task}" for task in range(8)} | {"node1|-5|0", "node2|1|0"}
    assert set(table(jobbergate, number, "distinct node_host, step, task")) == tasks
    assert table(jobbergate, number, "max(cpu_time) > 0") == ["t"]
    for measurement, column in COLUMNS.items():
        written = await influx.ask([f"SELECT value FROM {measurement} WHERE job = '{job}' GROUP BY host, step, task"])
        expected, told = lines_of(written, measurement), set(table(jobbergate, number, f"{KEY}, {column}"))
        assert len(expected) > 30
        assert {line.rpartition("|")[0] for line in told} == {line.rpartition("|")[0] for line in expected}
        assert told - expected <= lines_of(influx.said, measurement)
    await influx.close()


async def test_many_samples_arrive_whole_and_only_once(
    influxdb: Influxdb, influx: Influx, api: JobbergateApi, jobbergate: Deployment, alice: Person
) -> None:
    job = next(numbers)
    number = alice.submit(alice.script(), slurm_job_id=job).id
    for host in range(24):
        write(influxdb, samples(job, range(BEGIN, BEGIN + 100), host=f"node{host}"))
    before, after = forwarding(influx, api), forwarding(influx, api)
    for forwarder in (before, before, after):
        await forwarder.tick({number: job})
        assert forwarder.problem == ""
        assert table(jobbergate, number, "count(*), min(cpu_time), max(cpu_time)") == [f"2400|{BEGIN}|{BEGIN + 99}"]


async def test_what_newer_slurms_write_of_batch_scripts_and_gpus_is_understood(
    influxdb: Influxdb, jobbergate: Deployment, alice: Person, forwarder: MetricsForwarder
) -> None:
    job = next(numbers)
    number = alice.submit(alice.script(), slurm_job_id=job).id
    write(influxdb, samples(job, [BEGIN], step=4294967291))
    write(influxdb, samples(job, [BEGIN], task="Filesystem"))
    await forwarder.tick({number: job})
    assert forwarder.problem == ""
    assert table(jobbergate, number, f"{KEY}, gpu_memory, gpu_utilization, memory_rss") == [f"{BEGIN}|node1|-5|0|0|0|7"]


async def test_many_jobs_are_forwarded_side_by_side(
    influxdb: Influxdb, jobbergate: Deployment, alice: Person, forwarder: MetricsForwarder
) -> None:
    script = alice.script()
    jobs = {alice.submit(script, slurm_job_id=job).id: job for job in (next(numbers) for _ in range(8))}
    write(influxdb, [line for job in jobs.values() for line in samples(job, [BEGIN + job])])
    unmeasured = {number + 1_000_000: next(numbers) for number in range(500)}
    await forwarder.tick(jobs | unmeasured)
    assert forwarder.problem == ""
    for number, job in jobs.items():
        assert table(jobbergate, number, "cpu_time") == [str(BEGIN + job)]


async def test_a_frozen_influxdb_is_said_and_waited_for(
    running: Bed, influxdb: Influxdb, api: JobbergateApi, jobbergate: Deployment, alice: Person
) -> None:
    job = next(numbers)
    number = alice.submit(alice.script(), slurm_job_id=job).id
    write(influxdb, samples(job, [BEGIN]))
    service = running.slurm.service("influxdb")
    async with reading(influxdb, deadline=1) as influx:
        forwarder = forwarding(influx, api)
        service.freeze()
        await forwarder.tick({number: job})
        assert forwarder.problem == f"InfluxDB at {influxdb.url} gave no answer within 1 s"
        service.thaw()
    async with reading(influxdb) as influx:
        await forwarding(influx, api).tick({number: job})
    assert len(table(jobbergate, number, KEY)) == 1


async def test_a_killed_influxdb_is_said_and_waited_for_also_by_jobs_that_end_meanwhile(
    running: Bed, influxdb: Influxdb, jobbergate: Deployment, alice: Person, forwarder: MetricsForwarder
) -> None:
    job = next(numbers)
    number = alice.submit(alice.script(), slurm_job_id=job).id
    await forwarder.tick({number: job})
    write(influxdb, samples(job, [BEGIN]))
    service = running.slurm.service("influxdb")
    service.kill()
    await forwarder.tick({})
    assert f"InfluxDB at {influxdb.url} cannot be reached" in forwarder.problem
    service.start()
    await forwarder.tick({})
    assert forwarder.problem == ""
    assert len(table(jobbergate, number, KEY)) == 1


async def test_a_killed_api_is_said_and_waited_for(
    influxdb: Influxdb, jobbergate: Deployment, alice: Person, forwarder: MetricsForwarder
) -> None:
    job = next(numbers)
    number = alice.submit(alice.script(), slurm_job_id=job).id
    write(influxdb, samples(job, [BEGIN]))
    jobbergate.service("api").kill()
    await forwarder.tick({number: job})
    assert "cannot be reached" in forwarder.problem
    jobbergate.service("api").start()
    await forwarder.tick({number: job})
    assert forwarder.problem == ""
    assert len(table(jobbergate, number, KEY)) == 1


async def test_a_password_that_was_wrong_and_is_mended_is_used_the_next_time(
    influxdb: Influxdb, api: JobbergateApi, jobbergate: Deployment, alice: Person
) -> None:
    job = next(numbers)
    number = alice.submit(alice.script(), slurm_job_id=job).id
    write(influxdb, samples(job, [BEGIN]))
    secrets = iter([influxdb.dsn.replace("slurmgate:", "slurmgate:wrong"), influxdb.dsn])

    async def dsn() -> str:
        return next(secrets)

    async def authority() -> str:
        return influxdb.certificate.read_text()

    forwarder = MetricsForwarder(partial(connected, dsn, authority), api, dict, cluster="valhalla", interval_seconds=60)
    await forwarder.tick({number: job})
    assert "authorization failed (HTTP 401)" in forwarder.problem
    await forwarder.tick({number: job})
    assert forwarder.problem == ""
    assert len(table(jobbergate, number, KEY)) == 1


async def test_who_has_no_right_to_read_hears_that(influxdb: Influxdb) -> None:
    authority = influxdb.certificate.read_text()
    for dsn, words in (
        (influxdb.dsn.replace("slurmgate:", "slurmgate:wrong"), r"authorization failed \(HTTP 401\); user and password are in"),
        (influxdb.dsn.replace("slurmgate:", "nobody:"), "authorization failed"),
        (influxdb.dsn + "2", r"requires READ on slurm2 \(HTTP 403\)"),
    ):
        async with Influx(Dsn.parse(dsn), authority=authority) as influx:
            with pytest.raises(InfluxError, match=words) as refused:
                await influx.ask(["SELECT value FROM CPUTime"])
        assert influxdb.password not in str(refused.value)


async def test_a_server_that_nobody_vouches_for_is_told_nothing(influxdb: Influxdb) -> None:
    async with Influx(Dsn.parse(influxdb.dsn)) as influx:
        with pytest.raises(InfluxError, match="certificate verify failed"):
            await influx.ask(["SELECT value FROM CPUTime"])
    async with Influx(Dsn.parse(influxdb.dsn.removeprefix("https+"))) as influx:
        with pytest.raises(InfluxError, match="HTTPS server"):
            await influx.ask(["SELECT value FROM CPUTime"])
