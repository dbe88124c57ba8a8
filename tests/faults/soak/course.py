"""The course of a soak: faults upon submissions, then calm, then judgement."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from tests.faults.doomed import Fate
from tests.faults.soak.evidence import Evidence, Unheard, gather
from tests.faults.soak.faults.table import CONTROLLER_KILLED, FAULTS, OF_JOBBERGATE, Fault
from tests.faults.soak.ground import CLUSTERS, Ground, laid_out
from tests.faults.soak.history import INJECTION, History
from tests.faults.soak.judge import Wrong, found_again, judge
from tests.faults.soak.kinds import KINDS, ROWS, Kind
from tests.faults.soak.load import Errand, Load
from tests.faults.soak.plan import Injection, Round, rounds
from tests.faults.soak.rows import Rows

ACCOUNTING_SECONDS = 120.0
SILENT_SECONDS = 30.0
"""In which accounting says nothing new: it will not."""
_RESUME_NODES = """
for node in $(sinfo --noheader --Node --states=down,drain,fail --format=%N | sort -u); do
    scontrol update "nodename=$node" state=resume
done
"""
"""A slurmctld that is killed gives ids twice, which slurmds take so ill that in the end no job would run any more."""
_SET_RIGHT = f"""{_RESUME_NODES}
for job in $(squeue --noheader --array --states=pending --format=%A:%r | sed -n 's/:BeginTime$//p'); do
    scontrol update "jobid=$job" starttime=now
done
for job in $(squeue --noheader --states=pending --format=%A:%r | sed -n 's/:.*\\(Held\\|held\\).*//p' | sort -u); do
    scontrol release "$job" 2>&1 | grep -q 'Unexpected message received' && scancel "$job"
done
for job in $(squeue --noheader --states=suspended --format=%A); do scontrol resume "$job"; done
true
"""
"""What an admin does when all is over: nodes are used again, what was requeued does not wait for its two minutes, and no job
is held (by then no user wants any held). One that a slurmctld has in its saved state as waiting for slurmdbd's index waits for
it for ever, with nobody able to release it: it is cancelled."""


@dataclass(frozen=True)
class Terms:
    """How hard a soak is."""

    every_seconds: float = 0.8
    """Between two new submissions."""
    most: int = 50
    """Submissions in flight."""
    longest_seconds: float = 25.0
    """That a job runs by itself."""
    usual_seconds: float = 5.0
    """That a fault lasts at most, as a rule."""
    most_seconds: float = 10.0
    """That any fault lasts."""
    calm_seconds: float = 600.0
    """For everything to settle when the faults are over."""
    fate: Fate = field(default_factory=Fate)
    table: Sequence[Fault] = FAULTS
    kinds: Sequence[Kind] = KINDS
    rows: Sequence[Kind] = ROWS
    """What is submitted in Jobbergate: half as often."""


BRIEF = Terms(
    every_seconds=0.4,
    most=40,
    longest_seconds=4.0,
    usual_seconds=0.8,
    most_seconds=4.0,
    calm_seconds=240.0,  # Slurm lets what was requeued wait for two minutes
    fate=Fate(hasty=True),
    table=[fault for fault in FAULTS if fault.part not in OF_JOBBERGATE],
    rows=(),
)
"""For make test: all is shorter, the operator waits less, and there is no Jobbergate."""


@dataclass(frozen=True)
class Failure:
    """A submission with which something is wrong."""

    errand: Errand
    wrongs: tuple[Wrong, ...]
    life: tuple[float, float]


@dataclass(frozen=True)
class Result:
    """What came of a soak."""

    seed: int
    seconds: float
    injections: int
    submissions: int
    failures: tuple[Failure, ...]
    history: History
    log: tuple[str, ...]
    """The operator's."""
    evidence: Evidence


def soak(name: str, *, seed: int, injections: int, terms: Terms, tell: Callable[[str], None] = lambda _: None) -> Result:
    """Have one, on a bed of this name that is made for it."""
    began, history = time.monotonic(), History()
    with laid_out(name, terms.fate, history, jobbergate=bool(terms.rows)) as ground:
        loads = _loads(ground, history, seed, terms)
        for load in loads:
            load.start()
        try:
            done = 0
            for round_ in rounds(seed, injections, terms.table, terms.usual_seconds, terms.most_seconds):
                _inject(ground, history, round_)
                ground.slurm.inside(["bash", "-c", _RESUME_NODES])
                done += len(round_)
                if any(load.failure for load in loads):
                    break
                made, left = (sum(each) for each in zip(*((len(load.errands), load.in_flight) for load in loads), strict=True))
                tell(f"{done} of {injections} injections, {made} submissions, {left} in flight")
        finally:
            for load in loads:
                load.stop()
        tell("calm")
        _calm(ground, loads, terms.calm_seconds)
        evidence = _evidence(ground, loads)
        for load in loads:
            load.settled()
        log = ground.bed.description.folder / "operator.log"
        return Result(
            seed,
            time.monotonic() - began,
            injections,
            sum(len(load.errands) for load in loads),
            tuple(failure for load in loads for failure in _failures(load, evidence, history)),
            history,
            tuple(log.read_text().splitlines()),
            evidence,
        )


def _loads(ground: Ground, history: History, seed: int, terms: Terms) -> list[Load]:
    """Who submits what: by kubectl, and in Jobbergate."""
    every, most, longest = terms.every_seconds, terms.most, terms.longest_seconds
    loads = [Load(ground.api, history, seed, CLUSTERS, every, most, longest, kinds=terms.kinds)]
    if terms.rows:
        rows = Rows(ground.api, history, seed, CLUSTERS[:1], every * 2, most // 2, longest, kinds=terms.rows, bed=ground.bed)
        loads.append(rows)
    return loads


def _inject(ground: Ground, history: History, round_: Round) -> None:
    """All faults of a round, each in its own time."""
    errors: list[BaseException] = []

    def inject(injection: Injection) -> None:
        time.sleep(injection.after)
        try:
            chance = Random(injection.seed)
            with history.lasting(INJECTION, injection.fault.name), injection.fault.inject(ground, chance):
                time.sleep(injection.seconds)
        except BaseException as error:  # noqa: BLE001 - raised below
            error.add_note(f"while injecting {injection.fault.name}")
            errors.append(error)

    threads = [threading.Thread(target=inject, args=(each,), name=each.fault.name) for each in round_]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _calm(ground: Ground, loads: Sequence[Load], seconds: float) -> None:
    """Return when all is settled, or when it never will be."""
    deadline = time.monotonic() + seconds
    while not all(load.settled() for load in loads) and time.monotonic() < deadline:
        ground.slurm.inside(["bash", "-c", _SET_RIGHT])
        time.sleep(2)


def _evidence(ground: Ground, loads: Sequence[Load]) -> Evidence:
    """Once accounting and the API have caught up with each other; or as it is if they never do."""
    deadline = time.monotonic() + ACCOUNTING_SECONDS
    heard, said = time.monotonic(), ""
    while time.monotonic() < deadline:
        for load in loads:
            load.settled()
        with suppress(Unheard):  # slurmdbd may only just have been started again
            evidence = gather(ground)
            silent = evidence.text == said and time.monotonic() - heard > SILENT_SECONDS
            if silent or (evidence.complete and all(_agree(load, evidence) for load in loads)):
                return evidence
            if evidence.text != said:
                heard, said = time.monotonic(), evidence.text
        time.sleep(2)
    return gather(ground)


def _agree(load: Load, evidence: Evidence) -> bool:
    """Accounting has all jobs that the API tells of, and what is lost there is lost here."""
    told = [(errand, load.told[errand.uid]) for errand in load.errands if errand.uid in load.told]
    jobs = {each.job_id for _, each in told if each.job_id and each.reason != "Lost"}
    lost = any(found_again(errand.case, each, load.tasks(errand, evidence)) for errand, each in told)
    return jobs <= evidence.jobs and not lost


def _failures(load: Load, evidence: Evidence, history: History) -> list[Failure]:
    return [
        Failure(errand, wrongs, (began, ended))
        for errand, began, ended in load.lives()
        if (
            wrongs := judge(
                replace(errand.case, forgettable=history.has(CONTROLLER_KILLED, began, ended)),
                load.told.get(errand.uid),
                load.tasks(errand, evidence),
                load.runs(errand, evidence),
            )
        )
    ]
