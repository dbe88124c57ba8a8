"""The bed's Jobbergate Agent carries submissions, and the benchmark counts what that takes; a few of each, never seconds."""

import os
from collections.abc import Iterator

import pytest

from benchmarks.jobbergate import measures
from benchmarks.jobbergate.counting import ACTIVE, PENDING, SCRIPT, SUBMITTED, UPDATE
from benchmarks.jobbergate.floor import Floor
from benchmarks.jobbergate.ground import Ground, ground
from benchmarks.jobbergate.rival import Agent

pytestmark = [pytest.mark.bed, pytest.mark.slow]


@pytest.fixture(scope="module")
def here() -> Iterator[Ground]:
    with ground(f"benchmark-{os.getpid()}") as found:
        yield found


def test_the_floor_says_everything_once(here: Ground) -> None:
    submitting = measures.submitting(here, Floor(here), pending=3)
    assert submitting.calls == {PENDING: 1, SCRIPT: 1, SUBMITTED: 3}
    assert len(submitting.submitted) == 3
    ending = measures.ending(here, Floor(here), active=3, pending=1)
    assert ending.calls == {UPDATE: 3}
    assert len(ending.ended) == 3


def test_the_agent_fetches_a_script_and_starts_five_processes_for_each_submission(here: Ground) -> None:
    sample = measures.submitting(here, Agent(here, 10), pending=3)
    assert {kind: sample.calls[kind] for kind in (PENDING, SCRIPT, SUBMITTED)} == {PENDING: 1, SCRIPT: 3, SUBMITTED: 3}
    assert sample.commands == {"test": 6, "tee": 3, "sbatch": 3, "scontrol": 3}
    queue = here.bed.slurm.inside(["squeue", "--noheader", "--user=kirby", "--states=pending", "--format=%r"]).stdout
    assert queue.split() == ["BeginTime"] * 3


def test_the_agent_updates_what_has_not_changed(here: Ground) -> None:
    here.clear()
    here.hold(3)
    sample = measures.resting(here, Agent(here, 10), look=ACTIVE, looks=1)
    assert sample.calls[UPDATE] == 3
    assert sample.commands["scontrol"] in {3, 4}  # by the time of the next look it may have begun anew


def test_jobbergate_hears_of_what_slurm_has_cancelled(here: Ground) -> None:
    sample = measures.ending(here, Agent(here, 10), active=3, pending=1)
    assert (len(sample.ended), len(sample.submitted)) == (3, 1)
