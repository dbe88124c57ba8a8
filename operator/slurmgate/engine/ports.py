"""What the engine asks of the world around it, as it wants it. Implemented in `outbox` and `inputs`; tests bring their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from slurmgate.core.decision import Decision, Event
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage
from slurmgate.resources.cluster import SlurmCluster, SlurmClusterStatus
from slurmgate.resources.submission import Metadata

Change = Callable[[str, Stage, Callable[[Record], Decision]], bool]
"""Gives what came of something to the record with this token, if it is at this stage still; False if it is not."""


class ReferenceProblem(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """An object that somebody named cannot be read (yet); the text says which, where it is named and what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Existing:
    """A JobSubmission in the API, whoever works on it."""

    uid: str
    over: bool
    """It has ended, and nothing is done for it any more."""


class References(Protocol):
    """Reads what resources name. Nothing is cached. Everything raises ReferenceProblem."""

    async def of_submission(self, kind: str, namespace: str, name: str, key: str, *, where: str) -> bytes:
        """A key of a ConfigMap or Secret that a submission names; a Secret only with the label slurmgate.dev/use."""

    async def of_operator(self, kind: str, name: str, key: str) -> bytes:
        """A key of a ConfigMap or Secret in the operator's own namespace."""

    async def namespace_annotation(self, namespace: str, annotation: str) -> str | None:
        """An annotation of a namespace, None where it has none."""

    async def installation(self) -> str:
        """Which Kubernetes cluster this is."""

    async def submission(self, namespace: str, name: str) -> Existing | None:
        """The JobSubmission of this name, None if there is none."""


class Undelivered(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """Kubernetes could not be told and nobody can say whether it knows; the text says why."""


class ClusterOutbox(Protocol):
    """Tells Kubernetes about clusters."""

    def publish_cluster(self, cluster: SlurmCluster, *, before: SlurmClusterStatus, after: SlurmClusterStatus) -> None:
        """Show the cluster's status, and post an event for each condition that changed its reason."""


class Outbox(Protocol):
    """Tells Kubernetes about submissions, and about clusters that are none."""

    def refuse_cluster(self, metadata: Metadata, problem: str) -> None:
        """Say on the SlurmCluster why it cannot be used as it is."""

    def publish(self, record: Record, events: Sequence[Event]) -> None:
        """Show the record's status and post the events, soon; the latest status wins."""

    async def fix(self, record: Record) -> bool:
        """Put the finalizer on the object and write the record's status, and wait until both are accepted.

        False: the object is gone, or is being deleted, so that no finalizer can be added any more. Raises Undelivered.
        """

    async def let_go(self, record: Record) -> None:
        """Write the record's last status if the object is still there, then take the finalizer off. Raises Undelivered."""

    def forget(self, token: str) -> None:
        """The object is gone: nothing more is to be written about it."""
