"""Submissions of one user that travel together: few commands, and an answer for each. Run by dash and by bash."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from typing_extensions import override

from slurmgate.core.outcomes import NotNow, Refused, Staged, SubmitOutcome, Submitted, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import File, Package
from slurmgate.slurm.together import LOADS_AT_ONCE, MOST_ITEMS
from slurmgate.ssh.outcome import Outcome, Ran, Unknown
from tests.unit.slurm.support import LoginNode, Shell, cluster, package


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def packages(count: int, directory: str = "~") -> list[Package]:
    return [
        package(f"{directory}/{number}", token=f"{number:08d}-7425-40de-944b-e07fc1f90ae7", arguments=(f"--name={number}",))
        for number in range(count)
    ]


async def staged(login: LoginNode, sent: Sequence[Package]) -> list[Staged]:
    outcomes = await asyncio.gather(*(login.gateway.stage("kirby", each) for each in sent))
    assert all(isinstance(each, Staged) for each in outcomes), outcomes
    return [each for each in outcomes if isinstance(each, Staged)]


async def submitted(login: LoginNode, sent: Sequence[Package], places: Sequence[Staged]) -> list[SubmitOutcome]:
    return await asyncio.gather(
        *(
            login.gateway.submit("kirby", each.token, place.directory, place.attempt)
            for each, place in zip(sent, places, strict=True)
        )
    )


def numbers_its_jobs(login: LoginNode, before: str = "") -> None:
    """sbatch says the number that is in its arguments, and a hundred more."""
    login.says("sbatch", before=f"number=${{1#--name=}}; {before}\necho $((100 + number))")


async def test_many_travel_in_few_commands_and_each_gets_its_own_answer(login: LoginNode) -> None:
    numbers_its_jobs(login)
    sent = packages(LOADS_AT_ONCE + MOST_ITEMS)
    places = await staged(login, sent)
    assert [place.directory for place in places] == [str(login.home / str(number)) for number in range(len(sent))]
    assert len(login.shell.commands) == LOADS_AT_ONCE + 1
    outcomes = await submitted(login, sent, places)
    assert outcomes == [Submitted(str(100 + n), directory=place.directory) for n, place in enumerate(places)]
    assert len(login.shell.commands) == 2 * (LOADS_AT_ONCE + 1)
    assert login.runs("sbatch") == len(sent)


async def test_contents_of_any_length_do_not_run_into_each_other(login: LoginNode) -> None:
    contents = [os.urandom(size) for size in (0, 1, 511, 512, 9_999, 65_536, 300_001)]
    sent = [
        replace(each, script=content, files=(File("data", content),))
        for each, content in zip(packages(2 * len(contents)), 2 * contents, strict=True)
    ]
    for place, each in zip(await staged(login, sent), sent, strict=True):
        for name in ("data", f".slurmgate/{each.token}/script"):
            assert (login.home / place.directory / name).read_bytes() == each.script


async def test_who_is_logged_in_is_looked_at_once_for_a_command(login: LoginNode) -> None:
    who, looked = login.shell.programs / "id", login.folder / "looked"
    who.write_text(who.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\necho $1 >>{looked}\n"))
    await staged(login, packages(LOADS_AT_ONCE + 5))
    assert sorted(looked.read_text().split()) == ["-u"] * (LOADS_AT_ONCE + 1) + ["-un"] * (LOADS_AT_ONCE + 1)


async def test_nothing_of_a_whole_load_is_placed_as_somebody_else(login: LoginNode) -> None:
    login.shell.logs_in("mario", 7002)
    outcomes = await asyncio.gather(*(login.gateway.stage("kirby", each) for each in packages(LOADS_AT_ONCE + 5)))
    assert {each.reason for each in outcomes if isinstance(each, Refused)} == {Reason.WRONG_LOGIN}
    assert not [each for each in outcomes if not isinstance(each, Refused)]
    assert not list(login.home.iterdir())


async def test_one_that_cannot_be_staged_keeps_none_of_the_others_from_it(login: LoginNode) -> None:
    sent = packages(6)
    (login.home / "4").write_text("a file where the directory should be")
    outcomes = await asyncio.gather(*(login.gateway.stage("kirby", each) for each in sent))
    assert [isinstance(each, Staged) for each in outcomes] == [number != 4 for number in range(6)]
    assert isinstance(outcomes[4], Refused | NotNow)


async def test_one_that_slurm_refuses_keeps_none_of_the_others_from_it(login: LoginNode) -> None:
    numbers_its_jobs(login, "[ $number != 4 ] || { echo 'sbatch: error: invalid partition specified: x' >&2; exit 1; }")
    sent = packages(6)
    outcomes = await submitted(login, sent, await staged(login, sent))
    assert [isinstance(each, Submitted) for each in outcomes] == [number != 4 for number in range(6)]
    assert outcomes[4] == Refused(Reason.SUBMIT_REJECTED, "invalid partition specified: x")


@pytest.mark.slow
async def test_a_slurmctld_that_hangs_keeps_only_the_first_of_them_waiting(login: LoginNode) -> None:
    login.gateway._sender._seconds = 3
    login.says("sbatch", before="sleep 30")
    sent = packages(LOADS_AT_ONCE + 5)
    outcomes = await submitted(login, sent, await staged(login, sent))
    uncertain = [isinstance(each, Uncertain) for each in outcomes]
    assert uncertain == [True] * (LOADS_AT_ONCE + 1) + [False] * 4
    assert {each.reason for each in outcomes if isinstance(each, NotNow)} == {Reason.CONTROLLER_UNAVAILABLE}
    assert login.runs("sbatch") == LOADS_AT_ONCE + 1
    numbers_its_jobs(login)
    login.gateway._sender._seconds = 60
    rest = sent[LOADS_AT_ONCE + 1 :]
    assert all(isinstance(each, Submitted) for each in await submitted(login, rest, await staged(login, rest)))


@dataclass
class Cut(Shell):
    """A connection that is cut after so many whole answers; what runs there goes on."""

    answers: int = 1000

    @override
    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        outcome = await super().run(user, argv, stdin=stdin, deadline=deadline, output_limit=output_limit)
        assert isinstance(outcome, Ran)
        pieces = outcome.stdout.split(b"SLURMGATE-END\n")
        if len(pieces) <= self.answers:
            return outcome
        whole = b"SLURMGATE-END\n".join(pieces[: self.answers]) + b"SLURMGATE-END\n"
        return Unknown("the connection ended", stdout=whole + pieces[self.answers][:-3])


async def test_a_cut_connection_leaves_those_uncertain_of_which_nothing_was_heard(login: LoginNode) -> None:
    numbers_its_jobs(login)
    sent = packages(LOADS_AT_ONCE + 5)
    places = await staged(login, sent)
    cut = Cut(login.shell.path, login.home, login.shell.programs, answers=3)
    node = replace(login, gateway=CliGateway(cut, cluster(commands={"sbatch": str(login.folder / "sbatch")})))
    outcomes = await submitted(node, sent, places)
    uncertain = [isinstance(each, Uncertain) for each in outcomes]
    assert uncertain == [False] * (LOADS_AT_ONCE + 3) + [True] * 2
    assert [each.job_id for each in outcomes if isinstance(each, Submitted)] == [
        str(100 + number) for number in range(LOADS_AT_ONCE + 3)
    ]
    again = await submitted(login, sent, places)
    assert all(isinstance(each, Uncertain) for each in again)
    found = [await login.gateway.find("kirby", each.token, each.directory) for each in sent[-2:]]
    assert [each.job_id for each in found if isinstance(each, Submitted)] == [str(100 + LOADS_AT_ONCE + n) for n in (3, 4)]
    assert login.runs("sbatch") == len(sent)


async def test_what_was_staged_before_the_connection_was_cut_counts(login: LoginNode) -> None:
    sent = packages(LOADS_AT_ONCE + 5)
    node = replace(login, gateway=CliGateway(Cut(login.shell.path, login.home, login.shell.programs, answers=3), cluster()))
    outcomes = await asyncio.gather(*(node.gateway.stage("kirby", each) for each in sent))
    assert [isinstance(each, Staged) for each in outcomes] == [True] * (LOADS_AT_ONCE + 3) + [False] * 2
    assert all(isinstance(each, NotNow) for each in outcomes[-2:])
    await staged(login, sent)


async def test_each_file_system_and_each_user_has_commands_of_its_own(login: LoginNode) -> None:
    places = [str(login.home / name / "x") for name in "ab"]
    routes = {("kirby", "~"), ("mario", "~"), ("kirby", places[0])}
    sent = packages(9)
    await asyncio.gather(
        *(
            login.gateway.stage(user, replace(each, directory=f"{directory}/{each.name}{each.token}"))
            for user, directory in sorted(routes)
            for each in sent
        )
    )
    assert len(login.shell.commands) == len(routes) * (LOADS_AT_ONCE + 1)


async def test_many_are_tidied_up_by_few_commands(login: LoginNode) -> None:
    sent = packages(LOADS_AT_ONCE + 5)
    places = await staged(login, sent)
    login.shell.commands.clear()
    directories = [place.directory for place in places]
    outcomes = await asyncio.gather(
        *(login.gateway.tidy("kirby", each.token, place) for each, place in zip(sent, directories, strict=True))
    )
    assert outcomes == [None] * len(sent)
    assert len(login.shell.commands) == LOADS_AT_ONCE + 1
    assert not list(login.home.glob("*/.slurmgate/*/script"))
    assert len(list(login.home.glob("*/.slurmgate/*"))) == len(sent)
