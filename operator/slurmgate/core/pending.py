"""Why a job waits: Slurm's reason in our words.

Sources: man squeue (JOB REASON CODES) and src/common/job_state_reason.c of 22.05, 24.11 and 26.05.
"""

import re

from slurmgate.core.reasons import Reason

_PRIORITY, _RESOURCES, _LIMIT = Reason.QUEUED_PRIORITY, Reason.QUEUED_RESOURCES, Reason.QUEUED_LIMIT
_HELD, _DEPENDENCY, _QUEUED = Reason.HELD, Reason.DEPENDENCY, Reason.QUEUED

_WHY: dict[str, tuple[Reason, str]] = {
    "Priority": (_PRIORITY, "jobs of higher priority go first"),
    "Resources": (_RESOURCES, "it is next, once enough nodes, CPUs, memory or GPUs are free"),
    "ReqNodeNotAvail": (_RESOURCES, "a node that it needs is down, drained or reserved"),
    "Nodes required for job are DOWN": (_RESOURCES, "the nodes that it needs are down, drained or reserved"),
    "NodeDown": (_RESOURCES, "a node that it needs is down"),
    "PartitionDown": (_RESOURCES, "an admin has stopped the partition; what is in it waits"),
    "PartitionInactive": (_RESOURCES, "an admin has made the partition inactive"),
    "Reservation": (_RESOURCES, "its reservation has not begun, or has no room"),
    "Licenses": (_RESOURCES, "all licenses that it needs are in use"),
    "PartitionTimeLimit": (_LIMIT, "it asks for more time than the partition allows, and does not start like this"),
    "PartitionNodeLimit": (_LIMIT, "it asks for more, or fewer, nodes than the partition allows, and does not start like this"),
    "JobArrayTaskLimit": (_LIMIT, "as many tasks of the array run as it allows at once (%N in --array)"),
    "AssociationJobLimit": (_LIMIT, "as many jobs run as its account allows"),
    "AssociationResourceLimit": (_LIMIT, "its account has no more resources to use"),
    "AssociationTimeLimit": (_LIMIT, "its account has no more time to use"),
    "QOSJobLimit": (_LIMIT, "as many jobs run as its QOS allows"),
    "QOSResourceLimit": (_LIMIT, "its QOS has no more resources to use"),
    "QOSTimeLimit": (_LIMIT, "its QOS has no more time to use"),
    "QOSUsageThreshold": (_LIMIT, "its account has used more than its QOS lets it"),
    "QOSNotAllowed": (_LIMIT, "its account or partition does not allow its QOS"),
    "InvalidAccount": (_LIMIT, "its account is not valid any more"),
    "InvalidQOS": (_LIMIT, "its QOS is not valid any more"),
    "AccountNotAllowed": (_LIMIT, "its partition does not allow its account"),
    "JobHeldUser": (_HELD, "its user holds it, or an operator for him (scontrol hold); scontrol release lets it go"),
    "JobHeldAdmin": (_HELD, "an admin holds it, and only an admin can release it"),
    "JobHoldMaxRequeue": (_HELD, "it was requeued too often, and is held until somebody releases it"),
    "ReservationDeleted": (_HELD, "its reservation was deleted, and it is held until somebody releases it"),
    "launch failed requeued held": (_HELD, "it could not be launched, and is held until somebody releases it"),
    "job requeued in held state": (_HELD, "it was requeued and is held until somebody releases it"),
    "Dependency": (_DEPENDENCY, "a job that it depends on has not ended yet"),
    "DependencyNeverSatisfied": (_DEPENDENCY, "a job that it depends on ended in another way: it will never start"),
    "BeginTime": (_QUEUED, "it may not begin yet (--begin, or the pause after a requeue)"),
    "WaitingForScheduling": (_QUEUED, "the scheduler has not looked at it yet"),
    "SchedDefer": (_QUEUED, "the scheduler looks at it in its next round"),
    "Prolog": (_QUEUED, "its prolog runs"),
    "Cleaning": (_QUEUED, "what its last run left is being cleaned up"),
    "BadConstraints": (_QUEUED, "no nodes can ever satisfy what it asks for"),
    "BurstBufferResources": (_QUEUED, "it waits for room in the burst buffer"),
    "BurstBufferStageIn": (_QUEUED, "its files are being copied into the burst buffer"),
}

_LIMIT_OF = re.compile(
    r"(?P<scope>QOS|Assoc)(?P<kind>Grp|Max|Min)(?P<what>[A-Z][A-Za-z]*?)(?P<each>Per(?:User|Account|Job|Node))?"
    r"(?:Limit|NotSatisfied)?"
)
_SCOPES = {"QOS": "its QOS", "Assoc": "its account"}
_WHAT = {
    "Jobs": "running jobs",
    "SubmitJob": "jobs in the queue",
    "SubmitJobs": "jobs in the queue",
    "Cpu": "CPUs",
    "CPUMinutes": "CPU minutes",
    "CPURunMinutes": "CPU minutes of running jobs",
    "Mem": "memory",
    "MemMinutes": "memory minutes",
    "MemRunMinutes": "memory minutes of running jobs",
    "Node": "nodes",
    "NodeMinutes": "node minutes",
    "NodeRunMinutes": "node minutes of running jobs",
    "GRES": "GPUs and the like",
    "GRESMinutes": "minutes of GPUs and the like",
    "GRESRunMinutes": "minutes of GPUs and the like of running jobs",
    "Wall": "time",
    "WallDuration": "time",
    "License": "licenses",
    "BB": "burst buffer",
    "Billing": "billing units",
    "BillingMinutes": "billing minutes",
    "BillingRunMinutes": "billing minutes of running jobs",
    "Energy": "energy",
}
_EACH = {"PerUser": " for one user", "PerAccount": " for one account", "PerJob": " for one job", "PerNode": " for each node"}


def why(slurm_reason: str | None) -> tuple[Reason, str]:
    """Our reason for a job that waits, and what Slurm's means; empty where Slurm's word is all that can be said."""
    word = (slurm_reason or "").strip("()").split(",")[0]
    if word in _WHY:
        return _WHY[word]
    if "held" in word.lower():  # launch_failed_requeued_held and what other versions make of it
        return _HELD, "it is held until somebody releases it"
    if match := _LIMIT_OF.fullmatch(word):
        return _LIMIT, _limit(match)
    if word.startswith(("QOS", "Assoc", "Max")):
        return _LIMIT, "a limit of its account, QOS or partition holds it back"
    return _QUEUED, ""


def _limit(match: re.Match[str]) -> str:
    what = _WHAT.get(match["what"], match["what"])
    if match["kind"] == "Min":
        return f"it asks for less than {_SCOPES[match['scope']]} wants ({what})"
    together = " of all its jobs together" if match["kind"] == "Grp" else _EACH.get(match["each"] or "", "")
    return f"a limit of {_SCOPES[match['scope']]} is reached: {what}{together}"
