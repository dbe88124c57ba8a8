"""A small soak; and operators with a mistake each, which the judge has to catch. The large one is `make soak`."""

import os
import random
from dataclasses import replace

import pytest

from tests.faults.doomed import Fate
from tests.faults.soak.course import BRIEF, Result, Terms, soak
from tests.faults.soak.faults.table import FAULTS
from tests.faults.soak.judge import Verdict
from tests.faults.soak.kinds import KINDS
from tests.faults.soak.report import told

INJECTIONS = 35
FIXED = 4
CHANCE = random.randrange(1_000_000)


def soaked(seed: int, terms: Terms, injections: int = INJECTIONS) -> Result:
    return soak(f"soak-{seed}-{os.getpid()}", seed=seed, injections=injections, terms=terms)


@pytest.mark.parametrize("seed", [FIXED, CHANCE], ids=["fixed", "chance"])
def test_nothing_is_lost_or_sent_twice_or_called_what_it_is_not(seed: int) -> None:
    result = soaked(seed, BRIEF)

    assert not result.failures, f"make soak SEED={seed}\n{told(result)}"
    assert len(result.history.injections) == INJECTIONS


MUTANTS: dict[str, tuple[Fate, str, Verdict]] = {
    "what has no job id is sent": (Fate(hasty=True, trusting=True, unmarked=True), "", Verdict.TWICE),
    "what squeue does not have has failed": (Fate(hasty=True, despairing=True), "", Verdict.WRONG_PHASE),
    "the finalizer comes last": (Fate(hasty=True, careless=True), "deleted", Verdict.LEFT_RUNNING),
}
"""A mistake, the kinds of submissions in which it shows soon, and what the judge has to say of it."""


@pytest.mark.slow
@pytest.mark.parametrize(("fate", "word", "verdict"), MUTANTS.values(), ids=MUTANTS.keys())
def test_a_mistake_is_caught(fate: Fate, word: str, verdict: Verdict) -> None:
    deadly = [fault for fault in FAULTS if fault.name == "operator: kill -9 at a step"]
    kinds = [kind for kind in KINDS if word in kind.name]
    terms = replace(BRIEF, table=deadly, kinds=kinds, fate=fate, usual_seconds=3.0, calm_seconds=30.0)
    result = soaked(FIXED, terms, injections=20)

    assert verdict in {wrong.verdict for failure in result.failures for wrong in failure.wrongs}
