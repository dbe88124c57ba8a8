"""Why a job waits: each of Slurm's reasons in our words."""

import pytest

from slurmgate.core.pending import why
from slurmgate.core.reasons import Reason

PENDING_REASONS = {
    None: Reason.QUEUED,
    "": Reason.QUEUED,
    "None": Reason.QUEUED,
    "WaitingForScheduling": Reason.QUEUED,
    "BeginTime": Reason.QUEUED,
    "Prolog": Reason.QUEUED,
    "Cleaning": Reason.QUEUED,
    "BadConstraints": Reason.QUEUED,
    "Licenses": Reason.QUEUED_RESOURCES,
    "Priority": Reason.QUEUED_PRIORITY,
    "(Priority)": Reason.QUEUED_PRIORITY,
    "Resources": Reason.QUEUED_RESOURCES,
    "(Resources)": Reason.QUEUED_RESOURCES,
    "ReqNodeNotAvail": Reason.QUEUED_RESOURCES,
    "ReqNodeNotAvail, UnavailableNodes:node[1-3]": Reason.QUEUED_RESOURCES,
    "ReqNodeNotAvail, Reserved for maintenance": Reason.QUEUED_RESOURCES,
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": Reason.QUEUED_RESOURCES,
    "NodeDown": Reason.QUEUED_RESOURCES,
    "PartitionDown": Reason.QUEUED_RESOURCES,
    "PartitionInactive": Reason.QUEUED_RESOURCES,
    "Reservation": Reason.QUEUED_RESOURCES,
    "PartitionTimeLimit": Reason.QUEUED_LIMIT,
    "PartitionNodeLimit": Reason.QUEUED_LIMIT,
    "JobArrayTaskLimit": Reason.QUEUED_LIMIT,
    "QOSMaxJobsPerUserLimit": Reason.QUEUED_LIMIT,
    "QOSGrpCpuLimit": Reason.QUEUED_LIMIT,
    "AssocGrpCPUMinutesLimit": Reason.QUEUED_LIMIT,
    "AssociationJobLimit": Reason.QUEUED_LIMIT,
    "MaxMemPerLimit": Reason.QUEUED_LIMIT,
    "MaxCpuPerAccount": Reason.QUEUED_LIMIT,
    "JobHeldUser": Reason.HELD,
    "JobHeldAdmin": Reason.HELD,
    "JobHoldMaxRequeue": Reason.HELD,
    "ReservationDeleted": Reason.HELD,
    "launch failed requeued held": Reason.HELD,
    "launch_failed_requeued_held": Reason.HELD,
    "job requeued in held state": Reason.HELD,
    "Dependency": Reason.DEPENDENCY,
    "DependencyNeverSatisfied": Reason.DEPENDENCY,
}


@pytest.mark.parametrize("word", PENDING_REASONS)
def test_each_pending_reason_is_said_in_our_words(word: str | None) -> None:
    assert why(word)[0] is PENDING_REASONS[word]


SENTENCES = {
    "Priority": "jobs of higher priority go first",
    "JobHeldAdmin": "an admin holds it, and only an admin can release it",
    "ReqNodeNotAvail, UnavailableNodes:node[1-3]": "a node that it needs is down, drained or reserved",
    "QOSMaxJobsPerUserLimit": "a limit of its QOS is reached: running jobs for one user",
    "QOSGrpCpuLimit": "a limit of its QOS is reached: CPUs of all its jobs together",
    "AssocGrpCPUMinutesLimit": "a limit of its account is reached: CPU minutes of all its jobs together",
    "AssocMaxWallDurationPerJobLimit": "a limit of its account is reached: time for one job",
    "QOSMaxGRESPerUser": "a limit of its QOS is reached: GPUs and the like for one user",
    "QOSMinCpuNotSatisfied": "it asks for less than its QOS wants (CPUs)",
    "QOSMaxQuarksPerUserLimit": "a limit of its QOS is reached: Quarks for one user",
    "MaxBillingPerAccount": "a limit of its account, QOS or partition holds it back",
    "TeleporterBroken": "",
}


@pytest.mark.parametrize("word", SENTENCES)
def test_what_it_means(word: str) -> None:
    assert why(word)[1] == SENTENCES[word]
