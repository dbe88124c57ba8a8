"""Slurmgate, as the chart runs it."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import override

from bed import valhalla
from bed.operator import Installation, Operator, install
from benchmarks.jobbergate.contestants import Contestant
from benchmarks.jobbergate.counting import ALL, HEALTH, PENDING, Call, Tail, calls
from benchmarks.measuring.processes import Program, process
from tests.api import OURS, Api, path

Json = dict[str, Any]
_COUNTED = """\
#!/bin/sh
echo {name} >>/run/bed/log/commands
exec {program} "$@"
"""
_QUIET_INTERVALS = 3
_FOLDER = "counted"
_OBJECTS = f"{OURS}/namespaces/{valhalla.RESEARCH}/jobsubmissions"


@dataclass
class Slurmgate(Contestant):
    """The operator, with the same interval for Jobbergate and for Slurm."""

    interval_seconds: int = 3
    _operator: Operator | None = field(default=None, init=False)

    @property
    @override
    def name(self) -> str:
        return f"Slurmgate, every {self.interval_seconds} s"

    @override
    @contextmanager
    def running(self) -> Iterator[None]:
        installation = self._installation
        self._forget()
        self._operator = installation.start()
        try:
            self._settle()
            yield
        finally:
            self._operator.stop()

    @property
    @override
    def programs(self) -> Mapping[str, Sequence[Program]]:
        records = self.ground.bed.description.folder / "run"
        return {
            "itself": [Program(self._operator.process.pid)] if self._operator else [],
            "login node, with its commands": [self.ground.daemon("sshd")],
            "Kubernetes": [process(records, name) for name in ("kube-apiserver", "etcd")],
        }

    @override
    def commands(self) -> Counter[str]:
        """Slurm's commands, by what is put in front of them."""
        return Counter(self._log.read_text().split())

    def _forget(self) -> None:
        """Remove what an earlier run has left. No operator runs that would want to cancel jobs first."""
        for name in self._phases():
            where = path("JobSubmission", name, valhalla.RESEARCH)
            self._api.patch(where, {"metadata": {"finalizers": None}})
            self._api.delete(where, wait=False)

    def _settle(self) -> None:
        """Return when it follows all that was active before, and for some time has only looked for what is new."""
        log = Tail.of(self.ground.bed.jobbergate.service("api").log)
        self.ground.wait(self._followed, "Following what was active before")
        self.ground.wait(lambda: self._quiet(calls(log.lines())), "Being done with what was active before")

    def _quiet(self, made: Sequence[Call]) -> bool:
        since = time.time() - _QUIET_INTERVALS * self.interval_seconds
        lately = [call for call in made if call.at > since]
        return bool(lately) and all(call.kind in {PENDING, ALL, HEALTH} for call in lately)

    def _followed(self) -> bool:
        phases = self._phases().values()
        return len(phases) >= self.ground.count("SUBMITTED", "active") and set(phases) <= {"Submitted"}

    def _phases(self) -> dict[str, str]:
        """Of all JobSubmissions, by name."""
        return {each["metadata"]["name"]: each.get("status", {}).get("phase", "") for each in self._api.get(_OBJECTS)["items"]}

    @cached_property
    def _api(self) -> Api:
        return Api(self.ground.bed)

    @property
    def _log(self) -> Path:
        """What it has run, by name."""
        return self.ground.bed.slurm.namespace.folder / "log" / "commands"

    @cached_property
    def _installation(self) -> Installation:
        bed = self.ground.bed
        valhalla.prepare(bed)
        every = {"pollIntervalSeconds": self.interval_seconds}
        # Otherwise the bed's looks at everything are as frequent as tests want them.
        jobbergate = valhalla.jobbergate_spec(bed, **every, fullIntervalSeconds=300)
        own = valhalla.values(bed, commands=self._counted(), limits=every, jobbergate=jobbergate)
        return install(bed, {**valhalla.jobbergate_values(bed), **own})

    def _counted(self) -> Mapping[str, str]:
        """Slurm's commands with something in front of them that writes down that they are started."""
        self._log.touch()
        self._log.chmod(0o666)
        slurm = self.ground.bed.slurm
        folder = slurm.namespace.folder / _FOLDER
        folder.mkdir(exist_ok=True)
        for name in valhalla.cluster_spec(self.ground.bed)["commands"]:
            file = folder / name
            file.write_text(_COUNTED.format(name=name, program=slurm.description.commands[name]))
            file.chmod(0o755)
        return {file.name: f"/run/bed/{_FOLDER}/{file.name}" for file in folder.iterdir()}
