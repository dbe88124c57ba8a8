"""What people submit in Jobbergate meanwhile. What became of it is read from the API's own rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from subprocess import TimeoutExpired
from urllib.error import HTTPError
from uuid import uuid4

from typing_extensions import override

from bed import valhalla
from bed.errors import BedError
from bed.jobbergate.person import Person
from bed.life import Bed
from tests.faults.soak.evidence import Evidence
from tests.faults.soak.judge import ENDED, Run, Task, Told
from tests.faults.soak.kinds import ROWS, USERS, Kind, script_of
from tests.faults.soak.load import Errand, Load

_ENDED = {"DONE": "Done", "ABORTED": "Aborted", "REJECTED": "Rejected"}
_ON_SITE = 'mkdir -p "$1" && cd "$1" && exec sbatch --parsable "--comment=$2" --output=/dev/null'


@dataclass
class Rows(Load):
    """Everybody's submissions in Jobbergate; they run on one of the clusters."""

    bed: Bed = field(kw_only=True)
    kinds: Sequence[Kind] = ROWS
    marks: dict[str, set[str]] = field(default_factory=dict)
    """Of all JobSubmissions that there ever were of a row, by name; and of the job that somebody submitted on the cluster."""
    label: str = "rows"
    site: dict[str, int] = field(default_factory=dict)
    """Ids of the jobs that their owners have submitted, by name of the errand: once, however often Jobbergate is told."""
    scripts: dict[tuple[str, str], int] = field(default_factory=dict)
    """In Jobbergate, by their owner and what they do."""

    @override
    def start(self) -> None:
        for user in USERS:
            for lines in sorted({kind.lines for kind in self.kinds}):
                self._script(user, lines)
        super().start()

    @override
    def tasks(self, errand: Errand, evidence: Evidence) -> list[Task]:
        return [task for mark in self._marks_of(errand, evidence) for task in evidence.by_mark.get(mark, [])]

    @override
    def runs(self, errand: Errand, evidence: Evidence) -> list[Run]:
        marks = self._marks_of(errand, evidence)
        return [run for label, runs in evidence.runs.items() if label.rpartition("-")[2] in marks for run in runs]

    def _marks_of(self, errand: Errand, evidence: Evidence) -> set[str]:
        name = re.compile(rf"\b{errand.name}-([0-9a-f]{{8}})\b")
        return self.marks.get(errand.name, set()) | {*name.findall(evidence.text), *name.findall(" ".join(evidence.runs))}

    @override
    def _done(self, errand: Errand, step: str) -> bool:
        try:
            match step:
                case "make":
                    return self._make(errand)
                case "cancel":
                    errand.cancelled = True
                    self._person(errand.user).cancel(errand.number)
                case "delete":
                    errand.deleted = True
                    self._person(errand.user).delete(errand.number)
        except HTTPError as error:
            # it has ended, or is gone: an earlier try got through, or its job was quicker
            return error.code in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} and step != "make"
        except (BedError, TimeoutExpired):
            return False
        return True

    @override
    def _make(self, errand: Errand) -> bool:
        title = f"{self.seed}-{errand.name}"
        found = self.bed.jobbergate.sql(f"select id from job_submissions where name = '{title}'").split()
        if not found:  # or an earlier try got through
            job_id = self._on_site(errand) if errand.kind.on_site else None
            script = self._script(errand.user, errand.kind.lines)
            row = self._person(errand.user).submit(
                script, *errand.kind.arguments, name=title, directory=None, slurm_job_id=job_id
            )
            found = [str(row.id)]
        errand.number, errand.uid = int(found[0]), f"row {found[0]}"
        name = f"jg-{self.bed.jobbergate.description.client_id}-{errand.number}"
        self.marks[name] = self.marks.pop(errand.name, set())
        errand.name = name
        return True

    def _on_site(self, errand: Errand) -> int:
        """Submit it on the cluster, as its owner does without Jobbergate; its job id. Raises BedError."""
        if job_id := self.site.get(errand.name):
            return job_id
        token = str(uuid4())
        folder = f"/home/{errand.user}/site-{token[:8]}"
        script = script_of(errand.kind, seconds=errand.seconds)
        done = self.bed.slurm.inside(["sh", "-c", _ON_SITE, "sh", folder, token], user=errand.user, stdin=script)
        if done.returncode:
            raise BedError(done.stderr)
        self.marks[errand.name] = {token[:8]}  # what an earlier try may have left is nobody's
        self.site[errand.name] = int(done.stdout)
        return self.site[errand.name]

    @override
    def _look(self) -> None:
        try:
            text = self.bed.jobbergate.sql("select id, status, slurm_job_id, slurm_job_state from job_submissions")
            objects = self.objects()
        except (OSError, BedError):
            return
        rows = {int(line.split("|")[0]): line.split("|") for line in text.splitlines()}
        self.told.clear()
        for errand in self.errands:
            told = objects.get(errand.name)
            if told:
                self.marks.setdefault(errand.name, set()).add(told[0][:8])
            if row := rows.get(errand.number):
                self.told[errand.uid] = _told(*row[1:], reason=told[1].reason if told else "")
            elif told and errand.number:
                self.told[errand.uid] = told[1]
            if errand.cancelled and row and row[1] == "SUBMITTED" and not errand.steps:
                # The API itself forgets a cancel that it hears of in the instant in which it is told `submitted`.
                errand.steps = [(0.0, "cancel")]
        self.settle()

    @override
    def _is_settled(self, errand: Errand) -> bool:
        told = self.told.get(errand.uid)
        return super()._is_settled(errand) or (errand.deleted and told is not None and told.phase in ENDED)

    def _person(self, user: str) -> Person:
        return Person(self.bed.jobbergate, f"{user}@{valhalla.MAIL_DOMAIN}", timeout_seconds=10)

    def _script(self, user: str, lines: str) -> int:
        if (user, lines) not in self.scripts:
            text = script_of(Kind("", 0, lines), seconds=self.longest_seconds / 2)
            self.scripts[user, lines] = self._person(user).script(text)
        return self.scripts[user, lines]

    @override
    def _seconds(self, chance: Random) -> float:
        return self.longest_seconds / 2


def _told(status: str, job_id: str, state: str, *, reason: str) -> Told:
    """A row in the words of a JobSubmission."""
    phase = _ENDED.get(status, "Submitted")
    if phase == "Aborted" and state == "CANCELLED":
        phase = "Cancelled"
    return Told(phase, job_id or None, reason)
