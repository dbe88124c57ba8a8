"""The measures: what is done in each, and the figures that come of it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.load.client import Client
from benchmarks.load.ground import TICK_SECONDS, Ground, Running
from benchmarks.load.rivals import PROCESSES, SESSIONS, Rival
from benchmarks.measuring import host
from benchmarks.measuring.processes import cpu_seconds
from benchmarks.measuring.samples import Sample
from benchmarks.measuring.table import percentile
from tests.api import Json

OURS: Final = "Slurmgate"
SSH: Final = f"asyncssh, {SESSIONS} sessions"
ONE_SSH: Final = "asyncssh, one at a time"
LOCAL: Final = f"sbatch, {PROCESSES} processes"
WRITES: Final = "API server alone"
SCANCEL: Final = "scancel of all"

Figures = dict[str, float]


@contextmanager
def _metered(running: Running, figures: Figures) -> Iterator[None]:
    """Put what the operator does meanwhile, and what it costs everybody, into the figures."""
    figures["loop ms"] = host.loop_milliseconds()
    cpu, commands, writes = cpu_seconds(running.programs), running.commands(), running.writes()
    yield
    figures["commands"] = running.commands() - commands
    figures["API writes"] = running.writes() - writes
    figures["memory MiB"], figures["most MiB"] = running.memory_mib()
    for name, used in cpu_seconds(running.programs).items():
        figures[f"CPU s: {name}"] = used - cpu[name]


# Submitting ----------------------------------------------------------------------------------------------------------


async def burst(here: Ground, client: Client, *, count: int, users: int) -> list[Sample]:
    """So many submissions are applied at once, by so many users, until all have their job id in the status."""
    measure = f"{count} submissions at once, {users} user{'s' if users > 1 else ''}"
    rival = Rival(here, here.users[0])
    local = await asyncio.to_thread(rival.locally, count)
    over_ssh = await rival.over_ssh(count)
    here.cancel_jobs()
    figures: Figures = {}
    with here.operator() as running, _metered(running, figures):
        manifests = here.submissions(count, users=here.users[:users], label="burst")
        began = time.time()
        sent, known = await asyncio.gather(client.create(manifests), _submitted(client, manifests))
        waited = sorted(known[name] - sent[name] for name in known)
        figures |= {"s": max(known.values()) - began, "created s": max(sent.values()) - began, "p50 s": percentile(waited, 50)}
        figures |= {"jobs/s": count / figures["s"], "jobs": here.jobs()}
    await _leave(here, client)
    return [
        Sample(measure, LOCAL, {"s": local, "jobs/s": count / local}),
        Sample(measure, SSH, {"s": over_ssh[-1], "jobs/s": count / over_ssh[-1]}),
        Sample(measure, OURS, figures),
    ]


async def single(here: Ground, client: Client, *, count: int, others: int = 0) -> list[Sample]:
    """One submission after the other of one user, while nobody else does anything, or while somebody has applied many."""
    measure = f"one submission at a time{f', {others} of somebody else' if others else ''}"
    mine, *theirs = here.users
    over_ssh = await Rival(here, mine).over_ssh(count, sessions=1)
    here.cancel_jobs()
    figures: Figures = {}
    with here.operator() as running, _metered(running, figures):
        many = here.submissions(others, users=theirs[:1], label="many")
        behind = asyncio.create_task(client.create(many))
        waited: list[float] = []
        for manifest in here.submissions(count, users=[mine], label="single"):
            sent = await client.create([manifest])
            known = await _submitted(client, [manifest])
            waited += [known[name] - sent[name] for name in known]
        still = sum(not _has_job(client.seen.get(each["metadata"]["name"], {})) for each in many)
        await behind
        await _submitted(client, many)
        figures |= {f"p{percent} s": percentile(sorted(waited), percent) for percent in (50, 95, 99)}
        figures["others still waiting"] = still
    await _leave(here, client)
    each = sorted(after - before for before, after in zip([0.0, *over_ssh], over_ssh, strict=False))
    return [
        Sample(measure, ONE_SSH, {f"p{percent} s": percentile(each, percent) for percent in (50, 95, 99)}),
        Sample(measure, OURS, figures),
    ]


# Following -----------------------------------------------------------------------------------------------------------


async def active(here: Ground, client: Client, *, count: int, seconds: float) -> list[Sample]:
    """So many jobs are active and nothing changes, for some time; one changes; the operator is started again."""
    samples: list[Sample] = []
    arriving: Figures = {}
    with here.operator() as running:
        manifests = here.submissions(count, users=here.users, label="active")
        began = time.time()
        with _metered(running, arriving):
            await asyncio.gather(client.create(manifests), _submitted(client, manifests))
            arriving |= {"s": time.time() - began, "jobs/s": count / (time.time() - began)}
        samples.append(Sample(f"{count} submissions, arriving", OURS, arriving))
        await asyncio.sleep(2 * TICK_SECONDS)
        resting: Figures = {}
        with _metered(running, resting):
            await asyncio.sleep(seconds)
        ticks = seconds / TICK_SECONDS
        resting |= {"commands per tick": resting["commands"] / ticks, "core %": 100 * resting[f"CPU s: {OURS}"] / seconds}
        samples.append(Sample(f"{count} active, nothing changes for {seconds:g} s", OURS, resting))
        samples.append(Sample(f"a change in Slurm, {count} active", OURS, await _changes(here, client, manifests[:10])))
    jobs = here.jobs()
    again: Figures = {}
    began = time.time()
    with here.operator() as running:
        again["ready s"] = time.time() - began
        with _metered(running, again):
            changed = manifests[10]["metadata"]["name"]
            _cancel_in_slurm(here, client, changed)
            (moment,) = (await client.moments([changed], _is_over, "Tracking again")).values()
        again |= {"tracking again s": moment - began, "sbatch": running.sent(), "commands": running.commands()}
        again["jobs lost or gained"] = here.jobs() - (jobs - 1)
    samples.append(Sample(f"started again, {count} active", OURS, again))
    await _leave(here, client)
    return samples


async def _changes(here: Ground, client: Client, manifests: Sequence[Json]) -> Figures:
    """Some jobs end, one after the other, at odd moments."""
    waited: list[float] = []
    for number, manifest in enumerate(manifests):
        await asyncio.sleep(TICK_SECONDS * (number % 5) / 5)
        name, began = manifest["metadata"]["name"], time.time()
        _cancel_in_slurm(here, client, name)
        waited += [moment - began for moment in (await client.moments([name], _is_over, "Hearing of it")).values()]
    return {"p50 s": percentile(sorted(waited), 50), "most s": max(waited)}


def _cancel_in_slurm(here: Ground, client: Client, name: str) -> None:
    here.slurm("scancel", client.seen[name]["status"]["slurm"]["jobId"])


async def ending(here: Ground, client: Client, *, count: int) -> list[Sample]:
    """All of so many jobs end at once; beside it, as many statuses are written by somebody who does nothing else."""
    measure = f"{count} jobs end at once"
    figures: Figures = {}
    with here.operator() as running:
        manifests = here.submissions(count, users=here.users, label="ending")
        names = [each["metadata"]["name"] for each in manifests]
        await asyncio.gather(client.create(manifests), _submitted(client, manifests))
        with _metered(running, figures):
            here.cancel_jobs()
            moments = sorted((await client.moments(names, _is_over, "Telling that they have ended")).values())
        figures |= {"s": moments[-1] - moments[0], "writes/s": count / (moments[-1] - moments[0])}
    began = time.monotonic()
    await client.change(names, {"status": {"user": "nobody"}}, subresource="/status")
    alone = time.monotonic() - began
    await _leave(here, client)
    return [Sample(measure, WRITES, {"s": alone, "writes/s": count / alone}), Sample(measure, OURS, figures)]


async def cancelling(here: Ground, client: Client, *, count: int) -> list[Sample]:
    """So many submissions are cancelled at once, until all are told to be; beside it, one scancel of as many ids."""
    measure = f"{count} cancelled at once"
    rival = Rival(here, here.users[0])
    await asyncio.to_thread(rival.locally, count)
    ids = here.slurm("squeue", "--noheader", "--states=pending", "--format=%A").split()
    began = time.monotonic()
    here.slurm("scancel", *ids, user=rival.user)
    plain = time.monotonic() - began
    figures: Figures = {}
    with here.operator() as running:
        manifests = here.submissions(count, users=here.users[:1], label="cancelled")
        names = [each["metadata"]["name"] for each in manifests]
        await asyncio.gather(client.create(manifests), _submitted(client, manifests))
        with _metered(running, figures):
            began = time.time()
            _, moments = await asyncio.gather(
                client.change(names, {"spec": {"cancel": True}}), client.moments(names, _is_over, "Cancelling")
            )
        figures |= {"s": max(moments.values()) - began, "jobs left": here.jobs()}
    await _leave(here, client)
    return [Sample(measure, SCANCEL, {"s": plain}), Sample(measure, OURS, figures)]


async def starting(here: Ground) -> list[Sample]:
    """Nothing is there."""
    figures: Figures = {"loop ms": host.loop_milliseconds()}
    began = time.monotonic()
    with here.operator() as running:
        figures["ready s"] = time.monotonic() - began
        figures["memory MiB"], figures["most MiB"] = running.memory_mib()
        figures["CPU s: Slurmgate"] = cpu_seconds(running.programs)[OURS]
    return [Sample("start to ready", OURS, figures)]


async def _submitted(client: Client, manifests: Sequence[Json]) -> dict[str, float]:
    """When each had its job id in the status."""
    return await client.moments([each["metadata"]["name"] for each in manifests], _has_job, "Submitting")


def _has_job(submission: Json) -> bool:
    return bool(submission.get("status", {}).get("slurm", {}).get("jobId"))


def _is_over(submission: Json) -> bool:
    return submission.get("status", {}).get("phase") in {"Done", "Aborted", "Cancelled"}


async def _leave(here: Ground, client: Client) -> None:
    """Leave nothing behind."""
    here.cancel_jobs()
    with here.operator():
        await client.clear()
