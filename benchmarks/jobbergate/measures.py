"""What is measured: the same steps for everybody, counted by what the API, Slurm and the kernel have written down."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.jobbergate.contestants import Contestant
from benchmarks.jobbergate.counting import HEALTH, PENDING, SUBMITTED, UPDATE, Call, Tail, calls, kinds, span, work
from benchmarks.jobbergate.ground import Ground
from benchmarks.measuring import host
from benchmarks.measuring.processes import cpu_seconds
from benchmarks.measuring.table import percentile

_NEARLY_AT_ONCE = 0.02


@dataclass(frozen=True)
class Sample:
    """One run of one contestant."""

    who: str
    seconds: float
    """Of the work: from the look that led to it, or its first call, to its last call."""
    calls: Counter[str]
    commands: Counter[str]
    cpu: Mapping[str, float]
    loop_milliseconds: float
    """How fast the machine was just before."""
    looks: int = 0
    """During how many looks at what is new, where that was fixed."""
    submitted: Sequence[float] = ()
    """Seconds from creation to what Slurm said first, sorted, of each submission that was asked for meanwhile."""
    ended: Sequence[float] = ()
    """Seconds from the end of a job to its report, sorted."""

    @property
    def figures(self) -> dict[str, float]:
        """All of it in numbers, by what they are."""
        figures = {"work s": self.seconds, "loop ms": self.loop_milliseconds, "updates": self.calls[UPDATE]}
        figures |= {"API calls": self.calls.total(), "commands": self.commands.total()}
        if self.looks:
            figures["API calls per look, but of its health"] = (self.calls.total() - self.calls[HEALTH]) / self.looks
            figures["commands per look"] = self.commands.total() / self.looks
        for name, waited in (("created → submitted", self.submitted), ("end → reported", self.ended)):
            figures |= {f"{name} p{percent} s": percentile(waited, percent) for percent in (50, 95, 100) if waited}
        return figures | {f"CPU s: {name}": used for name, used in self.cpu.items()}


class Meter:
    """Counts from its making on what is asked of everybody while a contestant runs."""

    def __init__(self, ground: Ground, contestant: Contestant) -> None:
        self._contestant = contestant
        self._programs = {**contestant.programs, **ground.programs}
        self._loop = host.loop_milliseconds()
        self._log = Tail.of(ground.bed.jobbergate.service("api").log)
        self._cpu = cpu_seconds(self._programs)
        self._commands = contestant.commands()

    def calls(self) -> list[Call]:
        """All calls up to now."""
        return calls(self._log.lines())

    def sample(self, choose: Callable[[Sequence[Call]], Sequence[Call]]) -> Sample:
        """What it has been up to now. Of the calls only those that are chosen count as work."""
        cpu = {name: used - self._cpu[name] for name, used in cpu_seconds(self._programs).items()}
        chosen = choose(self.calls())
        commands = self._contestant.commands() - self._commands
        return Sample(self._contestant.name, span(chosen), kinds(chosen), commands, cpu, self._loop)


def submitting(ground: Ground, contestant: Contestant, *, pending: int) -> Sample:
    """So many submissions are made at once, and nothing else is there."""
    ground.clear()
    with contestant.running():
        meter = Meter(ground, contestant)
        ground.ask(pending)
        contestant.submit(pending)
        sample = meter.sample(lambda made: work(made, SUBMITTED, after=PENDING))
        return replace(sample, submitted=ground.submitted_after())


def arriving(ground: Ground, contestant: Contestant, *, pending: int, active: int, over_seconds: float = 0) -> Sample:
    """So many submissions are made, at once or over some time, while others are active."""
    ground.clear()
    ground.hold(active)
    with contestant.running():
        meter = Meter(ground, contestant)
        ground.ask(pending, over_seconds=over_seconds)
        contestant.submit(pending)
        sample = meter.sample(lambda made: work(made, SUBMITTED, after=PENDING))
        return replace(sample, submitted=ground.submitted_after())


def ending(ground: Ground, contestant: Contestant, *, active: int, pending: int) -> Sample:
    """All active jobs end in the same moment, and a few submissions are made just after."""
    ground.clear()
    ground.hold(active)
    with contestant.running():
        meter = Meter(ground, contestant)
        ground.cancel_jobs()
        moment = time.time()
        ground.ask(pending)
        contestant.report(active)
        contestant.submit(pending)
        sample = meter.sample(lambda made: work(made, UPDATE))
        return replace(sample, submitted=ground.submitted_after(), ended=ground.ended_after(moment))


def resting(ground: Ground, contestant: Contestant, *, look: str, looks: int) -> Sample:
    """What is active stays as it is, from one look to the one that comes so many later. A look is a call that begins a list."""
    with contestant.running():
        meter = Meter(ground, contestant)
        ground.wait(lambda: len(_looks(meter.calls(), look)) > looks, f"{looks} looks", every=_NEARLY_AT_ONCE)
        return replace(meter.sample(lambda made: _between(made, _looks(made, look), looks)), looks=looks)


def _looks(made: Iterable[Call], look: str) -> list[Call]:
    return [call for call in made if call.kind == look and call.first_page]


def _between(made: Sequence[Call], found: Sequence[Call], looks: int) -> Sequence[Call]:
    return made[made.index(found[0]) : made.index(found[looks])]
