"""Tells Kubernetes what became of submissions."""

import logging
from collections.abc import Sequence
from typing import assert_never

from slurmgate.core.decision import Event
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.ports import Undelivered
from slurmgate.kube.addresses import Target
from slurmgate.kube.errors import ApiError
from slurmgate.kube.events import EventRecorder
from slurmgate.kube.finalizers import add_finalizer, remove_finalizer
from slurmgate.kube.patch import Conflict, Gone, Written
from slurmgate.kube.session import ApiSession
from slurmgate.kube.writer import StatusWriter, Superseded, Unconfirmed
from slurmgate.resources.base import FINALIZER, Condition
from slurmgate.resources.cluster import SlurmCluster, SlurmClusterStatus
from slurmgate.resources.submission import JobSubmission, Metadata

CONFIRM_SECONDS = 60.0

_log = logging.getLogger(__name__)


class KubernetesOutbox:
    """The engine's Outbox over the API server."""

    def __init__(self, api: ApiSession, writer: StatusWriter, recorder: EventRecorder) -> None:
        self._api = api
        self._writer = writer
        self._recorder = recorder

    def publish(self, record: Record, events: Sequence[Event]) -> None:
        """Show the record's status and post the events, soon; the latest status wins."""
        target = _target(record)
        self._writer.put(target, record.status.wire())
        for event in events:
            self._recorder.post(target, type=event.type, reason=event.reason, message=event.message)

    def publish_cluster(self, cluster: SlurmCluster, *, before: SlurmClusterStatus, after: SlurmClusterStatus) -> None:
        """Show the cluster's status, and post an event for each condition that turned bad or good again."""
        target = Target.of(cluster)
        self._writer.put(target, after.wire())
        known = {condition.type: condition for condition in before.conditions}
        for condition in after.conditions:
            old = known.get(condition.type)
            if condition.type == "Ready" or condition.reason == Reason.NOT_CHECKED or condition.reason == _reason(old):
                continue
            if condition.status != "True" or (old and old.status == "False"):
                _log.log(
                    logging.INFO if condition.status == "True" else logging.WARNING,
                    "%s: %s: %s",
                    condition.type,
                    condition.reason,
                    condition.message,
                    extra={"cluster": cluster.metadata.name},
                )
                self._recorder.post(
                    target,
                    type="Normal" if condition.status == "True" else "Warning",
                    reason=condition.reason,
                    message=f"{condition.type}: {condition.message}",
                )

    def refuse_cluster(self, metadata: Metadata, problem: str) -> None:
        """Post an event on the SlurmCluster, and log it."""
        _log.error("SlurmCluster %s cannot be used as it is: %s", metadata.name, problem, extra={"cluster": metadata.name})
        target = Target(SlurmCluster.KIND, None, metadata.name, metadata.uid)
        self._recorder.post(target, type="Warning", reason=Reason.UNREADABLE, message=problem)

    async def fix(self, record: Record) -> bool:
        """Put the finalizer on the object and write the record's status, and wait until both are accepted."""
        target = _target(record)
        others = [name for name in record.finalizers if name != FINALIZER]
        try:
            added = await add_finalizer(self._api, target, FINALIZER, finalizers=others)
        except ApiError as error:
            raise Undelivered(str(error)) from None
        return isinstance(added, Written) and await self._confirm(record)

    async def let_go(self, record: Record) -> None:
        """Write the record's last status if the object is still there, then take the finalizer off."""
        try:
            if not await self._confirm(record):
                return
        except Undelivered:
            if not record.wishes.deleted:
                raise
            _log.warning("The last status could not be written; the object is deleted all the same", exc_info=True)
        try:
            await remove_finalizer(self._api, _target(record), FINALIZER, finalizers=record.finalizers)
        except ApiError as error:
            raise Undelivered(str(error)) from None

    def forget(self, token: str) -> None:
        """The object is gone: nothing more is to be written about it."""
        self._writer.forget(token)

    async def _confirm(self, record: Record) -> bool:
        """Whether the object, with this status, is still there."""
        confirmation = await self._writer.confirm(_target(record), record.status.wire(), deadline=CONFIRM_SECONDS)
        match confirmation:
            case Written():
                return True
            case Gone():
                return False
            case Unconfirmed(message):
                raise Undelivered(message)
            case Superseded() | Conflict():
                raise Undelivered("another status was written in between")
            case _:
                assert_never(confirmation)


def _target(record: Record) -> Target:
    return Target(JobSubmission.KIND, record.namespace, record.name, record.token)


def _reason(condition: Condition | None) -> str | None:
    return condition.reason if condition else None
