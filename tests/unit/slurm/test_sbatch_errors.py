"""What sbatch may say, and what becomes of the submission: every message that slurmctld may answer a submission with.

Messages: src/common/slurm_errno.c and src/sbatch/sbatch.c of 22.05 to 26.05. sbatch itself is played here, the rest is ours.
"""

import pytest

from slurmgate.core.outcomes import NotNow, Refused, SubmitOutcome, Uncertain
from slurmgate.core.reasons import Reason
from tests.unit.slurm.support import LoginNode

FAILED = "sbatch: error: Batch job submission failed: "

REJECTED = [
    # the person's mistakes
    "Invalid partition name specified",
    "No partition specified or system default partition",
    "Requested nodes not in this partition",
    "More processors requested than permitted",
    "Node count specification invalid",
    "Job size specification needs to be provided",
    "Pathname of a file, directory or other parameter too long",
    "Requested node configuration is not available",
    "Requested partition configuration not available now",
    "Invalid node name specified",
    "Task distribution specification invalid",
    "Task count specification invalid",
    "Invalid feature specification",
    "Requested operation not supported on this system",
    "Requested operation is presently disabled",
    "Job dependency problem",
    "Circular job dependency",
    "Memory required by task is not available",
    "Invalid qos specification",
    "Invalid wckey specification",
    "Invalid license specification",
    "Requested time limit is invalid (missing or exceeds some limit)",
    "Requested reservation is invalid",
    "Invalid time specified",
    "CPU count specification invalid",
    "Invalid generic resource (gres) specification",
    "Duplicate generic resource (gres) specification",
    "Invalid job array specification",
    "Burst Buffer request invalid",
    "Invalid mcs_label specified",
    "Job --batch option is invalid or not a subset of --constraint",
    "Invalid Trackable RESource (TRES) specification",
    "Invalid GRES specification (with and without type identification)",
    "Requested GRES option unsupported by configured SelectType plugin",
    "Invalid --nice value",
    "Invalid time-min specification (exceeds job's time or other limits)",
    "Cannot request more threads per core than the job allocation",
    "Invalid preferred feature specification",
    "Requested topology configuration is not available",
    "RestrictedCoresPerGPU: No GPUs configured on node",
    # policy
    "Access/permission denied",
    "User's group not permitted to use this partition",
    "Invalid account or account/partition combination specified",
    "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    "Access denied to requested reservation",
    "Requested account has breached requested QOS usage threshold",
    "Burst Buffer permission denied",
    "Burst Buffer resource limit exceeded",
    "Multiple partition job request not supported when a partition is set in the association",
    "Invalid or unknown association",
]
WAITS = {
    Reason.QUEUED_LIMIT: [
        "MaxJobCount limit reached",
        "Rate limit exceeded, please retry momentarily",
        "Required ports are in use",
        "Requires more ports than can be reserved",
        "Slurm temporarily unable to accept job: job queue full",
    ],
    Reason.CONTROLLER_UNAVAILABLE: [
        "Unable to contact slurm controller (connect failure)",
        "Communication connection failure",
        "Slurm backup controller in standby mode",
        "Controller is in standby mode, try a different controller",
        "Unable to takeover, heartbeat file is missing",
        "System submissions disabled",
        "Protocol authentication error",
        "Invalid authentication credential",
        "Authentication credential expired",
        "Incompatible versions of client and server code",
        "Process is shutting down and closing all communications",
        "Connection rejected by handler",
        "I/O error writing script/environment to file",
        "Error generating job credential",
        "Slurm internal error, contact system administrator",
        "Invalid user id",
        "Unable to resolve user ID to user name",
    ],
    Reason.COMMAND_FAILED: [
        "Required partition not available (inactive or drain)",
    ],
}
LOOKED_UP = [
    "Socket timed out on send/recv operation",
    "Zero Bytes were transmitted or received",
    "Unable to contact slurm controller (send failure)",
    "Unable to contact slurm controller (receive failure)",
    "Unable to contact slurm controller (shutdown failure)",
    "Message receive failure",
    "Unexpected message received",
    "Unexpected missing socket error",
    "Insane message length",
    "Header lengths are longer than data received",
    "Unspecified error",
    "Connection timed out writing",
    "Connection forced closed by quiesce timeout",
    "Read would block",
    "Cannot unpack credential",
]
LIMITS = [
    "sbatch: error: QOSMaxSubmitJobPerUserLimit",
    "sbatch: error: AssocMaxSubmitJobLimit",
    "sbatch: error: AssocGrpSubmitJobsLimit",
    "sbatch: error: QOSGrpSubmitJobsLimit",
]
POLICY = FAILED + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
POLICIES = ["sbatch: error: QOSMaxWallDurationPerJobLimit", "sbatch: error: AssocMaxCpuPerJobLimit"]


async def said(login: LoginNode, words: str) -> SubmitOutcome:
    """What becomes of it if sbatch fails with these words."""
    login.says("sbatch", stderr=words + "\n", status=1)
    return await login.submit()


@pytest.mark.parametrize("message", REJECTED)
async def test_it_is_rejected_in_slurms_words(login: LoginNode, message: str) -> None:
    outcome = await said(login, FAILED + message)
    assert outcome == Refused(Reason.SUBMIT_REJECTED, f"Batch job submission failed: {message}")


@pytest.mark.parametrize(("reason", "message"), [(reason, each) for reason, messages in WAITS.items() for each in messages])
async def test_it_waits(login: LoginNode, reason: Reason, message: str) -> None:
    outcome = await said(login, FAILED + message)
    assert isinstance(outcome, NotNow)
    assert (outcome.reason, outcome.message) == (reason, f"Batch job submission failed: {message}")


@pytest.mark.parametrize("message", LOOKED_UP)
async def test_it_is_looked_up(login: LoginNode, message: str) -> None:
    outcome = await said(login, FAILED + message)
    assert isinstance(outcome, Uncertain)
    assert message in outcome.message


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_limit_of_what_may_be_queued_waits(login: LoginNode, limit: str) -> None:
    outcome = await said(login, f"{limit}\n{POLICY}")
    assert isinstance(outcome, NotNow)
    assert outcome.reason is Reason.QUEUED_LIMIT


@pytest.mark.parametrize("limit", POLICIES)
async def test_a_limit_that_no_waiting_helps_against_is_policy(login: LoginNode, limit: str) -> None:
    outcome = await said(login, f"{limit}\n{POLICY}")
    assert isinstance(outcome, Refused)
