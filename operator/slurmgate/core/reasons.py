"""Every reason that a condition can carry, each with the sentence that explains it.

Reasons are an interface: alerts and scripts match on them, so a word once published keeps its meaning. The sentences go
into docs/reference/conditions.md (`make generate`).
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A stable CamelCase word and, as `sentence`, what it means."""

    sentence: str

    def __new__(cls, word: str, sentence: str = "") -> Self:
        """A member whose value is the word and which carries the sentence beside it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member

    # On the way to Slurm
    PREPARING = "Preparing", "The submission is being checked and prepared."
    ACCEPTED = "Accepted", "The submission is valid and its owner is a known user of the cluster."
    SUBMITTING = "Submitting", "The files are being placed on the cluster and sbatch is being run."
    ADOPTING = "Adopting", "The job that the annotation slurmgate.dev/adopt names is being looked for."
    SUBMITTED = "Submitted", "Slurm has the job."
    SUBMISSION_UNKNOWN = (
        "SubmissionUnknown",
        "sbatch may or may not have taken the job; it is looked up by its token before anything else is tried.",
    )
    # Refused
    INVALID_SPEC = "InvalidSpec", "A field of spec does not make sense; the message names it."
    OWNER_NOT_ALLOWED = "OwnerNotAllowed", "The namespace's annotation slurmgate.dev/owners does not list this owner."
    USER_NOT_MAPPED = (
        "UserNotMapped",
        "The user mapping of the cluster, or the directory or plugin in its place, has no usable entry for this owner.",
    )
    ACCESS_DENIED = "AccessDenied", "The SlurmCluster's spec.access does not let it in; the message names the rule."
    WRONG_LOGIN = "WrongLogin", "The log-in as the mapped user is somebody else's on the cluster, or a system account's."
    OPTION_NOT_ALLOWED = "OptionNotAllowed", "An sbatch option is refused by Slurmgate or by the cluster's policy."
    HOOK_REFUSED = "HookRefused", "A hook of this installation refuses the submission; the message has its words."
    SCRIPT_INVALID = "ScriptInvalid", "The script is empty, too long, or has a NUL byte or DOS line ends Slurm refuses."
    DIRECTORY_NOT_WRITABLE = "DirectoryNotWritable", "The execution directory cannot be made or written to by the user."
    NOT_FROM_JOBBERGATE = (
        "NotFromJobbergate",
        "spec.jobbergate.submissionId names a submission that Jobbergate has not, or not like this.",
    )
    SUBMIT_REJECTED = "SubmitRejected", "sbatch refused the job; the message has its words."
    # Waiting for something outside Slurm
    CLUSTER_NOT_FOUND = "ClusterNotFound", "There is no SlurmCluster of this name (yet)."
    REFERENCE_NOT_FOUND = "ReferenceNotFound", "A ConfigMap, Secret or key that spec names is not there (yet)."
    REFERENCE_UNREADABLE = (
        "ReferenceUnreadable",
        "Kubernetes could not be asked for something that spec needs; it is tried again.",
    )
    REFERENCE_NOT_ALLOWED = "ReferenceNotAllowed", "A ConfigMap or Secret that spec names may not be used here."
    MAPPING_NOT_LOADED = "MappingNotLoaded", "The cluster's user mapping could not be read (yet)."
    HOOK_WAITING = "HookWaiting", "A hook of this installation holds the submission back; the message has its words."
    PLUGIN_UNAVAILABLE = "PluginUnavailable", "A plugin failed or did not answer; the message names it. It is asked again."
    DIRECTORY_UNAVAILABLE = (
        "DirectoryUnavailable",
        "The LDAP directory that knows who is who failed or did not answer; the message has its words. It is asked again.",
    )
    KEY_UNAVAILABLE = "KeyUnavailable", "The user's private key could not be read."
    CLUSTER_UNREACHABLE = "ClusterUnreachable", "No login node could be reached over SSH; it is tried again."
    HOST_KEY_MISMATCH = "HostKeyMismatch", "The login node's host key is not one that the SlurmCluster lists."
    AUTHENTICATION_FAILED = "AuthenticationFailed", "The login node refused the user's key."
    LOGIN_SHELL_FAILED = (
        "LoginShellFailed",
        "The user's log-in did not come to the end of our command: look at the start files (.bashrc) and at the home.",
    )
    CONTROLLER_UNAVAILABLE = "ControllerUnavailable", "slurmctld did not answer; nothing is concluded from that."
    ACCOUNTING_UNAVAILABLE = "AccountingUnavailable", "slurmdbd did not answer; nothing is concluded from that."
    COMMAND_FAILED = "CommandFailed", "A command on the login node failed; the message has its words."
    JOBBERGATE_UNAVAILABLE = (
        "JobbergateUnavailable",
        "Jobbergate or the issuer of its tokens did not answer; tried again.",
    )
    JOBBERGATE_REFUSED = (
        "JobbergateRefused",
        "Jobbergate does not let us do this; the message has its words.",
    )
    JOBBERGATE_DISAGREES = (
        "JobbergateDisagrees",
        "Jobbergate has something else on record, which is not overwritten; the message says what.",
    )
    # In the queue
    QUEUED = "Queued", "The job waits in Slurm's queue."
    QUEUED_PRIORITY = "QueuedPriority", "Jobs of higher priority go first."
    QUEUED_RESOURCES = "QueuedResources", "The job waits for free nodes, CPUs, memory or GPUs."
    QUEUED_LIMIT = "QueuedLimit", "A limit of the account, QOS or partition holds the job back."
    HELD = "Held", "The job is held and does not start until it is released."
    DEPENDENCY = "Dependency", "The job waits for another job."
    REQUEUED = "Requeued", "Slurm put the job back into the queue and will run it again."
    RUNNING = "Running", "The job runs."
    SUSPENDED = "Suspended", "The job was suspended on its nodes."
    COMPLETING = "Completing", "The job is over and Slurm is cleaning up."
    CANCELLING = "Cancelling", "Slurm has been asked to cancel the job."
    LOST = (
        "Lost",
        "Queue and accounting answer, and for long the job has neither been in the queue nor had an end. It is looked for on.",
    )
    # At the end
    COMPLETED = "Completed", "The job completed with exit code 0."
    JOB_FAILED = "JobFailed", "The job ended with a non-zero exit code or by a signal."
    TIME_LIMIT = "TimeLimit", "The job reached its time limit."
    OUT_OF_MEMORY = "OutOfMemory", "The job used more memory than it had."
    NODE_FAIL = "NodeFail", "A node of the job failed and Slurm will not run it again."
    PREEMPTED = "Preempted", "The job was preempted and Slurm will not run it again."
    DEADLINE = "Deadline", "The job could not end before its deadline."
    LAUNCH_FAILED = "LaunchFailed", "Slurm could not start the job."
    REVOKED = "Revoked", "The job was revoked: another cluster of the federation runs it."
    CANCELLED = "Cancelled", "The job was cancelled."
    SYNCED = "Synced", "Jobbergate has heard how it stands."
    # Of a SlurmCluster
    AVAILABLE = "Available", "Everything answers."
    NOT_CHECKED = "NotChecked", "Not asked yet."
    UNREADABLE = "Unreadable", "An object that the SlurmCluster names could not be read."
    PROBLEMS_FOUND = (
        "ProblemsFound",
        "Some entries of the user mapping are not usable, or directory or plugin failed for some people; the others are.",
    )
    SINGLE_USER = (
        "SingleUser",
        "Everything answers, and everybody's jobs run as one and the same user (spec.identity.singleUser).",
    )
    VERSION_TOO_OLD = "VersionTooOld", "This version of Slurm is older than 22.05."
    NO_ACCOUNTING = "NoAccounting", "The cluster keeps no accounting."
    STRAY_JOBS = "StrayJobs", "Slurm has jobs of ours whose JobSubmission is gone; spec.strayJobs says what becomes of them."
