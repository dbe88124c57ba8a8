"""What log and metrics tell of the submissions of one cluster."""

import logging

from slurmgate.core.conditions import phase
from slurmgate.core.decision import Decision
from slurmgate.core.record import Record
from slurmgate.resources.submission import JobSubmissionStatus
from slurmgate.telemetry.logs import bind
from slurmgate.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


class Chronicle:
    """Is told of each record that comes, changes or goes."""

    def __init__(self, cluster: str, metrics: Metrics) -> None:
        self._cluster = cluster
        self._metrics = metrics

    def changed(self, before: Record | None, decision: Decision, *, shown: JobSubmissionStatus | None) -> None:
        """A record came or changed; `shown` is the status that people have seen so far."""
        record = decision.record
        self._count(before, record)
        if phase(record).ended and not (shown and shown.phase and shown.phase.ended):
            self._metrics.submissions_ended.labels(self._cluster, phase(record).value).inc()
        if before is None or record.standing != before.standing:
            self._say(record, alarming=any(event.type == "Warning" for event in decision.events))

    def gone(self, record: Record) -> None:
        """A record is not held any more."""
        self._count(record, None)

    def left_behind(self) -> None:
        """A job may run on although its submission was let go."""
        self._metrics.jobs_left_behind.labels(self._cluster).inc()

    def submitted_within(self, seconds: float) -> None:
        """Slurm has taken a job."""
        self._metrics.submit_seconds.labels(self._cluster).observe(seconds)

    def _count(self, before: Record | None, after: Record | None) -> None:
        """Keep the number of submissions in each phase in step."""
        was, now = (phase(record) if record else None for record in (before, after))
        if was and not was.ended:
            self._metrics.submissions.labels(self._cluster, was.value).dec()
        if now and not now.ended:
            self._metrics.submissions.labels(self._cluster, now.value).inc()

    def _say(self, record: Record, *, alarming: bool) -> None:
        with bind(submission=f"{record.namespace}/{record.name}", cluster=self._cluster, token=record.token):
            _log.log(logging.WARNING if alarming else logging.INFO, "%s: %s", record.standing.reason, record.standing.message)
