"""Staging: the package arrives whole in its place, or not at all. Run by dash and by bash."""

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from slurmgate.core.outcomes import NotNow, Refused, Staged
from slurmgate.core.reasons import Reason
from slurmgate.slurm import remote, staging
from slurmgate.slurm.gateway import File
from slurmgate.ssh.outcome import Ran
from tests.unit.slurm.support import OTHER_TOKEN, TOKEN, LoginNode, files, package


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


KIRBY = ("kirby", "1000")


def only(content: bytes) -> bytes:
    """What travels of the only package, after the person and its length."""
    return content.split(b"\n", 3)[3]


def members(content: bytes) -> dict[str, bytes]:
    archive = content.split(b"\n", 5)[5]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: (tar.extractfile(entry) or io.BytesIO()).read() for entry in tar}


def test_what_travels() -> None:
    content = staging.stdin([package("~/x", files=files(a=b"1"), environment=(("A", "it's"),))], person=KIRBY)
    *person, length, content = content.split(b"\n", 3)
    assert person == [b"kirby", b"1000"]
    assert int(length) == len(content)
    assert content.split(b"\n", 4)[:4] == [TOKEN.encode(), b"~/x", b"job", b"yes"]
    found = members(content)
    assert list(found) == ["files/a", "script", "environment", "origin", "arguments", "complete"]
    assert found["complete"] == content.split(b"\n", 5)[4]
    assert found["environment"] == b"A=it's\n"


def test_the_same_package_travels_as_the_same_bytes() -> None:
    one, same = (only(staging.stdin([package("/x", files=files(a=b"1"))], person=KIRBY)) for _ in range(2))
    other = only(staging.stdin([package("/x", files=files(a=b"2"))], person=KIRBY))
    assert one == same
    assert members(one)["complete"] != members(other)["complete"]


async def test_everything_is_in_its_place(login: LoginNode) -> None:
    names = {"in put/mesh 'a' $x.dat": b"\x00\xff", "-v": b"x", "über/*": b"y", "a\\nb": b""}
    sent = package(
        "~/re search/job",
        files=tuple(File(name, data) for name, data in names.items()),
        batch=b"#!/bin/sh\n",
        script=b"#!\xff\n",
    )
    directory = login.home / "re search/job"
    assert await login.gateway.stage("kirby", sent) == Staged(str(directory))
    for name, data in names.items():
        assert (directory / name).read_bytes() == data
    state = directory / ".slurmgate" / TOKEN
    assert sorted(path.name for path in state.iterdir()) == ["arguments", "batch", "complete", "origin", "script"]
    assert (state / "script").read_bytes() == (directory / "job.sh").read_bytes() == b"#!\xff\n"
    assert [oct(path.stat().st_mode & 0o777) for path in (state, state / "script")] == ["0o700", "0o700"]
    assert [path.name for path in state.parent.iterdir()] == [TOKEN]


async def test_no_copy_of_the_script_is_kept_if_nobody_wants_one(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~", keep_script=False))
    assert not (login.home / "job.sh").exists()


async def test_the_directory_is_told_without_links(login: LoginNode) -> None:
    (login.home / "real").mkdir()
    (login.home / "link").symlink_to("real")
    assert await login.gateway.stage("kirby", package("~/link/x")) == Staged(str(login.home / "real/x"))


async def test_staging_again_changes_nothing(login: LoginNode) -> None:
    for _ in range(2):
        assert await login.gateway.stage("kirby", package("~/x")) == Staged(str(login.home / "x"))
    state = login.home / "x/.slurmgate" / TOKEN
    before = state.stat().st_ino
    await login.gateway.stage("kirby", package("~/x"))
    assert state.stat().st_ino == before


async def test_another_content_replaces_what_was_not_sent(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x", files=files(a=b"1")))
    await login.gateway.stage("kirby", package("~/x", files=files(a=b"2"), script=b"#!/bin/other\n"))
    state = login.home / "x/.slurmgate" / TOKEN
    assert (state / "script").read_bytes() == b"#!/bin/other\n"
    assert (login.home / "x/a").read_bytes() == b"2"
    assert [path.name for path in state.parent.iterdir()] == [TOKEN]


async def test_what_was_sent_stays(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x"))
    state = login.home / "x/.slurmgate" / TOKEN
    (state / "attempt.1").mkdir()
    staged = await login.gateway.stage("kirby", package("~/x", script=b"#!/bin/other\n"))
    assert staged == Staged(str(login.home / "x"), attempt=2)
    assert (state / "script").read_bytes() == b"#!/bin/sh\ntrue\n"


async def test_what_certainly_gave_no_job_is_replaced_and_its_attempts_stay_counted(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x"))
    state = login.home / "x/.slurmgate" / TOKEN
    (state / "attempt.1").mkdir()
    (state / "attempt.1" / "failed").touch()
    staged = await login.gateway.stage("kirby", package("~/x", script=b"#!/bin/other\n"))
    assert staged == Staged(str(login.home / "x"), attempt=2)
    assert (state / "script").read_bytes() == b"#!/bin/other\n"
    assert (state / "attempt.1" / "failed").exists()


async def test_submissions_share_a_directory(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~"))
    await login.gateway.stage("kirby", package("~", token=OTHER_TOKEN, script=b"#!/bin/other\n"))
    assert (login.home / "job.sh").read_bytes() == b"#!/bin/sh\ntrue\n"
    assert (login.home / f"job-{OTHER_TOKEN[:8]}.sh").read_bytes() == b"#!/bin/other\n"


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9, 0.98])
async def test_a_package_cut_short_is_no_package(login: LoginNode, part: float) -> None:
    sent = package("~/x", files=files(a=os.urandom(20_000)), environment=(("A", "1"),))
    content = staging.stdin([sent], person=KIRBY)
    end = content.rindex(b"complete\0")  # what follows is padding, mostly
    some = content[: int(end * part)]
    outcome = await login.shell.run("kirby", remote.command("stage", seconds=10), stdin=some, deadline=20, output_limit=2**20)
    assert isinstance(outcome, Ran)
    answer = remote.answer(outcome.stdout)
    assert answer is None or answer.words("trouble")
    state = login.home / "x/.slurmgate" / TOKEN
    assert not state.exists()
    assert await login.gateway.submit("kirby", TOKEN, str(login.home / "x")) == NotNow(
        Reason.COMMAND_FAILED, f"{login.home}/x: the staged files are not there"
    )
    assert isinstance(await login.gateway.stage("kirby", sent), Staged)
    assert [path.name for path in state.parent.iterdir()] == [TOKEN]


async def test_files_go_through_no_symbolic_link(login: LoginNode, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (login.home / "in").symlink_to(outside)
    refused = await login.gateway.stage("kirby", package("~", files=(File("in/a", b"1"),)))
    assert refused == Refused(
        Reason.DIRECTORY_NOT_WRITABLE, f"{login.home}/in: is a symbolic link, files are not placed through it"
    )
    assert list(outside.iterdir()) == []
    assert [path.name for path in (login.home / ".slurmgate").iterdir()] == []


async def test_a_link_where_a_file_goes_is_replaced(login: LoginNode, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (login.home / "a").symlink_to(outside)
    (login.home / "b").symlink_to(tmp_path)
    await login.gateway.stage("kirby", package("~", files=files(a=b"1", b=b"2")))
    assert outside.read_bytes() == b"precious"
    assert [(login.home / name).read_bytes() for name in "ab"] == [b"1", b"2"]


async def test_a_file_replaces_no_directory(login: LoginNode) -> None:
    (login.home / "a").mkdir()
    refused = await login.gateway.stage("kirby", package("~", files=files(a=b"1")))
    assert refused == Refused(Reason.DIRECTORY_NOT_WRITABLE, f"{login.home}/a: Is a directory")


async def test_a_directory_that_cannot_be_is_refused_with_the_systems_words(login: LoginNode) -> None:
    (login.home / "file").touch()
    refused = await login.gateway.stage("kirby", package("~/file/x"))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.DIRECTORY_NOT_WRITABLE
    assert "Not a directory" in refused.message


async def test_a_home_that_is_not_there_is_waited_for(login: LoginNode) -> None:
    login.shell.home = login.home / "not-mounted"
    waits = await login.gateway.stage("kirby", package("~/x"))
    assert waits == NotNow(Reason.COMMAND_FAILED, f"{login.home}: the home is not there")


async def test_start_files_may_print_what_they_like(login: LoginNode) -> None:
    login.shell = replace(login.shell)
    login.shell.noise = b"Welcome!\nSLURMGATE-BEGIN of the day\ndirectory=/etc\n\xff\n"
    login.gateway._login._runner = login.shell
    assert await login.gateway.stage("kirby", package("~/x")) == Staged(str(login.home / "x"))


STRANGERS: dict[str, tuple[str, int | str, type, str]] = {
    "somebody else": ("mario", 7002, Refused, "Logged in as kirby one is mario on the cluster"),
    "root by another name": ("kirby", 0, Refused, "kirby has uid 0 on the cluster"),
    "a system account": ("kirby", 999, Refused, "kirby has uid 999"),
    "nobody known": ("", 7001, NotNow, "id: the login node does not say"),
    "no number": ("kirby", "many", NotNow, "id: the login node does not say"),
}


@pytest.mark.parametrize(("name", "uid", "kind", "words"), STRANGERS.values(), ids=STRANGERS.keys())
async def test_nothing_is_placed_or_read_for_whom_it_is_not(
    login: LoginNode, name: str, uid: int | str, kind: type[Refused | NotNow], words: str
) -> None:
    (login.home / "script.sh").write_text("#!/bin/sh\n")
    login.shell.logs_in(name, uid)
    for outcome in (
        await login.gateway.stage("kirby", package("~/x", files=files(a=b"x" * 3_000_000))),
        await login.gateway.read_script("kirby", "~/script.sh"),
    ):
        assert isinstance(outcome, kind)
        assert outcome.message.startswith(words)
    assert not (login.home / "x").exists()


async def test_a_cluster_says_what_a_system_account_is(tmp_path: Path, shell: str) -> None:
    login = LoginNode.prepare(tmp_path, shell, access={"minimumUid": 500})
    login.shell.logs_in("kirby", 500)
    assert isinstance(await login.gateway.stage("kirby", package("~/x")), Staged)
    login.shell.logs_in("kirby", 499)
    assert isinstance(await login.gateway.stage("kirby", package("~/x")), Refused)
