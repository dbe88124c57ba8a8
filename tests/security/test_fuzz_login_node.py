"""A login node that answers whatever it likes: it was taken over, or Slurm's commands on it are somebody else's.

Whatever comes back, the gateway raises nothing, answers soon and in types of its own, and says nothing of jobs that it was not
asked about.
"""

import asyncio
import base64
import itertools
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.outcomes import (
    ClusterFacts,
    ControlOutcome,
    FindOutcome,
    NotNow,
    Refused,
    Seen,
    StageOutcome,
    SubmitOutcome,
    Submitted,
    Unavailable,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.slurm import lookup
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import Workplace
from slurmgate.slurm.verdicts import CUT, MOST_WORDS
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran, Unknown
from tests.unit.slurm.support import OTHER_TOKEN, TOKEN, cluster, package

pytestmark = pytest.mark.slow

BEGIN, END = b"\nSLURMGATE-BEGIN\n", b"\nSLURMGATE-END\n"
MARK = b"@MARK@"
"""Stands where a row has to have the mark that the command was given: who runs the command knows it."""
JOBS = ("7", "8")
WORKPLACES = (Workplace("7", TOKEN, "/home/kirby/x"), Workplace("8", OTHER_TOKEN, "/home/kirby/y"))
SECONDS = 5.0
"""Of CPU, for the largest answer that is taken at all."""
LONGEST = MOST_WORDS + 200
"""Of a message: Slurm's words, and ours around them."""


@dataclass
class Malicious:
    """A login node. Each program gets the next of its answers, the last one again and again."""

    outcomes: Sequence[Outcome]
    asked: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        outcome = self.outcomes[min(next(self.asked), len(self.outcomes) - 1)]
        if not isinstance(outcome, Ran):
            return outcome
        stdout = outcome.stdout.replace(MARK, _mark(argv))
        if len(stdout) + len(outcome.stderr) > output_limit:  # which ssh/exchange.py sees to
            told = f"stopped after {output_limit} bytes of output"
            return Unknown(told, connected=True, stdout=stdout[:output_limit], too_much=True)
        return Ran(outcome.exit_status, stdout, outcome.stderr, outcome.signal)


def _mark(argv: Sequence[str]) -> bytes:
    words = " ".join(argv)
    found = re.search(r"--delimiter=(\S+)|JobArrayID:0(\|\w+\|)", words)
    return (found[1] or found[2]).encode() if found else b""


KEYS = (
    *("SLURMGATE-STATUS", "SLURMGATE-ERROR", "missing", "trouble", "SLURM_VERSION", "ClusterName", "PrivateData"),
    *("AccountingStorageType", "partition", "content", "directory", "attempts", "attempt", "verdict", "rc", "failed"),
    *("out", "err", "job", "staged", "started", "now", "closed", "exit", "origin", "item", "over", "login", "uid"),
)
WORDS = st.sampled_from(
    (
        *("0", "1", "9" * 30, "-1", "yes", "no", "ran", "unstaged", "marked", TOKEN, "kirby", "/home/kirby/x", "jobs"),
        *(f"{TOKEN} job 0 0 1 2", f"{TOKEN} kubernetes research name {TOKEN}", "batch|up|1|64|gpu:4", "\xb2", "\x00", "\udc80"),
    )
)
TEXT = st.text(max_size=40) | WORDS
VALUE = TEXT.map(lambda text: text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace"))
IN_BASE64 = st.one_of(
    VALUE.map(base64.b64encode),
    st.binary(max_size=60).map(base64.b64encode),
    st.sampled_from([b"7\n", b"7;cluster\n", b"sbatch: error: Socket timed out\n", b"Invalid job id specified\n"]).map(
        base64.b64encode
    ),
)
TOLD = st.builds(lambda key, value: f"{key}=".encode() + value, st.sampled_from(KEYS), VALUE | IN_BASE64)
CELL = TEXT.map(lambda text: text.encode("utf-8", "replace")) | st.sampled_from(
    [b"7", b"8_[1-3]", b"RUNNING", b"COMPLETED", b"kirby", b"1700000000", b"0:0", f"slurmgate:{TOKEN}".encode(), b"99999999999"]
)
ROW = st.lists(CELL, min_size=1, max_size=18).map(MARK.join)
QUEUE_ROW = st.builds(
    lambda job, cells, directory, comment: MARK.join((job, b"|".join([*cells, directory]), comment)),
    CELL,
    st.lists(CELL, min_size=8, max_size=10),
    CELL,
    CELL,
)
BODY = st.lists(TOLD | ROW | QUEUE_ROW | VALUE, max_size=12).map(b"\n".join)
SENTINELS = st.sampled_from([(BEGIN, END), (BEGIN, b""), (b"", END), (END, BEGIN), (BEGIN + BEGIN, END + END)])
STDOUT = st.builds(lambda around, body, noise: noise + around[0] + body + around[1] + noise, SENTINELS, BODY, VALUE)
ENDED_WELL = BODY.map(lambda body: BEGIN + body + b"\nSLURMGATE-STATUS=0" + END)
STATUS = st.sampled_from([0, 1, 124, 137, 255, -1])
OUTCOME = st.one_of(
    st.builds(Ran, STATUS, STDOUT | ENDED_WELL | st.binary(max_size=100), st.binary(max_size=100)),
    st.builds(DidNotRun, st.sampled_from(Cause), st.text(max_size=20)),
    st.builds(Unknown, st.text(max_size=20), st.booleans(), STDOUT),
)

Call = Callable[[CliGateway], Coroutine[Any, Any, object]]
CALLS: dict[str, tuple[Call, tuple[type, ...]]] = {
    "describe": (lambda it: it.describe("kirby"), (ClusterFacts, Unavailable)),
    "observe": (lambda it: it.observe("kirby", None), (Seen, Unavailable)),
    "observe some": (lambda it: it.observe("kirby", ["kirby", "mario"]), (Seen, Unavailable)),
    "account": (lambda it: it.account("kirby", JOBS), (Seen, Unavailable)),
    "exits": (lambda it: it.exits("kirby", WORKPLACES), (Seen, Unavailable)),
    "workplaces": (lambda it: it.workplaces("kirby", JOBS), (list, tuple, Unavailable)),
    "origins": (lambda it: it.origins("kirby", WORKPLACES), (dict, Unavailable)),
    "read_script": (lambda it: it.read_script("kirby", "/x"), (bytes, Refused, NotNow)),
    "stage": (lambda it: it.stage("kirby", package("~/x")), get_args(StageOutcome)),
    "submit": (lambda it: it.submit("kirby", TOKEN, "/home/kirby/x"), get_args(SubmitOutcome)),
    "find": (lambda it: it.find("kirby", TOKEN, "/home/kirby/x"), get_args(FindOutcome)),
    "belong": (lambda it: it.belong("kirby", TOKEN, "/x", Origin("k", "n", "s", TOKEN)), get_args(ControlOutcome)),
    "tidy": (lambda it: it.tidy("kirby", TOKEN, "/home/kirby/x"), get_args(ControlOutcome)),
    "hold": (lambda it: it.hold("kirby", "7"), get_args(ControlOutcome)),
    "release": (lambda it: it.release("kirby", "7"), get_args(ControlOutcome)),
    "cancel": (lambda it: it.cancel("kirby", JOBS), (dict,)),
}


@pytest.fixture(autouse=True, scope="module")
def _quick_second_look() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "LOOK_AGAIN_SECONDS", 0)
        yield


def answer(call: Call, *outcomes: Outcome) -> object:
    return asyncio.run(call(CliGateway(Malicious(outcomes), cluster())))


def _escaped(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)


@pytest.mark.parametrize(("call", "types"), CALLS.values(), ids=CALLS.keys())
def test_whatever_it_answers_nothing_is_raised_and_the_answer_is_of_our_own_types(call: Call, types: tuple[type, ...]) -> None:
    @given(st.lists(OUTCOME, min_size=1, max_size=4))
    def check(outcomes: list[Outcome]) -> None:
        answered = answer(call, *outcomes)
        assert isinstance(answered, types)
        message = getattr(answered, "message", "")
        assert len(message) <= LONGEST, "a status has to hold it"

    check()


@given(st.lists(OUTCOME, min_size=1, max_size=4))
def test_nothing_is_heard_of_submissions_that_were_not_asked_about(outcomes: list[Outcome]) -> None:
    """One that knows another's token gains nothing by saying it."""
    exits = answer(CALLS["exits"][0], *outcomes)
    assert isinstance(exits, Unavailable) or exits.tasks.keys() <= set(JOBS)  # type: ignore[attr-defined]
    origins = answer(CALLS["origins"][0], *outcomes)
    assert isinstance(origins, Unavailable) or origins.keys() <= set(JOBS)  # type: ignore[attr-defined]
    cancelled = answer(CALLS["cancel"][0], *outcomes)
    assert cancelled.keys() <= set(JOBS)  # type: ignore[attr-defined]


@given(st.lists(OUTCOME, min_size=1, max_size=4))
def test_a_job_id_is_a_number_that_slurm_could_have_given(outcomes: list[Outcome]) -> None:
    """It becomes a word of later commands."""
    for name in ("submit", "find"):
        answered = answer(CALLS[name][0], *outcomes)
        if isinstance(answered, Submitted):
            assert re.fullmatch("[0-9]{1,18}", answered.job_id)
    seen = answer(CALLS["observe"][0], *outcomes)
    if isinstance(seen, Seen):
        assert all(re.fullmatch("[0-9]{1,10}", job) for job in seen.tasks)


FLOODS = {
    "one line": b"x",
    "line ends": b"\n",
    "keys": b"\ntrouble=",
    "the beginning": BEGIN,
    "rows": b"\n7_[" + b"1," * 2000 + b"]" + MARK,
    "marks": MARK,
    "spaces": b" ",
    "slashes and quotes": b"\\\"'",
    "words of base64": b"dHJvdWJsZQ==",
    "words that are looked for": b"MaxSubmitJobGrpSubmit",
}
MIB = 2**20


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.parametrize("key", ["", "err", "SLURMGATE-ERROR", "partition"])
def test_a_flood_takes_little_time(flood: bytes, key: str) -> None:
    body = (flood * (MIB // len(flood) + 1))[:MIB]
    if key in {"err", "SLURMGATE-ERROR"}:
        body = base64.b64encode(body[: 3 * MIB // 4])
    stdout = BEGIN + f"{key}=".encode() * bool(key) + body + b"\nSLURMGATE-STATUS=1\nverdict=ran\nfailed=yes" + END
    began = process_time()
    for call, _ in CALLS.values():
        answer(call, Ran(0, stdout, b""))
    assert process_time() - began < SECONDS


def test_too_much_is_cut_where_people_read_it() -> None:
    words = base64.b64encode(b"x" * 9999).decode()
    stdout = f"\nSLURMGATE-BEGIN\nSLURMGATE-STATUS=1\nSLURMGATE-ERROR={words}\nSLURMGATE-END\n".encode()
    held = answer(CALLS["hold"][0], Ran(0, stdout, b""))
    assert isinstance(held, Refused)
    assert held.reason is Reason.COMMAND_FAILED
    assert held.message.startswith(f"scontrol: {'x' * 10}") or CUT in held.message
