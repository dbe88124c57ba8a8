"""Conditions of a SlurmCluster, derived from what its parts last answered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slurmgate.core.outcomes import ClusterFacts, Unavailable
from slurmgate.core.reasons import Reason

OLDEST_SLURM = (22, 5)

Wanted = tuple[str, bool | None, Reason, str]

_HOST_KEY = {Reason.HOST_KEY_MISMATCH}
LOGIN_REASONS = {Reason.AUTHENTICATION_FAILED, Reason.KEY_UNAVAILABLE, Reason.LOGIN_SHELL_FAILED}
"""What keeps one user out, and says nothing about others."""
_NOBODY = (
    "Nobody is known as whom one could log in: they are known once they submit something, or by name in the user mapping file. "
    "spec.ssh.serviceUser would be asked without them."
)
_EVERYBODY = (
    "Everybody's jobs run as {user}: each can read what the others' jobs leave, and Slurm's accounting cannot tell them apart."
)
_SSH = _HOST_KEY | LOGIN_REASONS | {Reason.CLUSTER_UNREACHABLE}


@dataclass(frozen=True, slots=True)
class MappingHealth:
    """How the user mapping is."""

    usable: int | None = 0
    """None: nobody can count them, because a directory or a plugin knows them."""
    problems: tuple[str, ...] = ()
    unreadable: str = ""
    """Why there is no mapping at all, in words; empty if there is one."""
    source_down: Reason = Reason.UNREADABLE
    """That, in a word."""
    everybody: str = ""
    """The one user that everybody is; empty if people differ."""


@dataclass(frozen=True, slots=True)
class JobbergateHealth:
    """How the sync with Jobbergate is."""

    version: str = ""
    """Of its API, as far as that is known."""
    trouble: str = ""
    """What is wrong, in words; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a cluster. `facts` stay when the cluster stops answering: they are the last it said."""

    mapping: MappingHealth | None = None
    configuration: str = ""
    """Why the SlurmCluster itself cannot be used, in words."""
    answer: ClusterFacts | Unavailable | None = None
    vain: int = 0
    """How often in a row there was nobody who could ask the cluster."""
    facts: ClusterFacts | None = None
    accounting: Unavailable | None = None
    """Set while sacct does not answer."""
    jobbergate: JobbergateHealth | None = None
    """None if there is none, or nobody has asked yet."""
    strays: str | None = None
    """Which jobs have no submission any more, in words; empty if none has, None if nobody has looked yet."""
    troubles: tuple[str, ...] = ()
    """Why the login nodes that are not used now are not, in words. The cluster may be reached over another one."""

    @property
    def tells(self) -> bool:
        """Whether there is anything to say yet: the cluster has answered, or it is clear why it cannot be asked."""
        return bool(
            self.answer
            or self.configuration
            or (self.mapping and (self.mapping.unreadable or self.mapping.usable == 0))
            or self.vain > 1  # who submitted before a start is known a moment after it
        )

    def told(self, answer: ClusterFacts | Unavailable | None, *, troubles: tuple[str, ...] = ()) -> "Health":
        """The cluster was asked to describe itself; None: nobody was there who could."""
        if answer is None:
            return replace(self, vain=self.vain + 1)
        facts = answer if isinstance(answer, ClusterFacts) else self.facts
        return replace(self, answer=answer, vain=0, troubles=troubles, facts=facts)


def agreed(told: Sequence[ClusterFacts]) -> ClusterFacts:
    """What several users were told of a cluster (at least one).

    A start file can answer in the place of Slurm. Who said that jobs are shown would be asked about all, and who
    said that there is no accounting would hide how they ended: each has to be said by all.
    """
    hides_jobs, accounting = any(each.hides_jobs for each in told), any(each.accounting for each in told)
    return replace(told[0], hides_jobs=hides_jobs, accounting=accounting)


def cluster_conditions(health: Health) -> list[Wanted]:
    """All conditions of a SlurmCluster as (type, value, reason, message); `Ready` sums them up."""
    conditions = [_mapping(health.mapping), *_connection(health), *_slurm(health)]
    bad = [each for each in conditions if each[1] is not True and each[0] != "AccountingAvailable"]
    if health.strays is not None:
        reason = Reason.STRAY_JOBS if health.strays else Reason.AVAILABLE
        conditions.append(("NoStrayJobs", not health.strays, reason, health.strays))
    if health.jobbergate is not None:
        reason = Reason.JOBBERGATE_UNAVAILABLE if health.jobbergate.trouble else Reason.AVAILABLE
        conditions.append(("JobbergateSynced", not health.jobbergate.trouble, reason, health.jobbergate.trouble))
    if health.configuration:
        bad = [("Ready", False, Reason.UNREADABLE, health.configuration)]
    # a mapping with some bad entries still serves the others, and must not hide what does not
    bad.sort(key=lambda each: each[2] is Reason.PROBLEMS_FOUND)
    if not bad:
        ready = conditions[0][2:] if conditions[0][2] is Reason.SINGLE_USER else (Reason.AVAILABLE, "")
        return [*conditions, ("Ready", True, *ready)]
    _, value, reason, message = bad[0]
    return [*conditions, ("Ready", True if reason is Reason.PROBLEMS_FOUND else value, reason, message)]


def _mapping(mapping: MappingHealth | None) -> Wanted:
    if mapping is None:
        return ("MappingValid", None, Reason.NOT_CHECKED, "")
    if mapping.unreadable:
        return ("MappingValid", False, mapping.source_down, mapping.unreadable)
    if mapping.problems:
        return ("MappingValid", False, Reason.PROBLEMS_FOUND, "\n".join(mapping.problems))
    if mapping.everybody:
        return ("MappingValid", True, Reason.SINGLE_USER, _EVERYBODY.format(user=mapping.everybody))
    return ("MappingValid", True, Reason.AVAILABLE, "" if mapping.usable is None else f"{mapping.usable} users")


def _connection(health: Health) -> list[Wanted]:
    """Reachable, HostKeyVerified and Authenticated: the three doors in the order they are passed."""
    match health.answer:
        case None:
            words = _NOBODY if health.vain else ""
            return [(door, None, Reason.NOT_CHECKED, words) for door in ("Reachable", "HostKeyVerified", "Authenticated")]
        case Unavailable(reason, message) if reason in _SSH:
            passed = 0 if reason is Reason.CLUSTER_UNREACHABLE else (1 if reason in _HOST_KEY else 2)
        case _:
            passed, reason, message = 3, Reason.AVAILABLE, ""
    troubles = f"Not used: {'; '.join(health.troubles)}" if health.troubles else ""
    doors: list[Wanted] = []
    for number, door in enumerate(("Reachable", "HostKeyVerified", "Authenticated")):
        if number < passed:
            doors.append((door, True, Reason.AVAILABLE, "" if door == "Authenticated" else troubles))
        elif number == passed:
            doors.append((door, False, reason, message))
        else:
            doors.append((door, None, Reason.NOT_CHECKED, ""))
    return doors


def _slurm(health: Health) -> list[Wanted]:
    match health.answer:
        case ClusterFacts() as facts:
            old = _version(facts.slurm_version) < OLDEST_SLURM
            return [
                ("ControllerUp", True, Reason.AVAILABLE, ""),
                _accounting(facts, health.accounting),
                ("VersionSupported", False, Reason.VERSION_TOO_OLD, f"Slurm {facts.slurm_version}")
                if old
                else ("VersionSupported", True, Reason.AVAILABLE, f"Slurm {facts.slurm_version}"),
            ]
        case Unavailable(reason, message) if reason not in _SSH:
            first: Wanted = ("ControllerUp", False, reason, message)
        case _:
            first = ("ControllerUp", None, Reason.NOT_CHECKED, "")
    return [
        first,
        ("AccountingAvailable", None, Reason.NOT_CHECKED, ""),
        ("VersionSupported", None, Reason.NOT_CHECKED, ""),
    ]


def _accounting(facts: ClusterFacts, trouble: Unavailable | None) -> Wanted:
    if not facts.accounting:
        return ("AccountingAvailable", False, Reason.NO_ACCOUNTING, Reason.NO_ACCOUNTING.sentence)
    if trouble:
        return ("AccountingAvailable", False, trouble.reason, trouble.message)
    return ("AccountingAvailable", True, Reason.AVAILABLE, "")


def _version(text: str) -> tuple[int, ...]:
    """`22.05.8` as (22, 5, 8); what is no number counts as new enough."""
    return tuple(int(part) if re.fullmatch("[0-9]{1,4}", part) else 99 for part in text.split(".")[:3])
