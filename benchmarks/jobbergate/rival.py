"""The Jobbergate Agent, unchanged."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from typing_extensions import override

from bed.jobbergate.agent import agent
from bed.slurm.services import Service
from benchmarks.jobbergate.contestants import Contestant
from benchmarks.jobbergate.ground import USER
from benchmarks.measuring.processes import Program

_COMMAND = re.compile(r"Running command '([^ ']+)")


@dataclass
class Agent(Contestant):
    """The Agent, at some interval: 60 seconds is its own choice, below 10 it takes none."""

    interval_seconds: int
    _service: Service | None = field(default=None, init=False)

    @property
    @override
    def name(self) -> str:
        return f"Jobbergate Agent, every {self.interval_seconds} s"

    @override
    @contextmanager
    def running(self) -> Iterator[None]:
        self._service = agent(self.ground.bed, user=USER, interval_seconds=self.interval_seconds)
        self._service.start()
        try:
            yield
        finally:
            self._service.stop()

    @property
    @override
    def programs(self) -> Mapping[str, Sequence[Program]]:
        return {"itself, with its commands": [self.ground.daemon(self._service.name)] if self._service else []}

    @override
    def commands(self) -> Counter[str]:
        """By its own log, which names each process that it starts."""
        log = self._service.log.read_text(errors="replace") if self._service else ""
        return Counter(command.rpartition("/")[2].removesuffix(".sh") for command in _COMMAND.findall(log))
