"""InfluxDB 1.x beside a cluster: Slurm writes into it what jobs use, by TLS and with a password, as on a real one."""

import base64
import json
import secrets
import shutil
import ssl
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from bed.errors import BedError
from bed.keys import server_key
from bed.slurm.files import filled, make_folder, write_secret
from bed.state import Influxdb

_OWNER = "influxdb"
_ADDRESS = "127.0.0.1"
_DATABASE = "slurm"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def lay_out(cluster: Path, numbers: dict[str, int]) -> Influxdb:
    """Prepare its configuration and Slurm's in the folder of the cluster."""
    etc = cluster / "etc"
    password = secrets.token_urlsafe(16)
    url = f"https://{_ADDRESS}:{numbers['influxdb']}"
    make_folder(cluster / "influxdb", owner=_OWNER)
    make_folder(etc / "influxdb")
    certificate = etc / "influxdb" / "bed.crt"
    certificate.write_text(server_key(certificate.with_suffix(".key"), _ADDRESS).public)
    shutil.chown(certificate.with_suffix(".key"), _OWNER, _OWNER)
    values = {"influxdb": numbers["influxdb"], "backup": numbers["influxdb-backup"]}
    (etc / "influxdb" / "bed.conf").write_text(filled("influxdb.conf", values))
    # Slurm's plugin trusts whom the system trusts, and nobody can tell it otherwise.
    make_folder(etc / "ssl" / "certs")
    (etc / _AUTHORITIES.relative_to("/etc")).write_text(_AUTHORITIES.read_text() + certificate.read_text())
    target = {"url": url, "database": _DATABASE, "password": password}
    write_secret(etc / "slurm" / "acct_gather.conf", filled("acct_gather.conf", target).encode(), owner="slurm")
    return Influxdb(url=url, database=_DATABASE, password=password, certificate=certificate)


def fill(influxdb: Influxdb) -> None:
    """Make the database and its users in a server that has just started for the first time."""
    admin = secrets.token_urlsafe(16)
    _run(influxdb, f"CREATE USER admin WITH PASSWORD '{admin}' WITH ALL PRIVILEGES", "")
    statements = [f"CREATE DATABASE {_DATABASE}"]
    for user, right in (("slurm", "ALL"), ("slurmgate", "READ")):
        statements += [f"CREATE USER {user} WITH PASSWORD '{influxdb.password}'", f"GRANT {right} ON {_DATABASE} TO {user}"]
    _run(influxdb, "; ".join(statements), admin)


def _run(influxdb: Influxdb, statements: str, admin: str) -> None:
    headers = {"Authorization": f"Basic {base64.b64encode(f'admin:{admin}'.encode()).decode()}"} if admin else {}
    request = Request(f"{influxdb.url}/query", urlencode({"q": statements}).encode(), headers)  # it is https
    trusted = ssl.create_default_context(cafile=influxdb.certificate)
    with urlopen(request, timeout=30, context=trusted) as answer:
        problems = [each["error"] for each in json.load(answer)["results"] if "error" in each]
    if problems:
        raise BedError(f"InfluxDB refused what the bed needs in it: {problems}")
