"""What is asked of Jobbergate's API, by its own log."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_LINE = re.compile(r'(?P<at>\d+\.\d+) \S+ - "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[0-9.]+" (?P<status>\d{3})')
PENDING = "GET /job-submissions/agent/pending"
ACTIVE = "GET /job-submissions/agent/active"
ALL = "GET /job-submissions"
SUBMITTED = "POST /job-submissions/agent/submitted"
SCRIPT = "GET /job-scripts/N/upload/FILE"
UPDATE = "PUT /job-submissions/agent/N"
HEALTH = "PUT /clusters/status"


@dataclass(frozen=True)
class Call:
    """A request that the API has answered."""

    at: float
    """When, in seconds since 1970."""
    method: str
    target: str
    status: int

    @property
    def kind(self) -> str:
        """What it is for: method and path, without ids and names."""
        path = urlsplit(self.target).path.removeprefix("/jobbergate")
        path = re.sub(r"/\d+", "/N", path)
        return f"{self.method} {re.sub(r'/upload/.*', '/upload/FILE', path)}"

    @property
    def first_page(self) -> bool:
        """Whether it does not go on with a list that was begun before."""
        return parse_qs(urlsplit(self.target).query).get("page", ["1"]) == ["1"]


@dataclass(frozen=True)
class Tail:
    """A log from some moment on."""

    path: Path
    skipped: int

    @classmethod
    def of(cls, path: Path) -> "Tail":
        """From now on."""
        return cls(path, path.stat().st_size if path.exists() else 0)

    def lines(self) -> list[str]:
        """All that it has now."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as log:
            log.seek(self.skipped)
            return log.read().decode(errors="replace").splitlines()


def calls(lines: Iterable[str]) -> list[Call]:
    """The requests among the lines of the API's log."""
    found = (_LINE.match(line) for line in lines)
    return [Call(float(line["at"]), line["method"], line["target"], int(line["status"])) for line in found if line]


def kinds(made: Iterable[Call]) -> Counter[str]:
    """How many there are of each kind."""
    return Counter(call.kind for call in made)


def work(made: Sequence[Call], deed: str, *, after: str | None = None) -> Sequence[Call]:
    """The calls from the first `deed` to the last, with the look (`after`) that led to the first one."""
    deeds = [call.at for call in made if call.kind in {deed, SCRIPT if after else deed}]
    last = max(call.at for call in made if call.kind == deed)
    looks = [call.at for call in made if call.kind == after and call.first_page and call.at <= deeds[0]]
    first = max(looks, default=deeds[0])
    return [call for call in made if first <= call.at <= last]


def span(made: Sequence[Call]) -> float:
    """Seconds from the first answer to the last."""
    return made[-1].at - made[0].at
