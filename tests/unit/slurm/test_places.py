"""Places that somebody else has prepared, or may exchange: nothing is written through them, run from them or believed."""

import os
from pathlib import Path

import pytest

from slurmgate.core.outcomes import NotNow, Refused, Seen, Staged, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.slurm.gateway import File, Workplace
from tests.unit.slurm.support import OTHER_TOKEN, TOKEN, LoginNode, files, package

SOMEBODY_ELSE = 54321

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of somebody else")


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def planted(path: Path, *, mode: int = 0o755) -> Path:
    """A folder that somebody else has made."""
    path.mkdir(parents=True)
    path.chmod(mode)
    os.chown(path, SOMEBODY_ELSE, SOMEBODY_ELSE)
    return path


async def refusal(login: LoginNode, directory: str = "~/x", *more: File) -> str:
    refused = await login.gateway.stage("kirby", package(directory, files=more))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.DIRECTORY_NOT_WRITABLE
    return refused.message


@pytest.mark.parametrize("name", [".slurmgate", f".slurmgate/{TOKEN}"])
async def test_a_link_in_place_of_our_folder_is_refused(login: LoginNode, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = login.home / "x" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    assert str(link) in await refusal(login, "~/x", *files(a=b"1"))
    assert list(elsewhere.iterdir()) == []
    assert not (login.home / "x/a").exists()


async def test_a_folder_of_somebody_else_in_place_of_ours_is_refused(login: LoginNode) -> None:
    planted(login.state)
    assert await refusal(login) == f"{login.state}: is not this user's own folder"


@pytest.mark.parametrize("kind", ["folder", "link"])
async def test_what_took_the_place_of_ours_later_is_neither_run_nor_believed(
    login: LoginNode, tmp_path: Path, kind: str
) -> None:
    login.says("sbatch", "7\n")
    sent = package("~/x")
    staged = await login.gateway.stage("kirby", sent)
    assert isinstance(staged, Staged)
    login.state.rename(tmp_path / "ours")
    if kind == "folder":
        planted(login.state)
        (login.state / "complete").touch()
        (login.state / "job").write_text("666\n")
        (login.state / "exit.job").write_text("0 0 1 2\n")
    else:
        login.state.symlink_to(tmp_path / "ours")
    submitted = await login.gateway.submit("kirby", TOKEN, staged.directory)
    assert submitted == NotNow(Reason.COMMAND_FAILED, f"{login.state}: is not this user's own folder")
    assert login.runs("sbatch") == 0
    assert await login.gateway.find("kirby", TOKEN, "~/x") == Uncertain(f"{login.state}: is not this user's own folder")
    assert isinstance(await login.gateway.tidy("kirby", TOKEN, "~/x"), NotNow | None)
    assert isinstance(await login.gateway.belong("kirby", TOKEN, "~/x", None), NotNow)
    ended = await login.gateway.exits("kirby", [Workplace("7", TOKEN, staged.directory)])
    assert isinstance(ended, Seen)
    assert not ended.tasks
    assert (tmp_path / "ours/script").exists()


async def test_one_that_is_planted_hides_no_other_one(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x", token=OTHER_TOKEN))
    (login.home / "x/.slurmgate" / OTHER_TOKEN / "exit.job").write_text("3 0 1700000000 1700000001\n")
    planted(login.state)
    places = [Workplace("7", TOKEN, login.directory), Workplace("8", OTHER_TOKEN, login.directory)]
    ended = await login.gateway.exits("kirby", places)
    assert isinstance(ended, Seen)
    assert list(ended.tasks) == ["8"]


OPEN: dict[str, tuple[str, int, int, bool]] = {
    "everybody may write there": ("x", 0o777, 0, False),
    "everybody may write above": ("", 0o777, 0, False),
    "everybody may add something there, as in /tmp": ("x", 0o1777, 0, True),
    "everybody may add something there, and somebody else exchange it": ("x", 0o1777, SOMEBODY_ELSE, False),
    "a group may write there": ("x", 0o2775, 0, True),
    "somebody else's, which everybody may read": ("x", 0o755, SOMEBODY_ELSE, True),
}


@pytest.mark.parametrize(("name", "mode", "owner", "taken"), OPEN.values(), ids=OPEN.keys())
async def test_where_everybody_may_exchange_things_nothing_is_staged(
    login: LoginNode, name: str, mode: int, owner: int, taken: bool
) -> None:
    folder = login.home / "shared" / name
    (login.home / "shared/x/y").mkdir(parents=True)
    folder.chmod(mode)
    os.chown(folder, owner, owner)
    staged = await login.gateway.stage("kirby", package("~/shared/x/y"))
    assert isinstance(staged, Staged) is taken
    if isinstance(staged, Refused):
        assert staged.message.startswith(f"{str(folder).rstrip('/')}: everybody may write there")
        assert not list((login.home / "shared/x/y/.slurmgate").iterdir())


async def test_what_lies_where_everybody_may_exchange_things_by_now_is_not_believed(login: LoginNode) -> None:
    assert isinstance(await login.gateway.stage("kirby", package("~/x")), Staged)
    (login.home / "x").chmod(0o777)
    assert isinstance(await login.gateway.stage("kirby", package("~/x")), Refused)


async def test_a_way_back_is_followed_and_told_as_it_is(login: LoginNode) -> None:
    (login.home / "a").mkdir()
    assert await login.gateway.stage("kirby", package("~/a/../b/./c//d")) == Staged(str(login.home / "b/c/d"))


@pytest.mark.parametrize("name", ["x" * 255, "-rf", "é" * 127, "*", "a\u0301", "$(id)", "~", "a b/c d", "\u202ecod.sh"])
async def test_any_name_is_a_name(login: LoginNode, name: str) -> None:
    assert isinstance(await login.gateway.stage("kirby", package("~/x", files=(File(name, b"1"),))), Staged)
    assert (login.home / "x" / name).read_bytes() == b"1"


async def test_a_name_that_no_file_system_takes_is_refused_in_its_words(login: LoginNode) -> None:
    assert "ame too long" in await refusal(login, "~/x", File("é" * 200, b"1"))
    assert "ame too long" in await refusal(login, f"~/{'x' * 300}")
