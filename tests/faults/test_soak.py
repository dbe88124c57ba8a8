"""A small soak that is always the same; and operators with a mistake each, which the judge has to catch."""

from dataclasses import dataclass, replace

import pytest

from tests.faults.doomed import Fate
from tests.faults.mutants import careless, despairing, trusting, unmarked
from tests.faults.soak.course import BRIEF
from tests.faults.soak.faults.table import FAULTS
from tests.faults.soak.judge import Verdict
from tests.faults.soak.kinds import KINDS
from tests.faults.soaked import soaked, stays_clean

SEED = 4


def test_nothing_is_lost_or_sent_twice_or_called_what_it_is_not() -> None:
    stays_clean(SEED)


@dataclass(frozen=True)
class Mutant:
    """An operator with a mistake, under what shows it soon."""

    fate: Fate
    verdict: Verdict
    """What the judge has to say."""
    fault: str = "operator: kill -9 at a step"
    injections: int = 20
    usual_seconds: float = 3.0
    kinds: str = ""
    """Only submissions with this in the names of their kinds."""


MUTANTS = {
    "what has no job id is sent": Mutant(Fate(hasty=True, mistakes=[trusting, unmarked]), Verdict.TWICE, injections=40),
    "what squeue does not have has failed": Mutant(
        Fate(hasty=True, mistakes=[despairing]),
        Verdict.WRONG_PHASE,
        fault="operator: kill -9",  # it has to be away for longer than MinJobAge
        injections=5,
        usual_seconds=30.0,
    ),
    "the finalizer comes last": Mutant(Fate(hasty=True, mistakes=[careless]), Verdict.LEFT_RUNNING, kinds="deleted"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_mistake_is_caught(mutant: Mutant) -> None:
    terms = replace(
        BRIEF,
        table=[fault for fault in FAULTS if fault.name == mutant.fault],
        kinds=[kind for kind in KINDS if mutant.kinds in kind.name],
        fate=mutant.fate,
        usual_seconds=mutant.usual_seconds,
        calm_seconds=30.0,
    )
    result = soaked(SEED, terms, mutant.injections)

    assert mutant.verdict in {wrong.verdict for failure in result.failures for wrong in failure.wrongs}
