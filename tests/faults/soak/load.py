"""The submissions: made, and changed while they are under way, as several people would."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from urllib.error import HTTPError

from bed import valhalla
from tests.api import Api, Json, path
from tests.faults.soak.evidence import Evidence
from tests.faults.soak.history import History
from tests.faults.soak.judge import ENDED, Case, Run, Task, Told
from tests.faults.soak.kinds import EDITS, KINDS, USERS, Kind, choose, made

AGAIN_SECONDS = 0.5
LOOK_SECONDS = 1.5
_POLL_SECONDS = 0.1
_FINAL = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.FORBIDDEN}


@dataclass
class Errand:
    """One submission as the person sees it who made it."""

    kind: Kind
    name: str
    user: str
    cluster: str
    seconds: float
    steps: list[tuple[float, str]]
    """What is still to be done, and how many seconds after what was done before."""
    due: float
    """When the next of it is, in seconds since 1970."""
    chance: Random
    uid: str = ""
    number: int = 0
    """Of its row in Jobbergate."""
    born: float = 0.0
    ended: float | None = None
    """When it was seen to be settled."""
    cancelled: bool = False
    deleted: bool = False

    @property
    def where(self) -> str:
        """Its path on the API server."""
        return path("JobSubmission", self.name, valhalla.RESEARCH)

    @property
    def label(self) -> str:
        """What its job calls itself in the file that it writes: the name of its folder."""
        return f"{self.name}-{self.uid[:8]}"

    @property
    def case(self) -> Case:
        """What the judge has to know of it."""
        return Case(
            self.uid,
            self.name,
            self.user,
            refused=self.kind.refused,
            size=self.kind.size,
            cancelled=self.cancelled,
            deleted=self.deleted,
            orphan=self.kind.spec.get("deletionPolicy") == "Orphan",
            row=bool(self.number),
            on_site=self.kind.on_site,
        )


@dataclass
class Load:
    """Everybody's submissions, kept coming."""

    api: Api
    history: History
    seed: int
    clusters: tuple[str, ...]
    every_seconds: float
    """Between two new submissions, in the mean."""
    most: int
    """So many are in flight at a time."""
    longest_seconds: float
    """That a job runs by itself."""
    kinds: Sequence[Kind] = KINDS
    label: str = "soak"
    errands: list[Errand] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    """What the API server said last, by uid."""
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._chance = Random(f"{self.seed} {self.label}")
        self._stop = threading.Event()
        self._next = time.time()
        self._looked = 0.0
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """From now on there are submissions."""
        self._thread.start()

    def stop(self) -> None:
        """No more new ones. What was to be done to the others is done first."""
        self._stop.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def settled(self) -> bool:
        """Whether nothing more is to come of any of them."""
        self._look()
        return all(errand.ended for errand in self.errands)

    @property
    def in_flight(self) -> int:
        """Submissions that have not ended."""
        return sum(errand.ended is None for errand in self.errands)

    def _run(self) -> None:
        try:
            while not (self._stop.is_set() and not any(errand.steps for errand in self.errands)):
                now = time.time()
                if not self._stop.is_set() and now >= self._next and self.in_flight < self.most:
                    self._next = now + self._chance.expovariate(1 / self.every_seconds)
                    self.errands.append(self._new())
                for errand in [each for each in self.errands if each.steps and each.due <= now]:
                    self._act(errand)
                if now - self._looked > LOOK_SECONDS:
                    self._look()
                time.sleep(_POLL_SECONDS)
        except BaseException as error:  # noqa: BLE001 - `stop` raises it where somebody hears it
            self.failure = error

    def _new(self) -> Errand:
        """The next one: whatever is to happen to it follows from the seed."""
        number = next(self._numbers)
        chance = Random(f"{self.seed} {self.label} {number}")
        kind, name = choose(self.kinds, chance), f"{self.label}-{number}"
        waits = (chance.uniform(0, chance.choice((0.5, 3, self.longest_seconds))) for _ in kind.then)
        return Errand(
            kind,
            name,
            user=chance.choice(USERS),
            cluster=chance.choice(self.clusters),
            seconds=self._seconds(chance),
            steps=[(0.0, "make"), *zip(waits, kind.then, strict=True)],
            due=time.time(),
            chance=chance,
        )

    def _seconds(self, chance: Random) -> float:
        return chance.uniform(0, self.longest_seconds)

    def _act(self, errand: Errand) -> None:
        """Do what is due; if the API server does not let us, soon again."""
        _, step = errand.steps[0]
        try:
            done = self._done(errand, step)
        except HTTPError as error:
            if error.code in _FINAL:
                raise
            done = error.code == HTTPStatus.NOT_FOUND
        except OSError:
            done = False
        if not done:
            errand.due = time.time() + AGAIN_SECONDS
            return
        self.history.note(step, errand.name, f"{errand.kind.name}, {errand.user}, {errand.cluster}" if step == "make" else "")
        errand.steps.pop(0)
        if errand.steps:
            errand.due = time.time() + errand.steps[0][0]

    def _done(self, errand: Errand, step: str) -> bool:
        match step:
            case "make":
                return self._make(errand)
            case "cancel":
                errand.cancelled = True
                self.api.patch(errand.where, {"spec": {"cancel": True}})
            case "delete":
                errand.deleted = True
                self.api.delete(errand.where, wait=False)
            case "release":
                self.api.patch(errand.where, {"spec": {"suspend": False}})
            case "edit":
                self.api.patch(errand.where, {"spec": errand.chance.choice(EDITS)})
            case "again":
                return self._again(errand)
        return True

    def _make(self, errand: Errand) -> bool:
        errand.born = errand.born or time.time()
        body = made(
            errand.kind,
            name=errand.name,
            user=errand.user,
            cluster=errand.cluster,
            seconds=errand.seconds,
        )
        try:
            found = self.api.create(body)
        except HTTPError as error:
            if error.code != HTTPStatus.CONFLICT:
                raise
            found = self.api.get(errand.where)  # an earlier try got through
        errand.uid = str(found["metadata"]["uid"])
        return True

    def _again(self, errand: Errand) -> bool:
        """Another one of the same name takes over what is left to do."""
        if self.api.has(errand.where):
            return False
        rest = errand.steps[1:]
        errand.steps = errand.steps[:1]
        self.errands.append(
            Errand(
                errand.kind,
                errand.name,
                errand.user,
                errand.cluster,
                errand.seconds,
                [(0.0, "make"), *rest],
                time.time(),
                errand.chance,
            )
        )
        return True

    def _look(self) -> None:
        try:
            self.told = dict(self.objects().values())
        except OSError:
            return
        self.settle()

    def objects(self) -> dict[str, tuple[str, Told]]:
        """All JobSubmissions by name: uid, and how it stands. Raises OSError."""
        items = self.api.get(f"/apis/slurmgate.dev/v1alpha1/namespaces/{valhalla.RESEARCH}/jobsubmissions")["items"]
        return {item["metadata"]["name"]: (item["metadata"]["uid"], _told(item.get("status", {}))) for item in items}

    def settle(self) -> None:
        """See which have come to rest, after a look at what is told of them."""
        self._looked = time.time()
        for errand in self.errands:
            if errand.ended is None and not errand.steps and self._is_settled(errand):
                errand.ended = time.time()

    def _is_settled(self, errand: Errand) -> bool:
        told = self.told.get(errand.uid)
        if told is None:
            return errand.deleted
        return not errand.deleted and (told.phase in ENDED or told.reason == "Lost")

    def tasks(self, errand: Errand, evidence: Evidence) -> list[Task]:
        """What Slurm says of it."""
        return evidence.tasks(errand.uid)

    def runs(self, errand: Errand, evidence: Evidence) -> list[Run]:
        """What its jobs wrote down."""
        return evidence.runs.get(errand.label, [])

    def lives(self) -> Iterator[tuple[Errand, float, float]]:
        """Each with when it began and was settled."""
        for errand in self.errands:
            yield errand, errand.born, errand.ended or time.time()


def _told(status: Json) -> Told:
    reason = next((each["reason"] for each in status.get("conditions", []) if each["type"] == "Ready"), "")
    return Told(status.get("phase"), status.get("slurm", {}).get("jobId"), reason)
