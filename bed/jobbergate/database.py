"""PostgreSQL with the API's tables, prepared once and kept in the cache: a copy is ready in a second."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from signal import Signals

from bed import memory, ports, state
from bed.errors import BedError
from bed.jobbergate import api, programs
from bed.jobbergate.service import Service
from bed.locks import once
from bed.report import say

PACKAGES = ("postgresql-15", "postgresql-client-15")
_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_OWNER = "postgres"
_SCHEMA = Path(__file__).with_name("schema.py")
_SETTINGS = {
    "listen_addresses": api.ADDRESS,
    "unix_socket_directories": "",
    # What was committed survives a killed server; nothing here has to survive a power cut.
    "fsync": "off",
    "full_page_writes": "off",
    # In its folder, so that it goes with that.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "32MB",
}


def place(bed: Path) -> None:
    """Lay a database with empty tables into the folder `bed`."""
    data = _data(bed)
    subprocess.run(["cp", "--archive", "--no-target-directory", _prepared(), data], check=True)


def service(bed: Path, port: int) -> Service:
    """The server."""
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    ready = [str(_PROGRAMS / "pg_isready"), "--quiet", f"--host={api.ADDRESS}", f"--port={port}", f"--username={_OWNER}"]
    return Service(
        name="postgres",
        folder=bed / "jobbergate",
        argv=_as_owner("postgres", "-D", str(_link(bed).resolve()), f"--port={port}", *settings),
        ready=lambda: subprocess.run(ready, check=False).returncode == 0,
        # At SIGTERM it would wait until the API has hung up, and SIGKILL leaves shared memory behind.
        stop_with=Signals.SIGINT,
        kill_with=Signals.SIGQUIT,
    )


def sql(port: int, statements: str, *, user: str = api.DATABASE) -> str:
    """What psql answers, one row a line, columns separated by `|`; `BedError` with its words if a statement fails."""
    where = [f"--host={api.ADDRESS}", f"--port={port}", f"--username={user}", f"--dbname={user}"]
    plain = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    return _run([str(_PROGRAMS / "psql"), *where, *plain], stdin=statements)


def discard(bed: Path) -> None:
    """End the server of the folder `bed`, and remove its data."""
    service(bed, 0).kill()
    shutil.rmtree(_link(bed).resolve(), ignore_errors=True)


def _prepared() -> Path:
    """A data folder to be copied, for this version of the API."""
    content = hashlib.sha256(programs.API.requirements.read_bytes() + _SCHEMA.read_bytes()).hexdigest()[:8]
    cached = state.cache() / f"jobbergate-database-{content}"
    data = cached / "postgres"
    once(cached, "Waiting for another process that prepares Jobbergate's database", data.exists, partial(_prepare, data))
    return data


def _prepare(data: Path) -> None:
    say("Preparing Jobbergate's database: once, a few seconds")
    for remains in data.parent.glob("build-*"):  # of a process that was killed here
        discard(remains)
        shutil.rmtree(remains)
    with tempfile.TemporaryDirectory(prefix="build-", dir=data.parent) as scratch:
        bed = Path(scratch)
        (bed / "jobbergate" / "log").mkdir(parents=True)
        try:
            _fill(bed, ports.reserve(bed, "jobbergate", 1)[0])
            copy = bed / "copy"
            subprocess.run(["cp", "--archive", "--no-target-directory", _link(bed).resolve(), copy], check=True)
            copy.rename(data)
        finally:
            discard(bed)


def _fill(bed: Path, port: int) -> None:
    _run(_as_owner("initdb", "-D", str(_data(bed)), "--auth=trust", f"--username={_OWNER}", "--encoding=UTF8", "--locale=C"))
    server = service(bed, port)
    server.start()
    sql(port, f"create role {api.DATABASE} login; create database {api.DATABASE} owner {api.DATABASE};", user=_OWNER)
    settings = api.settings(bed, {"postgres": port, "s3": 0}, issuer="http://unused")
    _run([*settings, str(programs.API.python()), str(_SCHEMA)])
    server.stop()


def _link(bed: Path) -> Path:
    return bed / "jobbergate" / "postgres"


def _data(bed: Path) -> Path:
    """A new folder for a server's data, which its owner can reach wherever the bed is."""
    data = memory.folder()
    _link(bed).symlink_to(data)
    if os.geteuid() == 0:
        shutil.chown(data, _OWNER, _OWNER)
    return data


def _as_owner(program: str, *arguments: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    drop = ["setpriv", f"--reuid={_OWNER}", f"--regid={_OWNER}", "--clear-groups"] if os.geteuid() == 0 else []
    return [*drop, "env", "--chdir=/", str(_PROGRAMS / program), *arguments]


def _run(argv: list[str], stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
