"""Running sbatch: once, with exactly these words, and its answer kept. Run by dash and by bash."""

import asyncio
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurmgate.core.outcomes import NeverSent, NotNow, Refused, Staged, SubmitOutcome, Submitted, Uncertain
from slurmgate.core.reasons import Reason
from tests.unit.slurm.support import TOKEN, LoginNode, package


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_sbatch_is_run_in_the_directory_with_these_words(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    words = ("--parsable", '--comment=slurmgate:x it\'s "$HOME" `id` \\ ! * é')
    assert await login.submit(package("~/x", arguments=words)) == Submitted("7", directory=login.directory)
    assert login.argv("sbatch") == [*words, f"{login.state}/script"]
    assert (login.folder / "sbatch.cwd").read_text() == f"{login.directory}\n"


@pytest.mark.parametrize("job", [2**31, 2**32 - 2, 2**32, 9_999_999_999])
async def test_ids_may_be_larger_than_32_bits_hold(login: LoginNode, job: int) -> None:
    login.says("sbatch", f"{job}\n")
    assert await login.submit() == Submitted(str(job), directory=login.directory)


@pytest.mark.parametrize("words", ["audit hook failed\n", "tee: audit.log: No space left on device\n"])
async def test_who_names_a_job_has_one_even_if_a_wrapper_of_sbatch_fails_after_it(login: LoginNode, words: str) -> None:
    login.says("sbatch", "7\n", stderr=words, status=1)
    sent = Submitted("7", warning=words.strip(), directory=login.directory)
    assert await login.submit() == sent
    assert await login.gateway.find("kirby", TOKEN, "~/x") == sent
    assert login.runs("sbatch") == 1


async def test_the_batch_script_is_what_sbatch_gets_if_srun_starts_the_script(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    await login.submit(package("~/x", batch=b"#!/bin/sh\n"))
    assert login.argv("sbatch")[-1] == f"{login.state}/batch"


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_numbers = itertools.count()
BYTES = st.binary(max_size=20).map(lambda content: content.replace(b"\0", b"").decode("utf-8", "surrogateescape"))


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(
    arguments=st.lists(TEXT | BYTES, max_size=5),
    values=st.lists(TEXT | BYTES | st.just("a\nb\n"), max_size=5),
)
def test_any_words_and_values_arrive_as_they_are(login: LoginNode, arguments: list[str], values: list[str]) -> None:
    login.says("sbatch", "7\n")
    place = str(next(_numbers))
    environment = tuple((f"VALUE_{index}", value) for index, value in enumerate(values))
    sent = package(f"~/{place}", arguments=tuple(arguments), environment=environment)

    async def run() -> SubmitOutcome:
        await login.gateway.stage("kirby", sent)
        return await login.gateway.submit("kirby", TOKEN, str(login.home / place))

    assert isinstance(asyncio.run(run()), Submitted)
    assert login.argv("sbatch")[:-1] == arguments
    found = login.environment("sbatch")
    assert {name: found.get(name) for name, _ in environment} == dict(environment)


async def test_sbatch_sees_the_persons_environment_and_none_of_ours(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    await login.submit(package("~/x", environment=(("A", "1"),)))
    assert set(login.environment("sbatch")) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"A", "HOME", "PATH"}


async def test_start_files_ask_sbatch_for_nothing(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    options = ("SBATCH_PARTITION", "SBATCH_WAIT", "SLURM_CLUSTERS", "SLURM_HOSTFILE", "SLURM_HINT", "SLURM_WORKING_CLUSTER")
    login.shell.exported.update(dict.fromkeys((*options, "SLURM_CONF", "TZ"), "a\nSBATCH_B=c"))
    await login.submit(package("~/x", environment=(("TZ", "UTC"),)))
    found = login.environment("sbatch")
    assert not set(options) & found.keys()
    assert (found["SLURM_CONF"], found["TZ"]) == ("a\nSBATCH_B=c", "UTC")


async def test_values_are_removed_once_sbatch_has_run(login: LoginNode) -> None:
    login.says("sbatch", stderr="sbatch: error: Unable to contact slurm controller (connect failure)\n", status=1)
    sent = package("~/x", environment=(("SECRET", "x"),))
    assert isinstance(await login.submit(sent), NotNow)
    assert not (login.state / "environment").exists()
    login.says("sbatch", "7\n")
    assert isinstance(await login.submit(sent), Submitted)
    assert login.environment("sbatch")["SECRET"] == "x"
    assert not (login.state / "environment").exists()


async def test_a_warning_is_passed_on(login: LoginNode) -> None:
    login.says("sbatch", "Welcome to sbatch!\n7;valhalla\n", stderr="sbatch: estimated cost: 2 SUs\n")
    assert await login.submit() == Submitted("7", warning="estimated cost: 2 SUs", directory=login.directory)


POLICY = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
NO_CONTACT = "Batch job submission failed: Unable to contact slurm controller"
ANSWERS: dict[str, tuple[list[str], int, type[Refused | NotNow | Uncertain], Reason | None]] = {
    "a bad partition": (
        ["invalid partition specified: nosuch", "Batch job submission failed: Invalid partition name specified"],
        1,
        Refused,
        Reason.SUBMIT_REJECTED,
    ),
    "a bad option": (["Invalid --deadline specification"], 255, Refused, Reason.SUBMIT_REJECTED),
    "limits of size": (["QOSMaxCpuPerJobLimit", POLICY], 1, Refused, Reason.SUBMIT_REJECTED),
    "limits of number": (["AssocMaxSubmitJobLimit", POLICY], 1, NotNow, Reason.QUEUED_LIMIT),
    "no controller": ([f"{NO_CONTACT} (connect failure)"], 1, NotNow, Reason.CONTROLLER_UNAVAILABLE),
    "not there": (["exec: /usr/bin/sbatch: not found"], 127, NotNow, Reason.COMMAND_FAILED),
    "an answer that did not come": (
        ["Batch job submission failed: Socket timed out on send/recv operation"],
        1,
        Uncertain,
        None,
    ),
    "an answer that broke off": ([f"{NO_CONTACT} (receive failure)"], 1, Uncertain, None),
    "nobody knows why": (["Batch job submission failed: Unspecified error"], 1, Uncertain, None),
    "killed": (["x"], 137, Uncertain, None),
}


@pytest.mark.parametrize(("words", "status", "kind", "reason"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_answers_mean_what_they_say(
    login: LoginNode, words: list[str], status: int, kind: type, reason: Reason | None
) -> None:
    login.says("sbatch", stderr="".join(f"sbatch: error: {line}\n" for line in words), status=status)
    outcome = await login.submit()
    assert isinstance(outcome, kind)
    assert getattr(outcome, "reason", None) is reason
    message = "\n".join(words)
    assert getattr(outcome, "message", "") == (message if reason else f"{message} (exit status {status})")


@pytest.mark.parametrize("status", [0, 1])
async def test_without_a_word_nobody_knows(login: LoginNode, status: int) -> None:
    login.says("sbatch", status=status)
    assert await login.submit() == Uncertain(f"sbatch said nothing (exit status {status})")


async def test_sbatch_that_hangs_is_ended_and_its_outcome_is_unknown(tmp_path: Path) -> None:
    login = LoginNode.prepare(tmp_path, "/bin/sh", seconds=5)
    login.gateway._sender._seconds = 1
    login.says("sbatch", "7\n", before="sleep 30")
    assert await login.submit() == Uncertain("sbatch said nothing (exit status 124)")


async def test_a_directory_that_went_away_since_it_was_staged_is_waited_for(login: LoginNode) -> None:
    staged = await login.gateway.stage("kirby", package("~/x"))
    assert isinstance(staged, Staged)
    (login.state / "attempt.1").symlink_to("nowhere")  # nothing can be made in its place
    waits = await login.gateway.submit("kirby", TOKEN, staged.directory, staged.attempt)
    assert isinstance(waits, NotNow)
    assert "cannot create directory" in waits.message


async def test_a_home_that_goes_away_while_it_is_staged_is_waited_for(login: LoginNode) -> None:
    login.shell.exported["PATH"] = f"{login.folder}:{login.folder}/bin:/usr/bin:/bin"
    login.says("tar", before='rm -rf "$HOME/x"; exec /usr/bin/tar "$@"')
    waits = await login.gateway.stage("kirby", package("~/x"))
    assert isinstance(waits, NotNow)
    assert "No such file or directory" in waits.message


async def test_a_second_call_runs_nothing(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    await login.submit()
    again = await login.gateway.submit("kirby", TOKEN, login.directory, 1)
    assert again == Uncertain("sbatch has been run for this submission before")
    assert await login.submit() == again
    assert login.runs("sbatch") == 1


async def test_of_many_calls_at_once_one_runs_sbatch(login: LoginNode) -> None:
    login.says("sbatch", "7\n", before="sleep 0.2")
    await login.gateway.stage("kirby", package("~/x"))
    outcomes = await asyncio.gather(*(login.gateway.submit("kirby", TOKEN, login.directory) for _ in range(8)))
    assert [type(outcome) for outcome in outcomes].count(Submitted) == 1
    assert [type(outcome) for outcome in outcomes].count(Uncertain) == 7
    assert login.runs("sbatch") == 1


async def test_after_a_certain_failure_there_is_another_attempt(login: LoginNode) -> None:
    login.says("sbatch", stderr="sbatch: error: Invalid account\n", status=1)
    for _ in range(3):
        assert isinstance(await login.submit(), Refused)
    login.says("sbatch", "7\n")
    assert isinstance(await login.submit(), Submitted)
    assert sorted(path.name for path in login.state.glob("attempt.*")) == [f"attempt.{number}" for number in (1, 2, 3, 4)]


async def test_after_an_unknown_outcome_there_is_none(login: LoginNode) -> None:
    login.says("sbatch", stderr="sbatch: error: Socket timed out on send/recv operation\n", status=1)
    assert isinstance(await login.submit(), Uncertain)
    login.says("sbatch", "8\n")
    assert isinstance(await login.submit(), Uncertain)
    assert login.runs("sbatch") == 1


async def test_a_command_that_was_long_on_its_way_finds_the_door_shut(login: LoginNode) -> None:
    login.says("squeue")
    login.says("sacct")
    login.says("sbatch", "7\n")
    staged = await login.gateway.stage("kirby", package("~/x"))
    assert isinstance(staged, Staged)
    assert isinstance(await login.gateway.find("kirby", TOKEN, staged.directory), NeverSent)
    late = await login.gateway.submit("kirby", TOKEN, staged.directory, staged.attempt)
    assert not isinstance(late, Submitted)
    assert login.runs("sbatch") == 0
    assert isinstance(await login.submit(), Submitted)
    assert login.runs("sbatch") == 1


NAMES = ("token", "directory", "state", "number", "seconds", "attempt", "words", "rc", "name")


async def test_what_the_person_has_exported_arrives_as_it_was(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    login.shell.exported.update(dict.fromkeys(NAMES, "mine"))
    await login.submit()
    found = login.environment("sbatch")
    assert {name: found.get(name) for name in NAMES} == dict.fromkeys(NAMES, "mine")
