"""A real Active Directory: Samba as domain controller, by LDAPS and by LDAP with StartTLS. Starting it takes half a minute."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ldap3 import MODIFY_ADD, MODIFY_REPLACE, Connection, Server

from bed import memory
from bed.directory.people import GROUPS, PASSWORD, SERVICE, STAFF
from bed.errors import BedError
from bed.keys import server_key
from bed.ports import listening, reserve
from bed.processes import launch, wait_until
from bed.requirements import require_debian, require_root

_PACKAGES = (
    "python3-samba",
    "samba-ad-dc",
    "samba-ad-provision",
    "samba-dsdb-modules",
    "samba-vfs-modules",
    "socat",
    "winbind",
)
_SCRIPT = Path(__file__).with_name("inside-samba.sh")
_ADDRESS = "127.0.0.1"
_REALM = "AD.EXAMPLE.ORG"
_NORMAL_ACCOUNT = 512
DOMAIN = "VALHALLA"
SUFFIX = "DC=ad,DC=example,DC=org"
PEOPLE = f"CN=Users,{SUFFIX}"
SERVICE_NAME = f"{SERVICE}@{_REALM.lower()}"


@dataclass(frozen=True)
class Samba:
    """One that runs."""

    url: str
    """For StartTLS."""
    tls_url: str
    authority: str
    """Its certificate, which nobody else has signed."""


@contextmanager
def samba() -> Iterator[Samba]:
    """One with the bed's people in it."""
    require_root("Samba")
    require_debian(_PACKAGES)
    folder = memory.folder()
    processes = []
    try:
        log, records = folder / "samba.log", folder / "run"
        certificate = server_key(folder / "key.pem", _ADDRESS).public
        (folder / "certificate.pem").write_text(certificate)
        namespaces = ["unshare", "--mount", "--uts", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
        inside = [str(_SCRIPT), str(folder), _REALM, DOMAIN, PASSWORD]
        processes.append(launch("samba", [*namespaces, *inside], records=records, log=log))
        wait_until((folder / "ready").exists, alive=processes[0].alive, log=log, what="Samba")
        ports = reserve(folder, "samba", 2)
        for port, inner in zip(ports, (389, 636), strict=True):
            outer = f"TCP-LISTEN:{port},bind={_ADDRESS},fork,reuseaddr"
            relay = launch(f"relay-{inner}", ["socat", outer, f"UNIX-CONNECT:{folder / str(inner)}"], records=records, log=log)
            processes.append(relay)
            wait_until(partial(listening, _ADDRESS, port), alive=relay.alive, log=log, what="socat")
        running = Samba(f"ldap://{_ADDRESS}:{ports[0]}", f"ldaps://{_ADDRESS}:{ports[1]}", certificate)
        _fill(ports[1])
        yield running
    finally:
        for process in reversed(processes):
            process.end()
        shutil.rmtree(folder)


def name_of(person: str) -> str:
    """The distinguished name of a person or a group."""
    return f"CN={person},{PEOPLE}"


def _fill(port: int) -> None:
    server = Server(_ADDRESS, port=port, use_ssl=True)  # unverified: it is ours, and has just begun
    admin: Any  # half of it has no types
    with Connection(server, f"Administrator@{_REALM.lower()}", PASSWORD) as admin:
        _done(admin, admin.bind())
        for person in STAFF:
            names = {"sAMAccountName": person.user.title(), "userPrincipalName": f"{person.user}@{_REALM.lower()}"}
            posix = {"uidNumber": person.number, "unixHomeDirectory": f"/home/{person.user}"}
            _done(admin, admin.add(name_of(person.user), "user", {**names, **posix, "mail": person.mail}))
        own = {"sAMAccountName": SERVICE, "userPrincipalName": SERVICE_NAME}
        _done(admin, admin.add(name_of(SERVICE), "user", own))
        _done(admin, admin.extend.microsoft.modify_password(name_of(SERVICE), PASSWORD))
        _done(admin, admin.modify(name_of(SERVICE), {"userAccountControl": [(MODIFY_REPLACE, [_NORMAL_ACCOUNT])]}))
        for group in GROUPS:
            _done(admin, admin.add(name_of(group), "group", {"sAMAccountName": group}))
        for group, members in GROUPS.items():
            added = [(MODIFY_ADD, [name_of(member) for member in members])]
            _done(admin, admin.modify(name_of(group), {"member": added}))


def _done(admin: Connection, done: object) -> None:
    if not done:
        raise BedError(f"Samba does not take it: {admin.result}")
