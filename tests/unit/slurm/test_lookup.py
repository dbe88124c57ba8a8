"""Looking a submission up: marker, squeue, sacct, and what may be concluded from their answers."""

import os
import time

import pytest

from slurmgate.core.outcomes import NeverSent, Refused, Submitted, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.slurm import login as login_node
from tests.unit.slurm.support import OTHER_TOKEN, TOKEN, LoginNode, package


def attempt(login: LoginNode, *, age: int = 10_000, **content: str) -> None:
    """An attempt as it was left behind."""
    folder = login.state / "attempt.1"
    folder.mkdir(parents=True)
    now = int(os.stat(folder).st_mtime)  # noqa: PTH116 - the clock that the programs read
    (folder / "started").write_text(f"{now - age}\n")
    for name, text in content.items():
        (folder / name).write_text(text)


async def find(login: LoginNode) -> object:
    return await login.gateway.find("kirby", TOKEN, "~/x")


async def test_what_was_never_staged_was_never_sent(login: LoginNode) -> None:
    assert await find(login) == NeverSent()
    assert login.runs("squeue") == login.runs("sacct") == 1


async def test_nothing_is_concluded_while_the_home_is_not_there(login: LoginNode) -> None:
    login.shell.home = login.home / "not-mounted"
    assert await find(login) == Uncertain(f"{login.home}: the home is not there")


async def test_what_was_staged_only_was_never_sent(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x"))
    assert await find(login) == NeverSent()


async def test_looking_twice_says_the_same(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x"))
    for _ in range(3):
        assert await find(login) == NeverSent()
    login.says("sbatch", "7\n")
    assert isinstance(await login.submit(), Submitted)
    assert isinstance(await find(login), Submitted)


async def test_an_answer_that_was_lost_on_the_way_is_found(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    await login.submit()
    assert await find(login) == Submitted("7", directory=login.directory)
    assert login.runs("squeue") == 0


async def test_an_id_counts_even_if_sbatch_never_ended(login: LoginNode) -> None:
    attempt(login, out="7\n", err="")
    assert await find(login) == Submitted("7", directory=login.directory)


async def test_a_refusal_is_found(login: LoginNode) -> None:
    login.says("sbatch", stderr="sbatch: error: Invalid account\n", status=1)
    await login.submit()
    assert await find(login) == Refused(Reason.SUBMIT_REJECTED, "Invalid account")


async def test_after_a_failure_worth_repeating_it_may_be_sent_again(login: LoginNode) -> None:
    login.says("sbatch", stderr="sbatch: error: Unable to contact slurm controller (connect failure)\n", status=1)
    await login.submit()
    assert await find(login) == NeverSent()


@pytest.mark.parametrize("age", [1, 10_000])
async def test_a_job_in_the_queue_is_found_by_its_token(login: LoginNode, age: int) -> None:
    attempt(login, age=age, out="", err="")
    login.queue()
    assert await find(login) == Submitted("7", directory=login.directory)
    assert login.runs("sacct") == 0


async def test_a_job_in_accounting_is_found_by_its_token(login: LoginNode) -> None:
    attempt(login, out="", err="")
    login.queue(token=OTHER_TOKEN, job_id="6")
    login.accounting()
    assert await find(login) == Submitted("7", directory=login.directory)


async def test_a_job_of_which_accounting_knows_only_half_is_neither_found_nor_missing(login: LoginNode) -> None:
    """For as long as that, a task of an array has an id of its own there."""
    attempt(login, out="", err="")
    login.accounting(job_id="8", end="Unknown")
    outcome = await find(login)
    assert isinstance(outcome, Uncertain)
    assert "slurmdbd has not yet been told all" in outcome.message


async def test_of_many_jobs_in_accounting_only_this_one_comes_over_the_wire(
    login: LoginNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(login_node._LONG_ANSWERS, "run", 16 * 1024)
    attempt(login, out="", err="")
    login.accounting(others=1000)
    assert await find(login) == Submitted("7", directory=login.directory)


async def test_a_job_that_slurmctld_comes_to_only_after_our_question_is_found(login: LoginNode) -> None:
    """It was frozen for long, and sbatch's request waits among others."""
    attempt(login, out="", err="")
    login.queue(looks_before=1)
    assert await find(login) == Submitted("7", directory=login.directory)


LOOKUPS: dict[str, tuple[int, dict[str, str], type]] = {
    "sbatch may still run": (10, {}, Uncertain),
    "it ended, and Slurm may need a moment": (10, {"rc": "1\n", "err": "sbatch: error: Socket timed out\n"}, Uncertain),
    "it is long over": (10_000, {}, NeverSent),
    "it is long over and said why, which may change": (10_000, {"rc": "1\n", "err": "Socket timed out\n"}, NeverSent),
    "it is long over and said why, which will not change": (10_000, {"rc": "1\n", "err": "Unspecified error\n"}, Refused),
}


@pytest.mark.parametrize(("age", "content", "outcome"), LOOKUPS.values(), ids=LOOKUPS.keys())
async def test_a_job_that_slurm_does_not_know(login: LoginNode, age: int, content: dict[str, str], outcome: type) -> None:
    attempt(login, age=age, **{"out": "", "err": "", **content})
    assert isinstance(await find(login), outcome)


@pytest.mark.parametrize("started", [None, ""], ids=["not written", "not filled"])
@pytest.mark.parametrize(("age", "outcome"), [(10, Uncertain), (10_000, NeverSent)])
async def test_an_attempt_that_was_killed_before_it_wrote_its_time_is_as_old_as_its_folder(
    login: LoginNode, started: str | None, age: int, outcome: type
) -> None:
    folder = login.state / "attempt.1"
    folder.mkdir(parents=True)
    if started is not None:
        (folder / "started").write_text(started)
    then = time.time() - age
    os.utime(folder, (then, then))
    assert isinstance(await find(login), outcome)


async def test_nothing_is_concluded_while_the_controller_is_away(login: LoginNode) -> None:
    attempt(login)
    login.says("squeue", stderr="slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", status=1)
    outcome = await find(login)
    assert isinstance(outcome, Uncertain)
    assert "Unable to contact slurm controller" in outcome.message


async def test_nothing_is_concluded_while_accounting_is_away(login: LoginNode) -> None:
    attempt(login)
    login.says("sacct", stderr="sacct: error: slurm_persist_conn_open_without_init: Connection refused\n", status=1)
    assert isinstance(await find(login), Uncertain)


async def test_a_marker_that_is_there_needs_no_accounting(login: LoginNode) -> None:
    await login.gateway.stage("kirby", package("~/x"))
    login.says("sacct", stderr="sacct: error: Connection refused\n", status=1)
    assert await find(login) == NeverSent()


async def test_a_marker_that_cannot_be_seen_needs_it(login: LoginNode) -> None:
    login.says("sacct", stderr="sacct: error: Connection refused\n", status=1)
    assert isinstance(await find(login), Uncertain)


@pytest.mark.parametrize(("age", "outcome"), [(200, NeverSent), (10_000, Uncertain)])
async def test_without_accounting_squeue_is_believed_as_long_as_it_remembers(login: LoginNode, age: int, outcome: type) -> None:
    attempt(login, age=age, out="", err="")
    login.says("sacct", stderr="Slurm accounting storage is disabled\n", status=1)
    assert isinstance(await find(login), outcome)


async def test_accounting_is_asked_from_the_day_before_the_attempt(login: LoginNode) -> None:
    attempt(login, age=1000, out="", err="")
    await find(login)
    (since,) = [word for word in login.argv("sacct") if word.startswith("--starttime=now-")]
    assert abs(int(since.rpartition("-")[2]) - 87_400) < 60


async def test_a_job_that_has_begun_is_known_although_nobody_else_remembers_it(login: LoginNode) -> None:
    """Where there is no accounting the batch script writes its id down."""
    attempt(login, out="", err="")
    (login.state / "job").write_text("7\n")
    login.says("sacct", stderr="Slurm accounting storage is disabled\n", status=1)
    assert await find(login) == Submitted("7", directory=login.directory)
