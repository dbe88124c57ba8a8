"""Slurm's accounting database, filled with the bed's people once and kept in the cache: a copy is ready in a second."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.locks import once
from bed.report import say
from bed.slurm import files, namespace
from bed.slurm.namespace import Namespace
from bed.slurm.options import Options
from bed.slurm.people import DATABASE, Person, account_tree
from bed.slurm.services import Service, choose_ports, services

# MariaDB believes the operating system: who runs as slurm is slurm.
_SQL = f"""
create user slurm@localhost identified via unix_socket;
grant all on {DATABASE}.* to slurm@localhost;
create database {DATABASE};
"""
_QOS = ["name=high", "set", "priority=1000", "preempt=normal", "preemptmode=requeue"]


def prepared(version: str) -> Path:
    """A MariaDB data folder to be copied, for this version of Slurm and the people of this version of the bed."""
    content = hashlib.sha256(f"{_SQL}{_QOS}{account_tree()}".encode()).hexdigest()[:8]
    cached = state.cache() / f"slurm-{version}-{content}"
    data = cached / "mysql"
    once(cached, "Waiting for another process that prepares Slurm's database", data.exists, partial(_prepare, data))
    return data


def admit(inside: Namespace, people: Sequence[Person]) -> None:
    """Let more people use a running cluster, all in the account of the first."""
    names = ",".join(person.name for person in people)
    _run(inside, ["sacctmgr", "--immediate", "add", "user", names, f"account={people[0].accounts[0]}"])


def _prepare(data: Path) -> None:
    say("Preparing Slurm's database: once, a few seconds")
    for remains in data.parent.glob("build-*"):  # of a process that was killed here
        namespace.destroy(remains)
        shutil.rmtree(remains)
    with tempfile.TemporaryDirectory(prefix="build-", dir=data.parent) as scratch:
        bed, options = Path(scratch), Options(nodes=1)
        numbers = choose_ports(bed, options)
        files.lay_out(bed / "slurm", options, numbers)
        try:
            inside = namespace.create(bed)
            _fill(inside, services(inside, numbers, options))
        finally:
            namespace.destroy(bed)
        (bed / "slurm" / "mysql").rename(data)


def _fill(inside: Namespace, daemons: Mapping[str, Service]) -> None:
    install = ["mariadb-install-db", "--no-defaults", "--datadir=/run/bed/mysql", "--skip-test-db", "--skip-name-resolve"]
    _run(inside, ["install", "-d", "-o", "slurm", "-g", "slurm", "/run/bed/mysql"])
    _run(inside, ["setpriv", "--reuid=slurm", "--regid=slurm", "--clear-groups", *install])
    daemons["munged"].start()
    daemons["mariadbd"].start()
    _run(inside, ["mariadb", "--no-defaults", "--user=root"], stdin=_SQL)
    daemons["slurmdbd"].start()
    _run(inside, ["sacctmgr", "--immediate", "add", "qos", *_QOS])
    _run(inside, ["sacctmgr", "--immediate", "load", "/dev/stdin", "clean"], stdin=account_tree())
    daemons["slurmdbd"].stop()
    daemons["mariadbd"].stop()


def _run(inside: Namespace, argv: list[str], stdin: str | None = None) -> None:
    done = inside.run(argv, stdin=stdin)
    if done.returncode != 0:
        raise BedError(f"Preparing Slurm's database: {' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
