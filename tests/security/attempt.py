"""What somebody tries, how it is refused, and how one would see from outside that he got in.

An attempt is made twice: upon the operator as it is, which keeps it out, and upon one whose defence was taken out (`mutants`),
which shows that the attempt is a real one.
"""

import json
import re
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from typing_extensions import override

from bed import valhalla
from tests.api import Json
from tests.security.mutants import Mutant
from tests.security.person import Person
from tests.world import ENDED, Submission, World, manifest

LAB = "lab"
"""A namespace that may name everybody of example.org."""
NOBODYS = "nobodys"
"""A namespace that may name nobody."""
CANARY = "CANARY"
"""In an attempt: a path on the cluster where nothing may appear."""
CANARIES = "/tmp/canaries"


@dataclass(frozen=True)
class Ground:
    """Where attempts are made: a world, and the people who make them."""

    world: World
    people: Mapping[str, Person]
    round: str
    """What tells one round of attempts from another: a part of the names of all that is made."""
    said: dict[str, str] = field(default_factory=dict)
    """What the API server said to each attempt at once."""
    made: dict[str, Any] = field(default_factory=dict)
    """What attempts have made for themselves."""

    def inside(self, *argv: str, user: str | None = None) -> str:
        """What a command on the cluster prints, whether or not it ends well."""
        return self.world.bed.slurm.inside(argv, user=user).stdout

    def answers(self) -> bool:
        """Whether the operator has time to say that it lives."""
        port = self.world.installation.environment["SLURMGATE_HTTP_PORT"]
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == HTTPStatus.OK)
        return False

    def exists(self, path: str) -> bool:
        """Whether there is such a file on the cluster."""
        return self.world.bed.slurm.inside(["test", "-e", path]).returncode == 0


@dataclass(frozen=True)
class Attempt(ABC):
    """Something that somebody tries."""

    title: str
    without: Mutant
    """The version of the operator, or of what the API server enforces, upon which it succeeds."""
    words: str
    """Pattern of what the one who tries it is told."""

    @property
    def slug(self) -> str:
        """Its name as part of the name of an object."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @abstractmethod
    def set_out(self, ground: Ground) -> None:
        """Try it."""

    @abstractmethod
    def refusal(self, ground: Ground) -> str:
        """What the one who tried it was told, once he was."""

    @abstractmethod
    def got_in(self, ground: Ground) -> bool:
        """Whether it can be seen that it worked."""

    def standing(self, ground: Ground) -> str:
        """Where it stands, for whoever wonders why it has not got in."""
        return f"{self.title}: {ground.said.get(self.slug)}"

    def clean_up(self, ground: Ground) -> None:  # noqa: B027 - most leave nothing
        """Take away what would be in the way of others."""


Preparation = Callable[[Ground], object]
Loot = Callable[[Ground, Submission], bool]


@dataclass(frozen=True)
class Submitting(Attempt):
    """A JobSubmission that asks for too much."""

    loot: Loot
    spec: Json = field(default_factory=dict)
    owner: str = "kirby@example.org"
    namespace: str = valhalla.RESEARCH
    script: str | Json = "true"
    metadata: Json = field(default_factory=dict)
    prepare: Preparation | None = None
    """What he does on the cluster, or somebody else has done, before."""

    def submission(self, ground: Ground) -> Submission:
        """What is made."""
        digest = sha256(self.slug.encode()).hexdigest()[:6]
        return Submission(ground.world, self.namespace, f"{self.slug[:40].strip('-')}-{digest}-{ground.round}")

    def canary(self, ground: Ground) -> str:
        """Its path on the cluster where nothing may appear."""
        return f"{CANARIES}/{self.submission(ground).name}"

    def body(self, ground: Ground) -> Json:
        """What is applied."""
        wanted = manifest(
            self.script, name=self.submission(ground).name, namespace=self.namespace, **{"owner": self.owner, **self.spec}
        )
        wanted["metadata"] |= self.metadata
        text = json.dumps(wanted).replace(CANARY, self.canary(ground)).replace("ROUND", ground.round)
        filled: Json = json.loads(text)
        return filled

    @override
    def set_out(self, ground: Ground) -> None:
        if self.prepare:
            self.prepare(ground)
        ground.said[self.slug] = ground.people[self.namespace].create(self.body(ground))

    @override
    def refusal(self, ground: Ground) -> str:
        if said := ground.said[self.slug]:
            return said
        submission = self.submission(ground)
        seen = ground.world.eventually(lambda: self._told(submission), lambda told: told[0] in ENDED or self._matches(told[1]))
        return seen[1]

    @override
    def standing(self, ground: Ground) -> str:
        submission = self.submission(ground)
        return f"{self.title}: {ground.said[self.slug] if submission.is_gone() else self._told(submission)}"

    def _told(self, submission: Submission) -> tuple[str, str]:
        status = submission.status()
        ready: Json = next((each for each in status.get("conditions", []) if each["type"] == "Ready"), {})
        return status.get("phase", ""), f"{ready.get('reason')}: {ready.get('message')}"

    def _matches(self, told: str) -> bool:
        return re.search(self.words, told, re.DOTALL) is not None

    @override
    def got_in(self, ground: Ground) -> bool:
        submission = self.submission(ground)
        return not submission.is_gone() and self.loot(ground, submission)

    @override
    def clean_up(self, ground: Ground) -> None:
        submission = self.submission(ground)
        if not submission.is_gone():
            submission.delete(wait=False)


# Loot ----------------------------------------------------------------------------------------------------------------


def ran_as(user: str) -> Loot:
    """Slurm has a job of this user for it."""
    return lambda ground, submission: any(job["user"] == user for job in ground.world.jobs_of(submission.token))


def ran(ground: Ground, submission: Submission) -> bool:
    """Slurm has a job for it."""
    return bool(ground.world.jobs_of(submission.token))


def reached_sbatch(ground: Ground, submission: Submission) -> bool:
    """It passed our own checks: the files on the cluster say that sbatch was run."""
    return bool(ground.inside("sh", "-c", f"ls -d /home/*/slurmgate/*/*/.slurmgate/{submission.token}/attempt.1"))


def canary(ground: Ground, submission: Submission) -> bool:
    """Its text was run by a shell."""
    return ground.exists(f"{CANARIES}/{submission.name}")


def taken(_: Ground, submission: Submission) -> bool:
    """The API server has taken it, and so has the operator."""
    ready = submission.condition("Ready")
    return ready.get("reason") not in {None, "Preparing"} and "should match pattern" not in ready["message"]


def wrote(text: str) -> Loot:
    """The job's output has this."""

    def found(ground: Ground, submission: Submission) -> bool:
        path = str(submission.status().get("slurm", {}).get("stdoutPath", ""))
        return text in ground.inside("cat", path)

    return found


def is_user(user: str) -> Loot:
    """It is taken for this user's."""
    return lambda ground, submission: submission.status().get("user") == user
