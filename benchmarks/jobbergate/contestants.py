"""Who can compete."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.jobbergate.ground import Ground
from benchmarks.measuring.processes import Program


@dataclass
class Contestant(ABC):
    """Somebody who carries submissions between Jobbergate and Slurm."""

    ground: Ground

    @property
    @abstractmethod
    def name(self) -> str:
        """Who it is, and on what terms."""

    @abstractmethod
    def running(self) -> AbstractContextManager[None]:
        """For so long it runs, and knows of what there was before."""

    def submit(self, count: int) -> None:
        """Return when so many that were asked for are submitted."""
        self.ground.wait(lambda: self.ground.count("SUBMITTED", "asked") == count, "Submitting")

    def report(self, count: int) -> None:
        """Return when it is reported that so many that were active have been cancelled."""
        self.ground.wait(lambda: self.ground.count("ABORTED", "active") == count, "Reporting")

    @property
    def programs(self) -> Mapping[str, Sequence[Program]]:
        """Its own processes while it runs, by what they are."""
        return {}

    def commands(self) -> Counter[str]:
        """What it has run on the cluster up to now."""
        return Counter()
