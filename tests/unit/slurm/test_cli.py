"""What else a cluster is asked, and what its silence means."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from slurmgate.core.outcomes import ClusterFacts, NotNow, Partition, Refused, Seen, Source, Unavailable, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.slurm import login as login_node
from slurmgate.slurm import remote
from slurmgate.slurm.cli import CliGateway
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran, Unknown
from tests.unit.slurm.support import TOKEN, LoginNode, cluster, package

CONFIG = """\
Configuration data as of 2026-11-22T02:35:57
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = valhalla
PrivateData             = jobs,usage
SLURM_VERSION           = 22.05.8
"""


async def test_a_cluster_describes_itself(login: LoginNode) -> None:
    login.says("scontrol", CONFIG)
    login.says("sinfo", "partition=batch|up|4|64|gpu:4\n")
    assert await login.gateway.describe("kirby") == ClusterFacts(
        slurm_version="22.05.8",
        cluster_name="valhalla",
        hides_jobs=True,
        accounting=True,
        partitions=(Partition("batch", "up", 4, 256, 16),),
    )


async def test_a_cluster_that_hides_nothing_and_keeps_no_accounts(login: LoginNode) -> None:
    login.says("scontrol", CONFIG.replace("jobs,usage", "none").replace("slurmdbd", "none"))
    facts = await login.gateway.describe("kirby")
    assert isinstance(facts, ClusterFacts)
    assert (facts.hides_jobs, facts.accounting, facts.partitions) == (False, False, ())


async def test_commands_that_are_missing_are_named(login: LoginNode) -> None:
    (login.folder / "sacct").unlink()
    (login.folder / "sinfo").chmod(0o644)
    answer = await login.gateway.describe("kirby")
    assert isinstance(answer, Unavailable)
    assert answer.reason is Reason.COMMAND_FAILED
    assert answer.message.endswith(f": {login.folder}/sacct, {login.folder}/sinfo")


@pytest.mark.parametrize("command", ["scontrol", "sinfo"])
async def test_a_controller_that_does_not_answer_is_told_in_slurms_words(login: LoginNode, command: str) -> None:
    login.says(command, stderr="slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n", status=1)
    assert await login.gateway.describe("kirby") == Unavailable(
        Reason.CONTROLLER_UNAVAILABLE, "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)"
    )


async def test_a_script_on_the_cluster_is_read_byte_for_byte(login: LoginNode) -> None:
    content = bytes(range(256)) * 10
    (login.home / "it's $x.sh").write_bytes(content)
    assert await login.gateway.read_script("kirby", "~/it's $x.sh") == content
    assert await login.gateway.read_script("kirby", str(login.home / "it's $x.sh")) == content


async def test_a_script_that_cannot_be_read_is_refused(login: LoginNode) -> None:
    (login.home / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    cases = {
        "~/none": "No such file or directory",
        "~/": "Is a directory",
        "/dev/zero": "Not a regular file",
        "~/large": "is larger than 1 MiB",
    }
    for path, words in cases.items():
        outcome = await login.gateway.read_script("kirby", path)
        assert isinstance(outcome, Refused)
        assert outcome.reason is Reason.SCRIPT_INVALID
        assert words in outcome.message


async def test_tidying_leaves_the_marker_and_the_persons_files(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    await login.gateway.stage("kirby", package("~/x"))
    await login.gateway.submit("kirby", TOKEN, str(login.home / "x"))
    for _ in range(2):
        assert await login.gateway.tidy("kirby", TOKEN, "~/x") is None
    state = login.home / "x/.slurmgate" / TOKEN
    assert {path.name for path in state.iterdir()} == {"attempt.1", "origin"}
    assert (login.home / "x/job.sh").exists()
    assert isinstance(await login.gateway.submit("kirby", TOKEN, str(login.home / "x")), NotNow | Uncertain)
    assert login.runs("sbatch") == 1


async def test_the_queue_of_one_user_is_asked_for_by_name(login: LoginNode) -> None:
    await login.gateway.observe("kirby", {"kirby"})
    assert "--user=kirby" in login.argv("squeue")
    await login.gateway.observe("jarvice", {"kirby", "mario"})
    assert not [word for word in login.argv("squeue") if word.startswith("--user")]
    assert login.environment("squeue")["SLURM_TIME_FORMAT"] == "%s"
    assert login.environment("squeue")["SLURM_BITSTR_LEN"] == "0"


async def test_nothing_in_the_queue_is_an_answer_too(login: LoginNode) -> None:
    assert await login.gateway.observe("kirby", {"kirby"}) == Seen(Source.QUEUE, {})


@pytest.mark.parametrize("without", ["accounting_storage/none", "(null)"], ids=["22.05", "24.11"])
async def test_a_cluster_without_accounting(login: LoginNode, without: str) -> None:
    login.says("scontrol", CONFIG.replace("accounting_storage/slurmdbd", without))
    facts = await login.gateway.describe("kirby")
    assert isinstance(facts, ClusterFacts)
    assert not facts.accounting


async def test_accounting_is_asked_about_a_thousand_jobs_at_a_time(login: LoginNode) -> None:
    login.accounting()
    seen = await login.gateway.account("kirby", [str(number) for number in range(2500)])
    assert isinstance(seen, Seen)
    assert set(seen.tasks) == {"7"}
    assert login.runs("sacct") == 3


async def test_accounting_that_says_too_much_is_asked_about_fewer_jobs(
    login: LoginNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(login_node._LONG_ANSWERS, "run", 16 * 1024)
    login.accounting_of_all(steps=2)
    jobs = [str(number) for number in range(1, 101)]
    seen = await login.gateway.account("kirby", jobs)
    assert isinstance(seen, Seen)
    assert sorted(seen.tasks, key=int) == jobs
    assert login.runs("sacct") > 2


@pytest.mark.parametrize(("steps", "runs"), [(10, 1), (200, 2)])
async def test_a_job_that_is_too_much_by_itself_is_told_without_its_steps(
    login: LoginNode, monkeypatch: pytest.MonkeyPatch, steps: int, runs: int
) -> None:
    monkeypatch.setitem(login_node._LONG_ANSWERS, "run", 16 * 1024)
    login.accounting_of_all(steps=steps)
    seen = await login.gateway.account("kirby", ["7"])
    assert isinstance(seen, Seen)
    assert [task.state for task in seen.tasks["7"]] == ["COMPLETED"]
    assert login.runs("sacct") == runs


@pytest.mark.parametrize(("tasks", "answered"), [(100, True), (300, False)], ids=["fits in short", "never fits"])
async def test_an_array_that_is_too_much_keeps_no_other_job_from_being_told(
    login: LoginNode, monkeypatch: pytest.MonkeyPatch, tasks: int, answered: bool
) -> None:
    monkeypatch.setitem(login_node._LONG_ANSWERS, "run", 16 * 1024)
    login.accounting_of_all(steps=1, array="7", tasks=tasks)
    jobs = [str(number) for number in range(1, 17)]
    for looks in ("more", 3 if answered else 2):  # that it was too much is remembered
        before = login.runs("sacct")
        seen = await login.gateway.account("kirby", jobs)
        assert isinstance(seen, Seen)
        assert set(jobs) - set(seen.tasks) == set(seen.unanswered) == (set() if answered else {"7"})
        assert looks in ("more", login.runs("sacct") - before)
        if answered:
            assert len(seen.tasks["7"]) == tasks
            assert {(task.token, task.state) for task in seen.tasks["7"]} == {(TOKEN, "COMPLETED")}
            assert {task.index for task in seen.tasks["7"] if task.restarts} == {"0"}


async def test_a_queue_that_is_too_much_is_asked_about_one_user_at_a_time(
    login: LoginNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(login_node._LONG_ANSWERS, "run", 16 * 1024)
    login.queue_of_all(rows=90)
    users = {"kirby", "mario"}
    seen = await login.gateway.observe("jarvice", users)
    assert isinstance(seen, Seen)
    assert {task.user for (task, *_) in seen.tasks.values()} == users
    assert login.runs("squeue") == 3
    login.queue_of_all(rows=900)
    assert isinstance(await login.gateway.observe("jarvice", users), Unavailable)
    assert isinstance(await login.gateway.observe("jarvice", None), Unavailable)


async def test_what_is_too_much_is_no_fault_of_the_shell_that_told_it(
    login: LoginNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(login_node._LONG_ANSWERS, "run", 128)
    login.accounting_of_all(steps=1)
    answer = await login.gateway.account("kirby", ["7"])
    assert isinstance(answer, Unavailable)
    assert (answer.reason, answer.message) == (Reason.ACCOUNTING_UNAVAILABLE, "stopped after 128 bytes of output")
    login.shell.noise = b"Welcome!\n" * 100_000
    answer = await login.gateway.account("kirby", ["7"])
    assert isinstance(answer, Unavailable)
    assert answer.reason is Reason.LOGIN_SHELL_FAILED


async def test_one_part_that_fails_says_nothing_about_any_job(login: LoginNode) -> None:
    login.says("sacct", "7|COMPLETED\n", stderr="sacct: error: Connection refused\n", status=1)
    assert await login.gateway.account("kirby", ["7"]) == Unavailable(
        Reason.ACCOUNTING_UNAVAILABLE, "sacct: sacct: error: Connection refused"
    )


CONTROLS: dict[str, tuple[str, int, object]] = {
    "done": ("", 0, None),
    "over already": ("slurm_suspend error: Job has already finished", 1, None),
    "unknown by now": ("Invalid job id specified for job 7\nslurm_suspend error: Invalid job id specified", 1, None),
    "no controller": (
        "Unable to contact slurm controller (connect failure)",
        1,
        NotNow(Reason.CONTROLLER_UNAVAILABLE, "scontrol: Unable to contact slurm controller (connect failure)"),
    ),
    "not allowed": (
        "slurm_update error: Access/permission denied",
        1,
        Refused(Reason.COMMAND_FAILED, "scontrol: slurm_update error: Access/permission denied"),
    ),
    "over, but not all": (
        "Invalid job id specified\nAccess/permission denied",
        1,
        Refused(Reason.COMMAND_FAILED, "scontrol: Invalid job id specified\nAccess/permission denied"),
    ),
}


@pytest.mark.parametrize(("words", "status", "outcome"), CONTROLS.values(), ids=CONTROLS.keys())
async def test_controls(login: LoginNode, words: str, status: int, outcome: object) -> None:
    login.says("scontrol", stderr=words, status=status)
    assert await login.gateway.hold("kirby", "7") == outcome
    assert login.argv("scontrol") == ["uhold", "7"]
    assert await login.gateway.release("kirby", "7") == outcome
    assert login.argv("scontrol") == ["release", "7"]


async def test_many_jobs_are_cancelled_at_once(login: LoginNode) -> None:
    assert await login.gateway.cancel("kirby", ["7", "8"]) == {}
    assert login.argv("scancel") == ["7", "8"]


NOT_YOURS = "scancel: error: Kill job error on job id {}: Access/permission denied"


@pytest.mark.parametrize(("denied", "failed"), [(2, 2), (200, 300)], ids=["few", "more than its words have room for"])
async def test_none_counts_as_cancelled_that_was_not(login: LoginNode, denied: int, failed: int) -> None:
    jobs = [str(1000 + number) for number in range(300)]
    login.says("scancel", stderr="\n".join(NOT_YOURS.format(job) for job in jobs[:denied]), status=1)
    assert list(await login.gateway.cancel("kirby", jobs)) == jobs[:failed]


# What SSH says -------------------------------------------------------------------------------------------------------


@dataclass
class Says:
    """A runner that always says the same."""

    outcome: Outcome
    argv: Sequence[str] = ()
    deadline: float = 0

    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        del user, stdin, output_limit
        self.argv, self.deadline = argv, deadline
        return self.outcome


CAUSES = {
    Cause.UNREACHABLE: Reason.CLUSTER_UNREACHABLE,
    Cause.BUSY: Reason.CLUSTER_UNREACHABLE,
    Cause.CLOSING: Reason.CLUSTER_UNREACHABLE,
    Cause.NO_HOST_KEYS: Reason.HOST_KEY_MISMATCH,
    Cause.HOST_KEY_MISMATCH: Reason.HOST_KEY_MISMATCH,
    Cause.AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    Cause.JUMP_REFUSED: Reason.CLUSTER_UNREACHABLE,
    Cause.NO_LOGIN: Reason.LOGIN_SHELL_FAILED,
    Cause.KEY_UNAVAILABLE: Reason.KEY_UNAVAILABLE,
}


@pytest.mark.parametrize("cause", Cause)
async def test_what_did_not_run_was_not_done(cause: Cause) -> None:
    gateway = CliGateway(Says(DidNotRun(cause, "words")), cluster())
    reason = CAUSES[cause]
    assert await gateway.stage("kirby", package("~")) == NotNow(reason, "words")
    assert await gateway.submit("kirby", TOKEN, "/x") == NotNow(reason, "words")
    assert await gateway.read_script("kirby", "/x") == NotNow(reason, "words")
    assert await gateway.cancel("kirby", ["7"]) == {"7": NotNow(reason, "words")}
    assert await gateway.tidy("kirby", TOKEN, "/x") == NotNow(reason, "words")
    assert await gateway.observe("kirby", None) == Unavailable(reason, "words")
    assert await gateway.account("kirby", ["7"]) == Unavailable(reason, "words")
    assert await gateway.describe("kirby") == Unavailable(reason, "words")
    assert await gateway.find("kirby", TOKEN, "/x") == Uncertain("words")


SHELL, GONE = Reason.LOGIN_SHELL_FAILED, Reason.CLUSTER_UNREACHABLE
LOST: dict[str, tuple[Outcome, str, Reason | None]] = {
    "the connection broke": (Unknown("words"), "words", GONE),
    "the shell hangs": (Unknown("words", connected=True), "words", SHELL),
    "it took too long": (Ran(124, b"", b""), "the command did not end within 60 s", None),
    "it was killed": (Ran(-1, b"", b"Killed", "KILL"), "the command did not come to its end (exit status -1): Killed", SHELL),
    "the answer broke off": (
        Ran(0, b"noise\nSLURMGATE-BEGIN\nverdict=ran\nrc=0\n", b""),
        "the command did not come to its end (exit status 0): ",
        SHELL,
    ),
}


@pytest.mark.parametrize(("outcome", "words", "blame"), LOST.values(), ids=LOST.keys())
async def test_what_nobody_knows_stays_unknown(outcome: Outcome, words: str, blame: Reason | None) -> None:
    gateway = CliGateway(Says(outcome), cluster())
    staged = await gateway.stage("kirby", package("~"))
    assert isinstance(staged, NotNow)
    assert staged.reason is (blame or Reason.COMMAND_FAILED)
    assert isinstance(await gateway.find("kirby", TOKEN, "/x"), Uncertain)
    assert isinstance((await gateway.cancel("kirby", ["7"]))["7"], NotNow | Refused)
    submitted = await gateway.submit("kirby", TOKEN, "/x")
    assert isinstance(submitted, Uncertain)
    seen = await gateway.observe("kirby", None)
    assert seen == Unavailable(blame or Reason.CONTROLLER_UNAVAILABLE, words)
    accounted = await gateway.account("kirby", ["7"])
    assert accounted == Unavailable(blame or Reason.ACCOUNTING_UNAVAILABLE, words)


async def test_every_command_has_a_limit_on_both_sides() -> None:
    runner = Says(Unknown("words"))
    gateway = CliGateway(runner, cluster(limits={"commandTimeoutSeconds": 20}))
    await gateway.observe("kirby", None)
    assert runner.argv[:4] == ("timeout", "-k", "5", "20")
    assert runner.deadline > 25
    await gateway.submit("kirby", TOKEN, "/x")
    assert int(runner.argv[3]) > 25, "longer than sbatch itself, to write down what came of it"


async def test_no_word_of_a_person_is_part_of_a_command(login: LoginNode) -> None:
    login.says("sbatch", "7\n")
    sent = package("~/pers onal", script=b"#!/bin/personal\n", environment=(("personal", "x"),), arguments=("personal",))
    await login.gateway.stage("kirby", sent)
    await login.gateway.submit("kirby", TOKEN, str(login.home / "pers onal"))
    await login.gateway.find("kirby", TOKEN, "~/pers onal")
    await login.gateway.read_script("kirby", "~/personal")
    await login.gateway.tidy("kirby", TOKEN, "~/pers onal")
    for argv in login.shell.commands:
        assert not [
            word for word in argv if "pers onal" in word or "personal" in word or TOKEN in word or "\n" in word or "!" in word
        ]


async def test_a_line_end_is_no_part_of_a_line() -> None:
    gateway = CliGateway(Says(Unknown("")), cluster())
    with pytest.raises(ValueError, match="line end"):
        await gateway.find("kirby", TOKEN, "/x\n/y")


def test_programs_are_one_word_for_any_login_shell() -> None:
    for name in ("stage", "submit", "find", "read", "tidy", "run", "describe"):
        *_, program, zero = remote.command(name, seconds=5)
        assert zero == "slurmgate"
        assert set("'\n!").isdisjoint(program)
