"""What the words of sbatch, the shell and Slurm's other commands mean for a submission: change something, or wait.

Whether slurmctld may have the job nevertheless is decided where sbatch ran (remote/submit.sh), by `UNCERTAIN`; all else here is
about things that certainly were not done. Sources: src/common/slurm_errno.c of 22.05 to 26.05, and what a real Slurm said in
tests.
"""

import re
from typing import Final

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason

MOST_WORDS = 2000

_UNANSWERED = (
    "timed out|Zero Bytes|(send|receive|shutdown) failure|Unexpected (missing socket|message)|Insane message|Header lengths|"
    "unpack|Connection (reset|forced)|would block"
)
UNCERTAIN = f"{_UNANSWERED}|Unspecified error"
"""Words of sbatch after which slurmctld may have the job all the same, in any case of letters: for `grep -E`, too.

The unspecified error is not waited for: it is also what sbatch says when a job_submit plugin refuses.
"""

_LATER = (
    (
        Reason.QUEUED_LIMIT,
        re.compile(
            r"Max(Submit|JobCount)|GrpSubmit|(Max|Grp)[A-Z]{1,30}Submit[A-Z]{1,30}Limit|"
            r"job queue full|Rate limit exceeded|Requires more ports|Required ports are in use",
            re.IGNORECASE,
        ),
    ),
    (
        Reason.CONTROLLER_UNAVAILABLE,
        re.compile(
            r"Unable to contact slurm controller|Connection refused|connection failure|standby mode|"
            r"Unable to takeover|Controller is in|temporarily unable|Resource temporarily unavailable|"
            r"System submissions disabled|I/O error writing|Could not establish a configuration|fetch_config|"
            rf"authentication (error|credential)|munge|{_UNANSWERED}|Connection rejected|"
            r"shutting down|Incompatible versions|try again later|contact system administrator|"
            r"Error generating job credential|Invalid user id|resolve user ID|Unable to connect to database",
            re.IGNORECASE,
        ),
    ),
    (
        Reason.COMMAND_FAILED,
        re.compile(
            r"No space left|quota|Read-only file system|the home is not there|was there a moment ago|Stale file handle|"
            r"Input/output error|Cannot allocate memory|fork: |"
            r"did not arrive whole|unexpected end|Unexpected EOF|partition not available|"
            r"Transport endpoint|not responding|No such device|Host is down|Network is unreachable|No route to host|"
            r"key has (expired|been revoked)|Required key not available|Interrupted system call|Too many open files|"
            r"No locks available|Device or resource busy|\bexec: |"
            r"sbatch: (not found|No such file|cannot execute|Permission denied)",
            re.IGNORECASE,
        ),
    ),
)


def nobody_there(words: str) -> bool:
    """Whether slurmctld itself did not answer, whoever asks."""
    return "Unable to contact slurm controller" in words


def later(words: str) -> Reason | None:
    """Why to try again later; None if trying again would say the same."""
    return next((reason for reason, pattern in _LATER if pattern.search(words)), None)


def refusal(words: str, *, reason: Reason) -> Refused | NotNow:
    """The verdict on something that was not done, with `reason` if waiting would not help."""
    text, waiting = shortened(words), later(words)
    return Refused(reason, text) if waiting is None else NotNow(waiting, text)


CUT: Final = "... "
"""Where the beginning of somebody's words is missing."""


def shortened(words: str) -> str:
    """Words for a status message: without what Slurm puts before each line, the end if it is too long."""
    text = "\n".join(re.sub(r"^sbatch: (error: )?", "", line) for line in words.strip().splitlines())
    return text if len(text) <= MOST_WORDS else CUT + text[-MOST_WORDS:]
