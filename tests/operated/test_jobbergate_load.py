"""What carrying submissions of Jobbergate asks of its API and of Slurm, by count: seconds are for `make bench-jobbergate`."""

import os
from collections.abc import Iterator

import pytest

from benchmarks.jobbergate import measures
from benchmarks.jobbergate.counting import HEALTH, PENDING, SCRIPT, SUBMITTED, UPDATE
from benchmarks.jobbergate.ground import Ground, ground
from benchmarks.jobbergate.slurmgate import Slurmgate

pytestmark = [pytest.mark.bed, pytest.mark.slow]


@pytest.fixture(scope="module")
def here() -> Iterator[Ground]:
    with ground(f"load-{os.getpid()}") as found:
        yield found


@pytest.fixture(scope="module")
def slurmgate(here: Ground) -> Slurmgate:
    return Slurmgate(here)


def test_a_script_is_not_fetched_for_each_submission_and_each_is_told_once(here: Ground, slurmgate: Slurmgate) -> None:
    sample = measures.submitting(here, slurmgate, pending=8)
    assert (sample.calls[SUBMITTED], sample.commands["sbatch"]) == (8, 8), sample
    assert sample.calls[SCRIPT] <= 2, sample  # once, and again if one of them has to be looked at again
    assert sample.calls[UPDATE] == 0, sample


def test_what_does_not_change_costs_two_calls_and_two_commands_for_each_look(here: Ground, slurmgate: Slurmgate) -> None:
    here.clear()
    here.hold(8)
    sample = measures.resting(here, slurmgate, look=PENDING, looks=4)
    assert sample.calls[UPDATE] == 0, sample
    assert sum(sample.calls.values()) - sample.calls[HEALTH] <= 2 * sample.looks, sample
    assert sum(sample.commands.values()) <= 2 * sample.looks, sample


def test_each_end_is_told_once(here: Ground, slurmgate: Slurmgate) -> None:
    sample = measures.ending(here, slurmgate, active=8, pending=2)
    assert sample.calls[UPDATE] == 8, sample
    assert (len(sample.ended), len(sample.submitted)) == (8, 2)
