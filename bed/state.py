"""Where beds keep their things, and `bed.json`: the description by which tests, demos and people find their way in."""

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bed.errors import BedError
from bed.slurm.options import Options

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DESCRIPTION = "bed.json"


def root() -> Path:
    """The folder that holds a folder for each bed."""
    return _path("BED_STATE", ".local/state/slurmgate-bed")


def folder(name: str) -> Path:
    """The folder of the bed `name`, which may not exist."""
    if not _NAME.fullmatch(name):
        raise BedError(f"{name!r} cannot be a bed's name: up to 32 lower-case letters, digits and hyphens, please.")
    return root() / name


def cache() -> Path:
    """What is expensive to make and stays when a bed goes: programs built, databases prepared."""
    return _path("BED_CACHE", ".cache/slurmgate-bed")


def _path(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default).absolute()


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Influxdb(_Model):
    """Where Slurm writes what jobs use."""

    url: str
    database: str
    password: str
    """Of both users: `slurm` may write, `slurmgate` may read."""
    certificate: Path
    """Of the server, which nobody else has signed: who wants to trust it, trusts this file."""

    @property
    def dsn(self) -> str:
        """What somebody who may read is given."""
        return f"https+influxdb://slurmgate:{self.password}@{self.url.removeprefix('https://')}/{self.database}"


class Slurm(_Model):
    """A Slurm cluster as somebody outside it sees it: an sshd, people with keys, Slurm's commands."""

    version: str
    cluster: str
    host: str
    """The first address on which sshd listens; the others are in `options.listen`."""
    port: int
    """sshd's."""
    ports: dict[str, int]
    """Every daemon's, by the daemon's name."""
    known_hosts: str
    """One line per address, with sshd's public key; and of the jump host, with the option `jump`."""
    known_hosts_file: Path
    host_authority: str
    """The public key that has signed those of the hosts."""
    user_authority: Path
    """The private key of the authority that they take user certificates from."""
    users: dict[str, Path]
    """Each user's own private key."""
    accounts: dict[str, tuple[str, ...]]
    """Slurm's accounts, and who may charge them."""
    commands: dict[str, str]
    """Absolute paths of sbatch and its like, as seen by somebody logged in."""
    folder: Path
    """What the cluster sees as `/run/bed`."""
    homes: Path
    """What the cluster sees as `/home`."""
    logs: Path
    jwt_key: Path
    """Whoever has it can make a token for slurmrestd in anybody's name."""
    influxdb: Influxdb | None
    """Only with the option `profile`."""
    options: Options

    def ssh(self, user: str) -> list[str]:
        """OpenSSH's command line for logging in as `user`; what is to be run there can be put behind it."""
        strict = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"]
        known = ["-o", f"UserKnownHostsFile={self.known_hosts_file}", "-o", "GlobalKnownHostsFile=none"]
        return ["ssh", *strict, *known, "-i", str(self.users[user]), "-p", str(self.port), f"{user}@{self.host}"]


class Kubernetes(_Model):
    """A Kubernetes API server and how to talk to it as its administrator."""

    server: str
    kubeconfig: Path
    kubectl: Path
    audit_log: Path | None
    """Who asked for what, one JSON event per line; none for a cluster that the bed did not start."""
    logs: Path | None


class Jobbergate(_Model):
    """Jobbergate's API and the OIDC issuer that it trusts, as somebody outside them sees them."""

    version: str
    """Of the API."""
    url: str
    """What the API's addresses begin with, `/jobbergate` included."""
    issuer: str
    """What the issuer's addresses begin with, realm included."""
    https_url: str
    https_issuer: str
    """The same two by TLS."""
    certificate: Path
    """The one of both, which nobody else has signed: who wants to trust it, trusts this file."""
    client_id: str
    """Of the cluster `valhalla`. Clients of other clusters can be added while it runs."""
    client_secret: str
    """The first; whether it has been replaced, the realm knows."""
    bucket: str
    """Where S3 keeps the API's files, for anybody to read and delete: `job_scripts/ID/NAME` behind it."""
    ports: dict[str, int]
    """Every program's, by its name."""
    logs: Path
    """The API's and the issuer's have a line for each request."""


class Description(_Model):
    """What `up` brought up."""

    name: str
    folder: Path
    slurm: Slurm | None
    kubernetes: Kubernetes | None
    jobbergate: Jobbergate | None

    def save(self) -> None:
        """Write `bed.json`. It appears whole or not at all: its presence says that the bed is up."""
        new = self.folder / f"{_DESCRIPTION}.new"
        new.write_text(self.model_dump_json(indent=2) + "\n")
        new.rename(self.folder / _DESCRIPTION)

    @classmethod
    def load(cls, name: str) -> "Description | None":
        """The description of the bed `name`, or None if no `up` has finished."""
        try:
            return cls.model_validate_json((folder(name) / _DESCRIPTION).read_bytes())
        except FileNotFoundError:
            return None
