"""The gateway on a real Slurm through a real sshd: what it sees, what it does, and what it says when things break."""

import asyncio
import os
import random
import re
import shlex
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

import bed
from slurmgate.core.outcomes import ClusterFacts, NeverSent, NotNow, Refused, Seen, Submitted, Task, Unavailable, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.slurm import directives, login, remote, staging
from slurmgate.slurm.gateway import File
from slurmgate.slurm.options import NotUnderstoodError
from tests.integration.gateway import Job, Site, eventually, site_of
from tests.integration.gateway import gateway_bed as _gateway_bed

pytestmark = [pytest.mark.bed, pytest.mark.asyncio(loop_scope="module")]
gateway_bed = _gateway_bed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(gateway_bed: bed.Bed) -> AsyncIterator[Site]:
    async with site_of(gateway_bed) as site:
        yield site


# The cluster ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["kirby", "mario"], ids=["a quiet shell", "a shell that talks"])
async def test_the_cluster_describes_itself(site: Site, user: str) -> None:
    facts = await site.gateway.describe(user)
    assert isinstance(facts, ClusterFacts)
    assert re.fullmatch(r"\d\d\.\d\d\.\d+", facts.slurm_version)
    assert (facts.cluster_name, facts.hides_jobs, facts.accounting) == ("valhalla", True, True)
    batch, closed, night = sorted(facts.partitions, key=lambda partition: partition.name)
    assert (batch.name, batch.state, batch.nodes, batch.cpus, batch.gpus) == ("batch", "up", 4, 256, 16)
    assert (closed.state, night.nodes) == ("down", 1)


# A job's life --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["kirby", "mario"])
async def test_a_job_from_its_files_to_its_record(site: Site, user: str) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    job = await site.run(
        "#!/bin/bash\ncat 'in put/data'; echo $GREETING; dd if=/dev/zero of=/dev/null bs=64M count=40 status=none\n",
        user=user,
        files=[File("in put/data", b"\x00\xff\n"), File("run", b"", executable=True)],
        environment=[("GREETING", 'it\'s\n  "$HOME"')],
        sbatchArguments=["--comment=of my own"],
    )
    (row,) = await site.record(job)
    assert (row.job_id, row.state, row.exit_code, row.signal, row.user) == (job.job_id, "COMPLETED", 0, None, user)
    assert (row.token, row.restarts) == (job.token, 0)
    assert row.submit_time is not None
    assert row.start_time is not None
    assert row.end_time is not None
    assert began <= row.submit_time <= row.start_time <= row.end_time <= datetime.now(UTC)
    assert row.elapsed_seconds == round((row.end_time - row.start_time).total_seconds())
    assert row.cpu_seconds is not None
    assert site.read(job, f"slurm-{job.job_id}.out") == b'\x00\xff\nit\'s "$HOME"\n'.replace(b' "', b' "')
    assert site.path(job, "run").stat().st_mode & 0o777 == 0o755
    assert site.path(job, "in put/data").stat().st_mode & 0o777 == 0o644
    comment = site.shell(f"squeue --noheader --states=all --jobs={job.job_id} --Format=Comment:0", user=user)
    assert comment.strip() == f"slurmgate:{job.token} of my own"


async def test_the_queue_shows_a_job_while_it_lives(site: Site) -> None:
    job = await site.run("#!/bin/sh\nsleep 60\n", array="0-2%1")

    async def started() -> bool:
        return {row.index: row.state for row in await site.rows(job)} == {"0": "RUNNING", "1-2": "PENDING"}

    await eventually(started)
    running, waiting = sorted(await site.rows(job), key=lambda row: row.index or "")
    assert running.token == waiting.token == job.token
    assert (running.nodes is not None, running.end_time, waiting.start_time) == (True, None, None)
    assert waiting.reason == "JobArrayTaskLimit"
    assert await site.gateway.cancel("kirby", [job.job_id]) == {}

    async def gone() -> bool:
        return all(row.state == "CANCELLED" for row in await site.rows(job))

    await eventually(gone)


async def test_components_of_a_heterogeneous_job_are_one_job(site: Site) -> None:
    job = await site.run("#!/bin/sh\n#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n2\ntrue\n")
    assert job.admission.launch.why == "a heterogeneous job starts its own steps"

    async def ended() -> list[Any]:
        seen = await site.gateway.account("kirby", [job.job_id])
        assert isinstance(seen, Seen)
        rows = sorted((row.index, row.state, row.token) for row in seen.tasks.get(job.job_id, ()))
        return rows if [row[1] for row in rows] == ["COMPLETED"] * 2 else []

    assert await eventually(ended) == [("+0", "COMPLETED", job.token), ("+1", "COMPLETED", job.token)]


async def test_hold_release_and_cancel(site: Site) -> None:
    job = await site.run("#!/bin/sh\nsleep 60\n", held=True)

    async def waits_for(reason: str) -> bool:
        return [row.reason for row in await site.rows(job)] == [reason]

    await eventually(lambda: waits_for("JobHeldUser"))
    assert await site.gateway.release("kirby", job.job_id) is None
    assert await site.gateway.release("kirby", job.job_id) is None
    refused = (await site.gateway.cancel("mario", [job.job_id, "999999"]))[job.job_id]
    assert isinstance(refused, Refused)
    assert "Access/permission denied" in refused.message
    for _ in range(2):
        assert await site.gateway.cancel("kirby", [job.job_id]) == {}
    (row,) = await site.record(job)
    assert row.state == "CANCELLED"
    assert await site.gateway.hold("kirby", job.job_id) is None
    assert await site.gateway.release("kirby", job.job_id) is None
    assert await site.gateway.cancel("kirby", ["999999"]) == {}


async def test_nobody_sees_jobs_of_others_but_who_may(site: Site) -> None:
    job = await site.run("#!/bin/sh\ntrue\n", held=True)
    for user, sees in (("dovahkiin", False), ("jarvice", True)):
        seen = await site.gateway.observe(user, {"kirby", "mario"})
        assert isinstance(seen, Seen)
        assert (job.job_id in seen.tasks) is sees
    await site.gateway.cancel("kirby", [job.job_id])


async def test_times_do_not_depend_on_the_login_nodes_zone(site: Site) -> None:
    home = site.bed.slurm.description.homes / "dovahkiin"
    (home / ".bashrc").write_text("export TZ=Asia/Tokyo SBATCH_WAIT=1 SLURM_CLUSTERS=nosuch\n")
    try:
        job = await site.run("#!/bin/sh\necho $TZ\n", user="dovahkiin", token=str(uuid.uuid4()))
        (row,) = await site.record(job)
    finally:
        (home / ".bashrc").unlink()
    assert row.submit_time is not None
    assert abs(datetime.now(UTC) - row.submit_time) < timedelta(minutes=5)
    assert site.read(job, f"slurm-{job.job_id}.out") == b"Asia/Tokyo\n"


async def test_values_of_variables_are_nowhere_to_be_seen(site: Site) -> None:
    secret = f"secret-{uuid.uuid4()}"
    job = await site.stage(site.job("#!/bin/sh\necho ${#TOKEN}\n", environment=[("TOKEN", secret)]))
    # a pattern that does not match itself: the watcher's own words are among those it sees
    pattern = f"[{secret[0]}]{secret[1:20]}"
    watch = f"for _ in $(seq 60); do cat /proc/[0-9]*/cmdline 2>/dev/null; sleep 0.03; done | grep -ac '{pattern}'"
    spy = asyncio.create_task(asyncio.to_thread(site.bed.slurm.inside, ["/bin/sh", "-c", watch]))
    submitted = await site.send(job)
    assert isinstance(submitted, Submitted)
    job.job_id = submitted.job_id
    assert int((await spy).stdout) == 0
    await site.record(job)
    assert site.read(job, f"slurm-{job.job_id}.out") == f"{len(secret)}\n".encode()
    assert secret not in site.shell(f"sacct -j {job.job_id} -P -o ALL; scontrol show job {job.job_id}")
    assert not site.path(job, f".slurmgate/{job.token}/environment").exists()


# Bad input -----------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a partition that is not there": ({"partition": "nosuch"}, "Invalid partition name specified"),
    "an account that is not one's own": ({"account": "pc"}, "Invalid account or account/partition combination specified"),
    "a qos that is not there": ({"qos": "nosuch"}, "Invalid qos specification"),
    "more than there is": ({"nodes": 99}, "Node count specification invalid"),
    "a feature that no node has": ({"sbatchArguments": ["--constraint=nosuch"]}, "Invalid feature specification"),
    "a wrong time": ({"sbatchArguments": ["--deadline=never"]}, "Invalid --deadline specification"),
    "a wrong gres": ({"sbatchArguments": ["--gres=nosuch:1"]}, "Invalid generic resource (gres) specification"),
    "memory in two ways": ({"memory": "1G", "sbatchArguments": ["--mem-per-cpu=1G"]}, "mutually exclusive"),
}


@pytest.mark.parametrize(("fields", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_slurm_refuses_is_refused_in_its_words(site: Site, fields: dict[str, Any], words: str) -> None:
    job = await site.stage(site.job(**fields))
    refused = await site.send(job)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.SUBMIT_REJECTED
    assert words in refused.message
    assert "sbatch: error" not in refused.message
    assert await site.gateway.find("kirby", job.token, job.package.directory) == refused


@pytest.mark.parametrize(
    "directory", ["/root/x", "/usr/x", "/home/mario", "/etc/passwd/x", "/proc/x", "/home/kirby/" + "x" * 300]
)
async def test_a_directory_that_the_user_cannot_write_to_is_refused(site: Site, directory: str) -> None:
    refused = await site.gateway.stage("kirby", site.job(executionDirectory=directory).package)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.DIRECTORY_NOT_WRITABLE
    assert directory[:5] in refused.message


async def test_a_full_disk_is_waited_for(site: Site) -> None:
    site.bed.slurm.inside(["/bin/sh", "-c", "mkdir -p /full && mount -t tmpfs -o size=64k,mode=1777 tmpfs /full"])
    job = site.job(executionDirectory="/full/x", files=[File("data", bytes(200_000))])
    full = await site.gateway.stage("kirby", job.package)
    assert isinstance(full, NotNow)
    assert "No space left on device" in full.message
    assert site.shell("find /full -type f") == ""
    site.bed.slurm.inside(["mount", "-o", "remount,size=4m", "/full"])
    await site.stage(job)
    site.bed.slurm.inside(["/bin/sh", "-c", "dd if=/dev/zero of=/full/fill bs=4k 2>/dev/null"])
    assert isinstance(await site.send(job), NotNow)
    site.bed.slurm.inside(["rm", "/full/fill"])
    assert isinstance(await site.send(await site.stage(job)), Submitted)


async def test_a_script_of_somebody_else_is_read_only_if_it_may_be(site: Site) -> None:
    site.shell("printf '#!/bin/sh\\n' >~/open.sh; cp open.sh closed.sh; chmod 644 open.sh; chmod 600 closed.sh; chmod 711 ~")
    assert await site.gateway.read_script("mario", "/home/kirby/open.sh") == b"#!/bin/sh\n"
    assert await site.gateway.read_script("kirby", "~/closed.sh") == b"#!/bin/sh\n"
    refused = await site.gateway.read_script("mario", "/home/kirby/closed.sh")
    assert isinstance(refused, Refused)
    assert "Permission denied" in refused.message


async def test_a_script_that_is_a_pipe_is_not_waited_for(site: Site) -> None:
    site.shell("mkfifo ~/pipe.sh")
    refused = await site.gateway.read_script("kirby", "~/pipe.sh")
    assert isinstance(refused, Refused)
    assert "Not a regular file" in refused.message


# Things that break ---------------------------------------------------------------------------------------------------


@pytest.fixture
def controller(site: Site) -> Iterator[Any]:
    service = site.bed.slurm.service("slurmctld")
    yield service
    service.thaw()
    if not service.running():
        service.start()


def jobs_of(site: Site, job: Job) -> list[str]:
    """Ids of all jobs that Slurm has with this token."""
    queue = "squeue --noheader --states=all --Format='JobID:0 ,Comment:0'"
    return site.shell(f"{queue} | sed -n 's/ slurmgate:{job.token}.*//p'").splitlines()


@pytest.mark.slow
async def test_a_controller_that_is_down_is_waited_for(site: Site, controller: Any) -> None:
    job = await site.stage(site.job())
    controller.stop()
    later = await site.send(job)
    assert isinstance(later, NotNow)
    assert later.reason is Reason.CONTROLLER_UNAVAILABLE
    for answer in (await site.gateway.observe("kirby", {"kirby"}), await site.gateway.describe("kirby")):
        assert isinstance(answer, Unavailable)
        assert answer.reason is Reason.CONTROLLER_UNAVAILABLE
    assert isinstance((await site.gateway.cancel("kirby", ["1"]))["1"], NotNow)
    assert isinstance(await site.gateway.find("kirby", job.token, job.directory), Uncertain)
    controller.start()
    assert isinstance(await site.gateway.find("kirby", job.token, job.directory), NeverSent)
    assert isinstance(await site.send(await site.stage(job)), Submitted)
    assert len(jobs_of(site, job)) == 1


async def found(site: Site, job: Job) -> Submitted:
    """What the look-up says once it knows of the job."""

    async def look() -> Submitted | None:
        outcome = await site.gateway.find("kirby", job.token, job.directory)
        return outcome if isinstance(outcome, Submitted) else None

    return await eventually(look)


@pytest.mark.slow
async def test_a_job_that_slurm_took_without_saying_so_is_found(site: Site, controller: Any) -> None:
    job = await site.stage(site.job())
    controller.freeze()
    lost = await site.send(job)
    assert isinstance(lost, Uncertain)
    assert "timed out" in lost.message
    assert isinstance(await site.gateway.find("kirby", job.token, job.directory), Uncertain)
    controller.thaw()
    outcome = await found(site, job)
    assert jobs_of(site, job) == [outcome.job_id]
    assert outcome.directory == job.directory
    assert isinstance(await site.send(job), Uncertain)
    assert jobs_of(site, job) == [outcome.job_id]


async def test_sbatch_goes_on_when_the_connection_is_cut(site: Site, controller: Any) -> None:
    job = await site.stage(site.job())
    controller.freeze()
    task = asyncio.create_task(site.send(job))

    async def sent() -> bool:
        return site.path(job, f".slurmgate/{job.token}/attempt.1/err").exists()

    await eventually(sent)
    await asyncio.sleep(0.5)
    site.bed.slurm.inside(["pkill", "--signal", "KILL", "--full", "sshd: kirby"])
    assert isinstance(await task, Uncertain)
    controller.thaw()
    outcome = await found(site, job)
    assert jobs_of(site, job) == [outcome.job_id]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
async def test_half_a_package_is_never_submitted(site: Site, part: float) -> None:
    """The client is killed while the script is on its way."""
    job = site.job(b"#!/bin/sh\n" + b"echo out\n" * 100_000, files=[File("data", random.Random(1).randbytes(400_000))])
    content = staging.stdin([job.package], person=("kirby", "1000"))
    argv = [*site.bed.slurm.description.ssh("kirby"), shlex.join(remote.command("stage", seconds=30))]
    with subprocess.Popen(  # noqa: ASYNC220 - the other end is on this machine
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as ssh:
        assert ssh.stdin is not None
        ssh.stdin.write(content[: int(content.rindex(b"complete\0") * part)])
        ssh.stdin.flush()
        await asyncio.sleep(1)
        ssh.kill()
    job.directory = f"/home/kirby/{job.package.directory.removeprefix('~/')}"
    assert isinstance(await site.send(job), NotNow)
    assert isinstance(await site.gateway.find("kirby", job.token, job.package.directory), NeverSent)
    await site.submit(job)
    await site.record(job)
    assert site.read(job, f"slurm-{job.job_id}.out") == b"out\n" * 100_000
    assert len(jobs_of(site, job)) == 1


async def test_of_many_submits_at_once_one_becomes_a_job(site: Site) -> None:
    job = await site.stage(site.job())
    outcomes = await asyncio.gather(*(site.send(job) for _ in range(6)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Submitted", *["Uncertain"] * 5]
    assert len(jobs_of(site, job)) == 1


@pytest.mark.parametrize("most", [10 * 1024, 2500], ids=["with its steps", "with all its words"])
async def test_accounting_that_is_too_much_at_once_is_told_in_parts(
    site: Site, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    array, single = [await site.run("#!/bin/sh\nsleep 1\n", **more) for more in ({"array": "0-9"}, {})]
    await site.record(single)
    await site.record(array, tasks=10)
    monkeypatch.setitem(login._LONG_ANSWERS, "run", most)
    seen = await site.gateway.account("kirby", [array.job_id, single.job_id])
    assert isinstance(seen, Seen)
    assert [(task.state, task.token) for task in seen.tasks[single.job_id]] == [("COMPLETED", single.token)]
    found = {(task.index, task.state, task.token) for task in seen.tasks[array.job_id]}
    assert found == {(str(index), "COMPLETED", array.token) for index in range(10)}


async def test_of_all_accounting_a_look_up_is_told_its_own(site: Site) -> None:
    mine, other = await site.run("#!/bin/sh\ntrue\n"), await site.run("#!/bin/sh\ntrue\n")
    for job in (mine, other):

        async def told(token: str = job.token) -> dict[str, tuple[Task, ...]]:
            seen = await site.gateway._reader.accounted("kirby", token, seconds=3600)
            assert isinstance(seen, Seen)
            return seen.tasks

        tasks = await eventually(told)
        assert [(job_id, task.token) for job_id, (task,) in tasks.items()] == [(job.job_id, job.token)]


async def test_accounting_that_is_down_says_nothing_about_any_job(site: Site) -> None:
    service = site.bed.slurm.service("slurmdbd")
    service.stop()
    try:
        away = await site.gateway.account("kirby", ["1"])
        assert isinstance(away, Unavailable)
        assert away.reason is Reason.ACCOUNTING_UNAVAILABLE
        facts = await site.gateway.describe("kirby")
        assert isinstance(facts, ClusterFacts)
        assert facts.accounting
        job = await site.run("#!/bin/sh\nexit 3\n")
    finally:
        service.start()
    (row,) = await site.record(job, seconds=120)
    assert (row.state, row.exit_code) == ("FAILED", 3)


async def test_a_cluster_without_accounting() -> None:
    running = bed.up(f"gateway-bare-{os.getpid()}", slurm=bed.Options(nodes=1, accounting=False), kubernetes=False)
    try:
        async with site_of(running) as site:
            facts = await site.gateway.describe("kirby")
            assert isinstance(facts, ClusterFacts)
            assert not facts.accounting
            job = await site.run("#!/bin/sh\nexit 3\n")
            nothing = await site.gateway.account("kirby", [job.job_id])
            assert isinstance(nothing, Unavailable)
            assert nothing.reason is Reason.NO_ACCOUNTING

            async def ended() -> bool:
                return [row.state for row in await site.rows(job)] == ["FAILED"]

            await eventually(ended)
            assert isinstance(await site.gateway.find("kirby", str(uuid.uuid4()), "~/none"), NeverSent)
    finally:
        running.down()


# sbatch's own reading ------------------------------------------------------------------------------------------------

PIECES = ["-N1", "--nodes", "=2", "2", " ", "\t", '"', "'", "\\", "#", "a b", "--comment=x", "é", ":", "''", '"a #b"', "\f"]


async def test_lines_are_read_as_sbatch_reads_them(site: Site) -> None:
    """Random lines, read by sbatch itself and by us: the words must be the same wherever we understand them."""
    generator = random.Random(20261122)
    lines = ["".join(generator.choices(PIECES, k=generator.randint(1, 7))) for _ in range(300)]
    folder = f"lines-{uuid.uuid4()}"
    place = site.bed.slurm.description.homes / "kirby" / folder
    place.mkdir()
    for number, line in enumerate(lines):
        (place / f"{number:03d}").write_bytes(f"#!/bin/sh\n#SBATCH {line}\ntrue\n".encode())
    read = site.shell(
        f"cd {folder}; for file in *; do echo FILE; sbatch -vvvv --test-only $file 2>&1 | "
        "grep -a '^sbatch: debug2: Found in script, argument'; done; true"
    )
    understood = 0
    for number, answer in enumerate(read.split("FILE\n")[1:]):
        words = re.findall(r'Found in script, argument "(.*)"$', answer, re.MULTILINE)
        try:
            ours = list(directives.words(f" {lines[number]}\n", "here"))
        except NotUnderstoodError:
            continue
        if any(word.startswith(":") for word in ours):
            continue  # sbatch stops there, and so do we, later
        assert ours == words, lines[number]
        understood += 1
    assert understood > 150
