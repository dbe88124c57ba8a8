"""slurmgate-shell behind a real sshd: who has the key gets nothing but Slurmgate's own commands."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

import bed
from generate.login_node import SHELL
from slurmgate.core.outcomes import ClusterFacts, Refused, Seen
from slurmgate.slurm.gateway import File
from tests.integration.gateway import Site, site_of
from tests.integration.gateway import gateway_bed as _gateway_bed
from tests.unit.slurm.escapes import CANARY, ESCAPES, ours

pytestmark = [pytest.mark.bed, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
gateway_bed = _gateway_bed

USER = "dovahkiin"
VALUE = "it's\n\\n é \x81\n"


@contextmanager
def restricted(running: bed.Bed, user: str, *, login_shell: str = "/bin/dash") -> Iterator[None]:
    """The key of this user lets only slurmgate-shell through. The shell is the one that sshd starts it with."""
    homes = running.slurm.description.homes
    shutil.copy(SHELL, homes / "slurmgate-shell")
    keys = homes / user / ".ssh" / "authorized_keys"
    before = keys.read_text()
    keys.write_text(f'restrict,command="/home/slurmgate-shell" {before}')
    as_root(running, f"sed -i 's,:/home/{user}:.*,:/home/{user}:{login_shell},' /etc/passwd")
    try:
        yield
    finally:
        keys.write_text(before)
        as_root(running, f"sed -i 's,:/home/{user}:.*,:/home/{user}:/bin/bash,' /etc/passwd")


def as_root(running: bed.Bed, command: str) -> None:
    """Run this on the login node."""
    done = running.slurm.inside(["/bin/sh", "-c", command])
    assert done.returncode == 0, done.stderr


def ssh(
    running: bed.Bed, *words: str, user: str = USER, options: tuple[str, ...] = (), stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """What OpenSSH's own client gets with the user's key."""
    slurm = running.slurm.description
    usual = ("-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={slurm.known_hosts_file}", "-i", slurm.users[user])
    place = ("-p", str(slurm.port), f"{user}@{slurm.host}")
    return subprocess.run(
        ["ssh", *usual, *options, *place, *words], input=stdin, capture_output=True, text=True, timeout=30, check=False
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["/bin/dash", "/bin/bash"])
async def site(gateway_bed: bed.Bed, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """The gateway, and a user with a restricted key."""
    with restricted(gateway_bed, USER, login_shell=request.param):
        async with site_of(gateway_bed) as site:
            yield site


async def test_a_job_from_its_files_to_its_record(site: Site) -> None:
    assert isinstance(await site.gateway.describe(USER), ClusterFacts)
    job = await site.run(
        '#!/bin/sh\ncat input; printf %s "$A"\n',
        user=USER,
        files=[File("input", b"1\n")],
        environment=[("A", VALUE)],
        held=True,
    )
    assert await site.gateway.release(USER, job.job_id) is None
    (row,) = await site.record(job)
    assert row.token == job.token
    assert site.read(job, f"slurm-{job.job_id}.out").decode() == f"1\n{VALUE}"
    other = await site.run("#!/bin/sh\nsleep 60\n", user=USER)
    assert await site.gateway.cancel(USER, [other.job_id]) == {}
    (row,) = await site.record(other)
    assert row.state == "CANCELLED"
    assert await site.gateway.tidy(USER, job.token, job.directory) is None


async def test_nothing_else_comes_through(site: Site) -> None:
    """Every one of the attempts, and none of them leaves a trace."""
    home = site.bed.slurm.description.homes / USER

    async def attempt(command: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(ssh, site.bed, command)

    for name, command in ESCAPES.items():
        done = await attempt(command)
        assert (done.returncode, done.stdout) == (126, ""), name
        assert "slurmgate-shell: " in done.stderr, name
    assert not (home / CANARY).exists()


async def test_the_key_opens_no_other_way(site: Site) -> None:
    slurm = site.bed.slurm.description
    no_shell = ssh(site.bed, stdin=f"touch ~/{CANARY}\n")
    assert (no_shell.returncode, no_shell.stdout) == (126, "")
    terminal = ssh(site.bed, options=("-tt",), stdin=f"touch ~/{CANARY}\n")
    assert "PTY allocation request failed" in terminal.stderr
    sftp = ssh(site.bed, "sftp", options=("-s",))
    assert (sftp.returncode, sftp.stdout) == (126, "")
    tunnel = ssh(site.bed, options=("-W", f"127.0.0.1:{slurm.port}"))
    assert "administratively prohibited" in tunnel.stderr
    backwards = ssh(site.bed, ours("find"), options=("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"))
    assert backwards.returncode == 255
    environment = ssh(site.bed, ours("find"), options=("-o", "SetEnv=LD_PRELOAD=/nonexistent BASH_ENV=/nonexistent"))
    assert "nonexistent" not in environment.stderr
    assert not (slurm.homes / USER / CANARY).exists()


async def test_nothing_is_staged_in_ssh_s_own_folder(site: Site) -> None:
    job = site.job("#!/bin/sh\ntrue\n", user=USER, executionDirectory="~/.ssh")
    refused = await site.gateway.stage(USER, job.package)
    assert isinstance(refused, Refused)
    assert "slurmgate-shell on the login node allows only what is below /home/dovahkiin/slurmgate" in refused.message


async def test_a_forced_command_of_sshd_does_the_same(site: Site) -> None:
    """For everybody of a Match block, whatever stands in authorized_keys."""
    block = "Match User kirby\\n  ForceCommand /home/slurmgate-shell\\n  DisableForwarding yes\\n  PermitTTY no\\n"
    as_root(site.bed, f"cp /etc/ssh/bed_config /etc/ssh/before && printf '{block}' >>/etc/ssh/bed_config")
    sshd = site.bed.slurm.service("sshd")
    sshd.restart()
    try:
        async with site_of(site.bed) as fresh:
            seen = await fresh.gateway.observe("kirby", ["kirby"])
            assert isinstance(seen, Seen), seen
        done = await asyncio.to_thread(ssh, site.bed, "id", user="kirby")
        assert (done.returncode, done.stdout) == (126, "")
    finally:
        as_root(site.bed, "mv /etc/ssh/before /etc/ssh/bed_config")
        sshd.restart()
