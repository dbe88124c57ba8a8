"""OpenLDAP, on addresses and ports of its own, by LDAPS and by LDAP with StartTLS."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bed import memory
from bed.directory.people import GROUPS, PASSWORD, SERVICE, STAFF
from bed.errors import BedError
from bed.keys import server_key
from bed.ports import listening, reserve
from bed.processes import Process, launch, wait_until
from bed.requirements import require_debian, require_root

_PACKAGES = ("ldap-utils", "slapd")
_ADDRESS = "127.0.0.1"
_OWNER = "openldap"
SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
SERVICE_NAME = f"cn={SERVICE},{SUFFIX}"
_ADMIN = f"cn=admin,{SUFFIX}"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile {folder}/certificate.pem
TLSCertificateKeyFile {folder}/key.pem
# Nobody is known who has said who he is in clear.
security simple_bind=64
database mdb
maxsize 104857600
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {folder}/database
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""


@dataclass
class Slapd:
    """One that runs. What it is told takes effect before the method returns."""

    folder: Path
    port: int
    tls_port: int
    process: Process | None = None

    @property
    def url(self) -> str:
        """For StartTLS."""
        return f"ldap://{_ADDRESS}:{self.port}"

    @property
    def tls_url(self) -> str:
        """By TLS from the first byte."""
        return f"ldaps://{_ADDRESS}:{self.tls_port}"

    @property
    def authority(self) -> str:
        """Its certificate, which nobody else has signed."""
        return (self.folder / "certificate.pem").read_text()

    def start(self) -> None:
        """Start it, with what it knew, and wait until it answers."""
        argv = ["slapd", "-d", "0", "-f", str(self.folder / "slapd.conf"), "-h", f"{self.url} {self.tls_url}"]
        log = self.folder / "slapd.log"
        process = launch("slapd", [*argv, "-u", _OWNER, "-g", _OWNER], records=self.folder / "run", log=log)
        self.process = process
        wait_until(lambda: listening(_ADDRESS, self.tls_port), alive=process.alive, log=log, what="slapd")

    def kill(self) -> None:
        """End it as a crash would. Returns when its ports are closed: that may be a moment after it is gone."""
        if self.process:
            self.process.end()
        self.process = None
        wait_until(
            lambda: not any(listening(_ADDRESS, port) for port in (self.port, self.tls_port)),
            alive=lambda: True,
            log=self.folder / "slapd.log",
            what="the end of slapd",
        )

    def freeze(self) -> None:
        """Keep it from doing anything: its ports accept connections, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def change(self, ldif: str) -> None:
        """Change what it knows (man ldapmodify)."""
        who = ["-x", "-ZZ", "-H", self.url, "-D", _ADMIN, "-w", PASSWORD]
        environment = {**os.environ, "LDAPTLS_CACERT": str(self.folder / "certificate.pem")}
        done = subprocess.run(
            ["ldapmodify", *who], input=ldif, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise BedError(f"slapd does not take it: {done.stderr}")

    def _signal(self, number: signal.Signals) -> None:
        if self.process:
            os.kill(self.process.pid, number)


@contextmanager
def slapd() -> Iterator[Slapd]:
    """One with the bed's people in it."""
    require_root("slapd")
    require_debian(_PACKAGES)
    folder = memory.folder()
    (folder / "database").mkdir()
    port, tls_port = reserve(folder, "slapd", 2)
    running = Slapd(folder, port, tls_port)
    pair = server_key(folder / "key.pem", _ADDRESS)
    (folder / "certificate.pem").write_text(pair.public)
    values = {"folder": folder, "suffix": SUFFIX, "admin": _ADMIN, "password": PASSWORD}
    (folder / "slapd.conf").write_text(_CONFIGURATION.format(**values))
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, _OWNER, _OWNER)
    try:
        running.start()
        running.change(_ldif())
        yield running
    finally:
        running.kill()
        shutil.rmtree(folder)


def _ldif() -> str:
    """Added by ldapmodify, not by slapadd: only so memberOf is filled in. A group must have a member from the beginning."""
    units = [_added(f"ou={name},{SUFFIX}", "organizationalUnit", ou=name) for name in ("people", "groups")]
    service = _added(SERVICE_NAME, "organizationalRole", "simpleSecurityObject", cn=SERVICE, userPassword=PASSWORD)
    staff = [
        _added(
            f"uid={person.user},{PEOPLE}",
            "inetOrgPerson",
            "posixAccount",
            uid=person.user,
            cn=person.user,
            sn=person.user,
            mail=person.mail,
            uidNumber=str(person.number),
            gidNumber=str(person.number),
            homeDirectory=f"/home/{person.user}",
            departmentNumber=person.account,
        )
        for person in STAFF
    ]
    groups = [_added(group(name), "groupOfNames", cn=name, member=SERVICE_NAME) for name in GROUPS]
    members = [_joined(name, member) for name, members in GROUPS.items() for member in members]
    return "\n".join(
        [_added(SUFFIX, "dcObject", "organization", o="Example", dc="example"), *units, service, *staff, *groups, *members]
    )


def _added(name: str, *classes: str, **values: str) -> str:
    lines = [f"dn: {name}", "changetype: add", *(f"objectClass: {each}" for each in classes)]
    return "\n".join([*lines, *(f"{attribute}: {value}" for attribute, value in values.items()), ""])


def _joined(name: str, member: str) -> str:
    person = group(member) if member in GROUPS else f"uid={member},{PEOPLE}"
    return f"dn: {group(name)}\nchangetype: modify\nadd: member\nmember: {person}\n"


def group(name: str) -> str:
    """A group's distinguished name."""
    return f"cn={name},ou=groups,{SUFFIX}"
