"""An operator that kills itself (SIGKILL) when chosen submissions have come to chosen places.

It is the real operator in a forked process of its own. Production code knows nothing of this: what lies between two steps of
submitting is wrapped here, from outside. A place is `before X` or `after X` for everything that reaches out of the process:

    admission           reading what the submission refers to        stage, submit, find     our programs on the login node
    finalizer           PATCH of the finalizer                       squeue, sacct           Slurm's commands in a look-up
    user, job id        PATCH of the status that fixes it            fix                     finalizer and user together
    object, script      POST of what a row of Jobbergate becomes     submitted, rejected,    what Jobbergate is told
    wish                what its people want, written down here        news, end

and `X started` (the login node runs X, nothing is on its stdin yet) and `X half sent` for our programs.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from typing_extensions import override

from bed.valhalla import CLUSTER
from slurmgate import __main__ as program
from slurmgate.core.record import Record
from slurmgate.core.reporting import OnRecord, Status, TellState, after
from slurmgate.engine import cluster, outbox
from slurmgate.engine.admission import admit
from slurmgate.engine.cluster import ClusterWorker
from slurmgate.engine.jobbergate.manifests import name_of
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.outbox import KubernetesOutbox
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.kube.finalizers import add_finalizer
from slurmgate.kube.writer import StatusWriter
from slurmgate.resources.submission import JobSubmission
from slurmgate.slurm import lookup, remote
from slurmgate.ssh import runner
from slurmgate.ssh.exchange import Exchange
from slurmgate.ssh.runner import Runner

HASTY_SECONDS = 5.0
ANYBODY = "anybody"
_SUDDEN = (" started", " half sent")
_PROGRAMS = ("stage", "submit", "find")

_submission: ContextVar[str] = ContextVar("submission", default="")
_asked: ContextVar[str] = ContextVar("asked", default="")


@dataclass(frozen=True)
class Fate:
    """What is to become of one operator."""

    plan: Mapping[str, str] = field(default_factory=dict)
    """Place by name of the submission. It dies when all of them are there; who comes first is held until then."""
    rescue: Sequence[str] = ()
    """Submissions whose job ids must be in the API before those of the plan may begin."""
    gates: Path | None = None
    """Folder of files `<submission>.<place>`: who comes there waits while there is one. Whoever comes to the place of a file
    `anybody.<place>` is the death of this operator; the file goes with it."""
    hasty: bool = False
    """Does not wait for as long as a real cluster may need: for tests in which nothing is slow unless they make it so."""
    mistakes: Sequence[Callable[[], None]] = ()
    """What is wrong with it: see `mutants`."""


def live(fate: Fate, environment: Mapping[str, str], log: Path) -> None:
    """Be the operator, in a process that was forked for this."""
    os.setsid()
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for number, file in enumerate((nothing, output, output)):
            os.dup2(file.fileno(), number)
    os.environ.update(environment)
    sys.argv[1:] = ["run"]
    if fate.hasty:
        _hurry()
    _wrap(Doom(dict(fate.plan), set(fate.rescue), fate.gates))
    for make in fate.mistakes:
        make()
    sys.exit(program.main())


@dataclass
class Doom:
    """Who still has to come where before the end."""

    plan: dict[str, str]
    rescue: set[str]
    gates: Path | None
    safe: asyncio.Event = field(default_factory=asyncio.Event)
    last: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, name: str) -> None:
        """Let a doomed submission set out once all others are safe."""
        if name in self.plan:
            if not self.rescue:
                self.safe.set()
            await self.safe.wait()

    def rescued(self, name: str) -> None:
        """The API has its job id."""
        self.rescue.discard(name)
        if not self.rescue:
            self.safe.set()

    async def reach(self, place: str, name: str) -> None:
        """It is there: the end, or wait for it."""
        if self.gates and (trap := self.gates / f"{ANYBODY}.{place}").exists():
            trap.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while self.gates and (gate := self.gates / f"{name}.{place}").exists():
            gate.with_name(f"{gate.name}.reached").touch()
            await asyncio.sleep(0.05)
        if self.plan.get(name) == place:
            self.strike(place, name)
            await asyncio.Event().wait()

    async def approach(self, step: str, name: str) -> None:
        """Nothing can be held in the middle of a step: who is to die there goes last."""
        if self.plan.get(name, "") in {step + sudden for sudden in _SUDDEN}:
            if len(self.plan) == 1:
                self.last.set()
            await self.last.wait()

    def strike(self, place: str, name: str) -> bool:
        """It is there; False if it has no business there."""
        if self.plan.get(name) != place:
            return False
        del self.plan[name]
        sys.stderr.write(f"DOOM: {name} is at {place!r}; {self.plan or 'that was the last one'}\n")
        if not self.plan:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.plan) == 1:
            self.last.set()
        return True


def _wrap(doom: Doom) -> None:
    advance, receive, write, run = ClusterWorker._advance, ClusterWorker.receive, StatusWriter._write, Runner.run

    async def advancing(self: ClusterWorker, record: Record) -> None:
        _submission.set(record.name)
        await doom.begin(record.name)
        await advance(self, record)

    def receiving(self: ClusterWorker, submission: JobSubmission) -> None:
        if submission.status.slurm and submission.status.slurm.job_id:
            doom.rescued(submission.metadata.name)
        receive(self, submission)

    async def writing(self: StatusWriter, target: Any, wish: Any) -> Any:
        job_id = wish.status.get("slurm", {}).get("jobId")
        what = "job id" if job_id else ("user" if wish.status.get("user") else "status")
        await doom.reach(f"before {what}", target.name)
        answer = await write(self, target, wish)
        await doom.reach(f"after {what}", target.name)
        if job_id:
            doom.rescued(target.name)
        return answer

    async def running(self: Runner, user: str, argv: Sequence[str], **how: Any) -> Any:
        name, asked = _submission.get(), _program(argv)
        _asked.set(asked)
        await doom.reach(f"before {asked}", name)
        await doom.approach(asked, name)
        answer = await run(self, user, argv, **how)
        await doom.reach(f"after {asked}", name)
        return answer

    replacements: tuple[tuple[object, str, object], ...] = (
        (ClusterWorker, "_advance", advancing),
        (ClusterWorker, "receive", receiving),
        (StatusWriter, "_write", writing),
        (Runner, "run", running),
        (KubernetesOutbox, "fix", _around(doom, "fix", KubernetesOutbox.fix)),
        (cluster, "admit", _around(doom, "admission", admit)),
        (outbox, "add_finalizer", _around(doom, "finalizer", add_finalizer)),
        (runner, "Exchange", _exchange(doom)),
        (Objects, "make", _at(doom, Objects.make, lambda _, manifest: ("object", manifest.name))),
        (Objects, "give_script", _at(doom, Objects.give_script, lambda _, manifest, uid: ("script", manifest.name))),
        (Objects, "cancel", _at(doom, Objects.cancel, lambda _, record: ("wish", record.name))),
        (Objects, "delete", _at(doom, Objects.delete, lambda _, namespace, name, uid: ("wish", name))),
        (JobbergateApi, "submitted", _at(doom, JobbergateApi.submitted, lambda _, number, **__: ("submitted", _row(number)))),
        (JobbergateApi, "rejected", _at(doom, JobbergateApi.rejected, lambda _, number, words: ("rejected", _row(number)))),
        (JobbergateApi, "update", _at(doom, JobbergateApi.update, _news)),
    )
    for owner, name, replacement in replacements:
        assert hasattr(owner, name)
        setattr(owner, name, replacement)


def _around(doom: Doom, what: str, step: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        await doom.reach(f"before {what}", _submission.get())
        answer = await step(*arguments, **named)
        await doom.reach(f"after {what}", _submission.get())
        return answer

    return wrapped


def _at(doom: Doom, step: Callable[..., Awaitable[Any]], where: Callable[..., tuple[str, str]]) -> Callable[..., Any]:
    """Like `_around`, for steps that say by their arguments what they are about."""

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        what, name = where(*arguments, **named)
        await doom.reach(f"before {what}", name)
        answer = await step(*arguments, **named)
        await doom.reach(f"after {what}", name)
        return answer

    return wrapped


def _news(_: JobbergateApi, number: int, *, state: str, **__: Any) -> tuple[str, str]:
    known = after(OnRecord(Status.SUBMITTED), TellState(None, state, None, ""))
    return "end" if known.status.ended else "news", _row(number)


def _row(number: int) -> str:
    """The name of its JobSubmission, on the bed's usual cluster."""
    return name_of(CLUSTER, number)


def _exchange(doom: Doom) -> type[Exchange]:
    class DoomedExchange(Exchange):
        def __init__(self, stdin: bytes, output_limit: int) -> None:
            super().__init__(stdin, output_limit)
            self._whose, self._what = _submission.get(), _asked.get()

        @override
        def session_started(self) -> None:
            doom.strike(f"{self._what} started", self._whose)
            if doom.plan.get(self._whose) == f"{self._what} half sent" and self._channel:
                self._channel.write(self._stdin[: len(self._stdin) // 2])
                doom.strike(f"{self._what} half sent", self._whose)
            super().session_started()

    return DoomedExchange


def _program(argv: Sequence[str]) -> str:
    """Which of our programs, or of Slurm's commands, these words run."""
    for name in _PROGRAMS:
        if remote.command(name, seconds=1)[6] in argv:
            return name
    return next((PurePath(word).name for word in argv if word.endswith(("/squeue", "/sacct"))), "something")


def _hurry() -> None:
    run = Runner.run

    async def hurrying(self: Runner, user: str, argv: Sequence[str], *, deadline: float, **how: Any) -> Any:
        return await run(self, user, argv, deadline=min(deadline, HASTY_SECONDS), **how)

    Runner.run = hurrying  # type: ignore[method-assign]
    lookup.SETTLE_SECONDS = 3  # type: ignore[misc]
    lookup.LOOK_AGAIN_SECONDS = 1  # type: ignore[misc]
