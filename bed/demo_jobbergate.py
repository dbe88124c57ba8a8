"""`make demo-jobbergate`: what people do in a real Jobbergate, on a real cluster, and how it ends on both sides."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bed import valhalla
from bed.demonstration import shown
from bed.errors import BedError
from bed.jobbergate.person import Person, Submission
from bed.life import Bed
from bed.report import say

BED = "demo-jobbergate"
PATIENCE_SECONDS = 180.0
LABEL = "slurmgate.dev/jobbergate-submission"
LONG = "#!/bin/bash\nsleep 600\n"
READING = '#!/bin/bash\necho "Hello from $(hostname), I am $(id -un)"\ncat poem.txt\n'
POEM = b"A submission from Jobbergate,\na job in Slurm.\n"

Json = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """How one has to end: the row in Jobbergate, and the JobSubmission."""

    status: str
    state: str | None = None
    phase: str = ""


DELETED = Expected("")
"""Neither is there any more."""

EXPECTED = {
    "reads": Expected("DONE", "COMPLETED", "Done"),
    "again": Expected("DONE", "COMPLETED", "Done"),
    "fails": Expected("ABORTED", "FAILED", "Aborted"),
    "cancelled": Expected("ABORTED", "CANCELLED", "Cancelled"),
    "deleted": DELETED,
    "by hand": Expected("DONE", "COMPLETED", "Done"),
    "stranger": Expected("REJECTED", None, "Rejected"),
}


@dataclass
class Play:
    """Three people, and what they have submitted so far."""

    bed: Bed
    screen: Console
    numbers: dict[str, int] = field(default_factory=dict)
    """In Jobbergate, by name."""
    seen: dict[str, Submission | None] = field(default_factory=dict)
    """As they were at the last look; None: deleted."""

    def __post_init__(self) -> None:
        self.kirby, self.mario, self.stranger = (self._person(name) for name in ("kirby", "mario", "stranger"))

    def begin(self) -> None:
        """Everything that can be done before anything has happened."""
        script = self.kirby.script(READING, name="reads.sh")
        self.kirby.upload(script, "poem.txt", POEM)
        self._tell(self.kirby, f"makes job script {script}, reads.sh with poem.txt, and submits it with --time=5")
        self._add("reads", self.kirby.submit(script, "--time=5", name="reads", directory=None))
        self._tell(self.mario, "submits one that fails, and two that take long")
        self._add("fails", self.mario.submit(self.mario.script("#!/bin/bash\nexit 3\n"), name="fails", directory=None))
        for name in ("cancelled", "deleted"):
            self._add(name, self.mario.submit(self.mario.script(LONG), name=name, directory=None))
        by_hand = ["sbatch", "--parsable", "--chdir=/home/kirby", "--wrap=sleep 5"]
        job = self.bed.slurm.inside(by_hand, user="kirby").stdout.strip()
        self._tell(self.kirby, f"has run sbatch on the cluster by hand, and tells Jobbergate of job {job}")
        self._add("by hand", self.kirby.submit(self.kirby.script(), name="by hand", slurm_job_id=int(job)))
        self._tell(self.stranger, "submits something, and is nobody on the cluster")
        self._add("stranger", self.stranger.submit(self.stranger.script(), name="stranger", directory=None))

    def go_on(self) -> None:
        """What can be done now, once each."""
        if self._is("cancelled", "SUBMITTED", "RUNNING"):
            self._tell(self.mario, f"cancels {self.numbers['cancelled']}")
            self.mario.cancel(self.numbers["cancelled"])
        if self._is("deleted", "SUBMITTED", "RUNNING"):
            self._tell(self.mario, f"deletes {self.numbers['deleted']}, whose job runs")
            self.mario.delete(self.numbers["deleted"])
        if self._is("reads", "DONE", "COMPLETED") and "again" not in self.numbers:
            self._tell(self.kirby, f"clones {self.numbers['reads']}")
            self._add("again", self.kirby.clone(self.numbers["reads"]))

    def look(self) -> None:
        """See how the rows are now."""
        self.seen = {name: self.kirby.submission(number) for name, number in self.numbers.items()}

    def table(self, submissions: dict[int, Json]) -> Table:
        """Jobbergate on the left, Kubernetes on the right."""
        table = Table("ID", "NAME", "STATUS", "JOB", "STATE", "JOBSUBMISSION", "PHASE", box=None, pad_edge=False)
        for name, number in self.numbers.items():
            row, submission = self.seen[name], submissions.get(number, {})
            cells = [row.status, str(row.slurm_job_id or ""), row.slurm_job_state or ""] if row else ["(deleted)", "", ""]
            table.add_row(str(number), name, *cells, submission.get("metadata", {}).get("name", ""), _phase(submission))
        return table

    def wrong(self, submissions: dict[int, Json]) -> list[str]:
        """What is not (yet) as it should be."""
        found = {name: _difference(self, name, expected, submissions) for name, expected in EXPECTED.items()}
        return [f"{name}: {problem}" for name, problem in found.items() if problem]

    def _is(self, name: str, status: str, state: str) -> bool:
        row = self.seen.get(name)
        return bool(row and (row.status, row.slurm_job_state) == (status, state))

    def _add(self, name: str, row: Submission) -> None:
        self.numbers[name] = row.id

    def _tell(self, who: Person, what: str) -> None:
        self.screen.print(f"{who.email.partition('@')[0]} {what}", highlight=False)

    def _person(self, name: str) -> Person:
        return Person(self.bed.jobbergate, f"{name}@{valhalla.MAIL_DOMAIN}")


def main() -> int:
    """Show it; 0 if everything ended as it should."""
    return shown(BED, _values, _play, jobbergate=True)


def _values(bed: Bed) -> Json:
    valhalla.prepare(bed)
    return valhalla.jobbergate_values(bed)


def _play(bed: Bed) -> list[str]:
    """Do what people do, and watch it to the ends. Returns what went wrong."""
    _remove_submissions(bed)
    console = Console()
    play = Play(bed, console)
    play.begin()
    deadline = time.monotonic() + PATIENCE_SECONDS
    with Live(console=console, refresh_per_second=4, transient=False) as screen:
        while True:
            play.look()
            submissions = _submissions(bed)
            screen.update(play.table(submissions))
            wrong = play.wrong(submissions)
            if not wrong or time.monotonic() > deadline:
                break
            play.go_on()
            time.sleep(0.5)
    if not wrong:
        path = submissions[play.numbers["reads"]]["status"]["slurm"]["stdoutPath"]
        say(f"\n{path} of `reads` says:\n{bed.slurm.inside(['cat', path]).stdout}")
        for name in ("fails", "stranger"):
            row = play.seen[name]
            say(f"Jobbergate says of `{name}`: {row.report_message if row else ''}")
        _remove_submissions(bed)
    return wrong


def _submissions(bed: Bed) -> dict[int, Json]:
    """The JobSubmissions by their numbers in Jobbergate."""
    listing = bed.kubectl("get", "jobsubmissions", f"--namespace={valhalla.RESEARCH}", f"--selector={LABEL}", "--output=yaml")
    if listing.returncode:
        raise BedError(f"kubectl get jobsubmissions: {listing.stderr.strip()}")
    return {int(item["metadata"]["labels"][LABEL]): item for item in yaml.safe_load(listing.stdout)["items"]}


def _remove_submissions(bed: Bed) -> None:
    """In a cluster of somebody's own (BED_KUBECONFIG) they stood in the way of the next Jobbergate, which counts from one."""
    bed.kubectl("delete", "jobsubmissions", f"--namespace={valhalla.RESEARCH}", f"--selector={LABEL}")


def _difference(play: Play, name: str, expected: Expected, submissions: dict[int, Json]) -> str | None:
    if name not in play.numbers:
        return "not submitted yet"
    row, submission = play.seen.get(name), submissions.get(play.numbers[name], {})
    seen = Expected(row.status, row.slurm_job_state, _phase(submission)) if row else Expected("", None, _phase(submission))
    return None if seen == expected else f"expected {expected}, found {seen}"


def _phase(submission: Json) -> str:
    return str((submission.get("status") or {}).get("phase") or "")


if __name__ == "__main__":
    sys.exit(main())
