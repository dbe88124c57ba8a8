"""A small model of Jobbergate's API: what it does with a submission when it is told of it.

Source: jobbergate-api 5.8.0, apps/job_submissions/routers.py and constants.py; written without looking at ours.
"""

from typing import Final

from slurmgate.core.reporting import OnRecord, Report, Status, TellRejected, TellState, TellSubmitted

ACCEPTED, WRONG_STATUS, OTHER_JOB, INVALID = 202, 400, 409, 422

ABORT_STATES: Final = frozenset(
    {"BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "PREEMPTED", "SPECIAL_EXIT", "TIMEOUT", "UNKNOWN"}
)
OTHER_STATES: Final = frozenset(
    {"CONFIGURING", "COMPLETING", "OUT_OF_MEMORY", "PENDING", "RUNNING", "RESV_DEL_HOLD", "REQUEUE_FED", "REQUEUE_HOLD"}
    | {"REQUEUED", "RESIZING", "REVOKED", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}
)
STATES: Final = ABORT_STATES | OTHER_STATES | {"COMPLETED"}
STATUSES: Final = ("CREATED", "SUBMITTED", "REJECTED", "DONE", "ABORTED", "CANCELLED")


class Api:
    """One submission in Jobbergate. `cancels`: the API is 5.8 or later, and has CANCELLED and rows without a job."""

    def __init__(self, *, cancels: bool = True, status: str = "CREATED", job_id: int | None = None) -> None:
        self.cancels = cancels
        self.status = status
        self.job_id = job_id
        self.state: str | None = None
        self.message: str | None = None
        self.progress: list[str] = []

    @property
    def row(self) -> OnRecord:
        return OnRecord(Status(self.status), self.job_id, self.state)

    # What people do

    def cancel(self) -> None:
        """PUT /job-submissions/cancel/{id}; refused for what has ended."""
        if self.cancels and self.status in {"CREATED", "SUBMITTED"}:
            self.status = "CANCELLED"

    def lose_its_script(self) -> None:
        """DELETE /job-scripts/{id}."""
        if self.status == "CREATED":
            self.status = "REJECTED"

    def force(self, status: str) -> None:
        """PUT /job-submissions/{id} with a status."""
        self.status = status

    # What we tell

    def take(self, report: Report) -> int:
        match report:
            case TellSubmitted():
                return self._submitted(report)
            case TellRejected():
                return self._rejected(report)
            case TellState():
                return self._update(report)

    def _submitted(self, report: TellSubmitted) -> int:
        if report.state not in STATES or report.job_id < 0:
            return INVALID
        if self.status not in {"CREATED", "CANCELLED"}:
            return WRONG_STATUS
        self.status = "CANCELLED" if self.status == "CANCELLED" else "SUBMITTED"
        self.job_id, self.state, self.message = report.job_id, report.state, report.reason
        self.progress.append(report.state)
        return ACCEPTED

    def _rejected(self, report: TellRejected) -> int:
        if self.status != "CREATED":
            return WRONG_STATUS
        self.status, self.message = "REJECTED", report.message
        self.progress.append("REJECTED")
        return ACCEPTED

    def _update(self, report: TellState) -> int:
        if report.state not in STATES or (report.job_id is None and not self.cancels):
            return INVALID
        if self.status not in {"SUBMITTED", "CANCELLED"}:
            return WRONG_STATUS
        if self.job_id != report.job_id:
            return OTHER_JOB
        if self.state != report.state:
            self.progress.append(report.state)
        self.state = report.state
        if report.state in ABORT_STATES:
            self.status, self.message = "ABORTED", report.reason
        elif report.state == "COMPLETED":
            self.status = "DONE"
        return ACCEPTED
