"""The life of a bed: up, found again by another process, down."""

import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.jobbergate import deployment
from bed.jobbergate.deployment import Deployment
from bed.kubernetes import apiserver
from bed.locks import locked
from bed.report import say
from bed.slurm import cluster
from bed.slurm.cluster import Cluster
from bed.slurm.options import Options
from bed.state import Description, Jobbergate, Kubernetes, Slurm


@dataclass(frozen=True)
class Bed:
    """A bed that is up."""

    description: Description

    @property
    def slurm(self) -> Cluster:
        """The Slurm cluster."""
        if self.description.slurm is None:
            raise BedError(f"The bed {self.description.name} was started without Slurm.")
        return Cluster(self.description.folder, self.description.slurm)

    @property
    def kubernetes(self) -> Kubernetes:
        """Where the API server is."""
        if self.description.kubernetes is None:
            raise BedError(f"The bed {self.description.name} was started without Kubernetes.")
        return self.description.kubernetes

    @property
    def jobbergate(self) -> Deployment:
        """Jobbergate's API with what belongs to it."""
        if self.description.jobbergate is None:
            raise BedError(f"The bed {self.description.name} was started without Jobbergate.")
        return Deployment(self.description.folder, self.description.jobbergate)

    def kubectl(self, *args: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator."""
        # Its cache of discovered types goes where it is removed with the bed.
        common = [f"--kubeconfig={self.kubernetes.kubeconfig}", f"--cache-dir={self.description.folder / 'kubectl'}"]
        return subprocess.run(
            [self.kubernetes.kubectl, *common, *args],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def down(self) -> None:
        """End it and remove everything that it left on the machine."""
        down(self.description.name)


def up(name: str = "default", *, slurm: Options | bool = True, kubernetes: bool = True, jobbergate: bool = False) -> Bed:
    """Start a bed and return when it can be used; if it is up already, return that one."""
    options = Options() if slurm is True else slurm or None
    folder = state.folder(name)
    with locked(folder, f"Waiting for another process that starts or ends the bed {name}"):
        if bed := find(name):
            _check(bed.description, slurm=slurm, kubernetes=kubernetes, jobbergate=jobbergate)
            say(f"The bed {name} is up already, in {folder}")
            return bed
        _clear(folder)  # what an interrupted `up`, or the machine's restart, may have left
        try:
            description = _start(name, folder, options, kubernetes=kubernetes, jobbergate=jobbergate)
        except BaseException:
            _clear(folder)
            folder.rmdir()
            raise
        description.save()
        return Bed(description)


def find(name: str = "default") -> Bed | None:
    """The bed `name` if it is up."""
    description = Description.load(name)
    if description is None:
        return None
    alive = (
        (description.slurm is None or cluster.running(description.folder))
        and (description.kubernetes is None or apiserver.running(description.folder, description.kubernetes))
        and (description.jobbergate is None or deployment.running(description.folder))
    )
    return Bed(description) if alive else None


def down(name: str = "default") -> bool:
    """End the bed `name`, or what is left of it; False if there was nothing."""
    folder = state.folder(name)
    if not folder.exists():
        return False
    with locked(folder, f"Waiting for another process that starts or ends the bed {name}"):
        _clear(folder)
        folder.rmdir()
    with suppress(OSError):  # there are other beds
        state.root().rmdir()
    return True


def _check(running: Description, *, slurm: Options | bool, kubernetes: bool, jobbergate: bool) -> None:
    if slurm and running.slurm is None:
        lacks = "without Slurm"
    elif kubernetes and running.kubernetes is None:
        lacks = "without Kubernetes"
    elif jobbergate and running.jobbergate is None:
        lacks = "without Jobbergate"
    elif isinstance(slurm, Options) and running.slurm and slurm != running.slurm.options:
        lacks = "with other options"
    else:
        return
    raise BedError(f"The bed {running.name} is up {lacks}. End it first (python -m bed down --name {running.name}).")


def _start(name: str, folder: Path, options: Options | None, *, kubernetes: bool, jobbergate: bool) -> Description:
    """Start the parts side by side."""
    slurm: Future[Slurm] | None = None
    api: Future[Kubernetes] | None = None
    gate: Future[Jobbergate] | None = None
    with ThreadPoolExecutor() as pool:
        if options:
            slurm = pool.submit(cluster.start, folder, options)
        if kubernetes:
            api = pool.submit(apiserver.start, folder)
        if jobbergate:
            gate = pool.submit(deployment.start, folder)
        try:
            for part in as_completed(part for part in (slurm, api, gate) if part):
                part.result()
        except BaseException:
            _end(folder)  # so that the other parts fail at once instead of starting to the end
            raise
    return Description(
        name=name,
        folder=folder,
        slurm=slurm.result() if slurm else None,
        kubernetes=api.result() if api else None,
        jobbergate=gate.result() if gate else None,
    )


def _end(folder: Path) -> None:
    cluster.stop(folder)
    apiserver.stop(folder)
    deployment.stop(folder)


def _clear(folder: Path) -> None:
    """End what runs in the folder and empty it; it stays itself, for we hold its lock."""
    _end(folder)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
