"""Slurm's words, row by row."""

import pytest

from slurmgate.core.reasons import Reason
from slurmgate.core.states import STATES, Kind, State, state
from slurmgate.resources.submission import Phase

ABORTED, CANCELLED, DONE = Phase.ABORTED, Phase.CANCELLED, Phase.DONE

ROWS: dict[str, tuple[Kind, Reason, Phase | None]] = {
    # base states (slurm.h, enum job_states)
    "PENDING": (Kind.WAITING, Reason.QUEUED, None),
    "RUNNING": (Kind.RUNNING, Reason.RUNNING, None),
    "SUSPENDED": (Kind.RUNNING, Reason.SUSPENDED, None),
    "COMPLETED": (Kind.ENDED, Reason.COMPLETED, DONE),
    "CANCELLED": (Kind.ENDED, Reason.CANCELLED, CANCELLED),
    "FAILED": (Kind.ENDED, Reason.JOB_FAILED, ABORTED),
    "TIMEOUT": (Kind.ENDED, Reason.TIME_LIMIT, ABORTED),
    "NODE_FAIL": (Kind.ENDED, Reason.NODE_FAIL, ABORTED),
    "PREEMPTED": (Kind.ENDED, Reason.PREEMPTED, ABORTED),
    "BOOT_FAIL": (Kind.ENDED, Reason.LAUNCH_FAILED, ABORTED),
    "DEADLINE": (Kind.ENDED, Reason.DEADLINE, ABORTED),
    "OUT_OF_MEMORY": (Kind.ENDED, Reason.OUT_OF_MEMORY, ABORTED),
    # flags that squeue shows in place of the base state (job_state_string)
    "COMPLETING": (Kind.ENDING, Reason.COMPLETING, None),
    "CONFIGURING": (Kind.RUNNING, Reason.RUNNING, None),
    "RESIZING": (Kind.RUNNING, Reason.RUNNING, None),
    "REQUEUED": (Kind.WAITING, Reason.REQUEUED, None),
    "REQUEUE_FED": (Kind.WAITING, Reason.REQUEUED, None),
    "REQUEUE_HOLD": (Kind.WAITING, Reason.HELD, None),
    "SPECIAL_EXIT": (Kind.WAITING, Reason.HELD, None),
    "STOPPED": (Kind.RUNNING, Reason.SUSPENDED, None),
    "REVOKED": (Kind.ENDED, Reason.REVOKED, ABORTED),
    "RESV_DEL_HOLD": (Kind.WAITING, Reason.HELD, None),
    "SIGNALING": (Kind.RUNNING, Reason.RUNNING, None),
    "STAGE_OUT": (Kind.ENDING, Reason.COMPLETING, None),
    # flags that only the REST API shows, beside the base state
    "LAUNCH_FAILED": (Kind.ENDING, Reason.COMPLETING, None),
    "RECONFIG_FAIL": (Kind.ENDING, Reason.COMPLETING, None),
    "POWER_UP_NODE": (Kind.RUNNING, Reason.RUNNING, None),
    "UPDATE_DB": (Kind.ENDING, Reason.COMPLETING, None),
    "EXPEDITING": (Kind.WAITING, Reason.QUEUED, None),  # since 25.11
}

SQUEUE_22_05 = """
BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING
RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED TIMEOUT
"""
SACCT_22_05 = """
BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING REQUEUED RESIZING REVOKED
SUSPENDED TIMEOUT
"""
JOB_STATE_CODES_26_05 = """
BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING SUSPENDED TIMEOUT COMPLETING
CONFIGURING EXPEDITING LAUNCH_FAILED POWER_UP_NODE RECONFIG_FAIL REQUEUED REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD
REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED UPDATE_DB
"""


@pytest.mark.parametrize("word", ROWS)
def test_each_state_means_what_the_table_says(word: str) -> None:
    assert state(word) == State(*ROWS[word])


def test_the_table_has_no_row_that_is_not_tested() -> None:
    assert STATES.keys() == ROWS.keys()


@pytest.mark.parametrize("manual", [SQUEUE_22_05, SACCT_22_05, JOB_STATE_CODES_26_05], ids=["squeue", "sacct", "26.05"])
def test_no_state_of_the_manuals_is_missing(manual: str) -> None:
    assert set(manual.split()) <= STATES.keys()


@pytest.mark.parametrize("word", ["", "UNKNOWN", "COMPLETED+", "completed", "MIGRATING", "CANCELLED by 7001"])
def test_nothing_is_concluded_from_a_word_that_no_version_has(word: str) -> None:
    assert state(word).kind is Kind.ENDING
    assert state(word).phase is None


@pytest.mark.parametrize("word", [word for word, row in ROWS.items() if row[0] is Kind.ENDED])
def test_a_state_has_a_phase_if_and_only_if_it_is_an_end(word: str) -> None:
    phase = state(word).phase
    assert phase is not None
    assert phase.ended


@pytest.mark.parametrize("word", [word for word, row in ROWS.items() if row[0] is not Kind.ENDED])
def test_a_state_that_is_no_end_has_no_phase(word: str) -> None:
    assert state(word).phase is None
