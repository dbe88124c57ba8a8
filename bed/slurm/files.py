"""The folder of a cluster: its people's homes, what its daemons keep, and what its `/etc` has other than the machine's."""

import os
import pwd
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bed.keys import KeyPair, host_certificate, ssh_key
from bed.slurm.namespace import HOSTNAME
from bed.slurm.options import Options
from bed.slurm.people import CLUSTER, DATABASE, Person

_TEMPLATES = Path(__file__).parent / "conf"


@dataclass(frozen=True)
class HostKeys:
    """What the hosts of a cluster are recognised by: public keys."""

    sshd: str
    jump: str | None
    """Only with the option `jump`."""
    authority: str
    """Has signed the others."""


def lay_out(folder: Path, options: Options, ports: Mapping[str, int]) -> HostKeys:
    """Prepare everything in the folder but people and database, and the keys of both authorities beside it."""
    for name in ("etc", "home", "log", "run", *(f"spool/{node}" for node in options.node_names)):
        make_folder(folder / name)
    make_folder(folder / "tmp", mode=0o1777)
    make_folder(folder / "state", owner="slurm")
    etc = folder / "etc"
    for name in ("group", "hosts", "passwd", "shadow"):
        shutil.copy2(Path("/etc") / name, etc / name)
    _append(etc / "hosts", f"127.0.0.1 {HOSTNAME}\n")
    make_folder(etc / "munge", mode=0o700, owner="munge")
    write_secret(etc / "munge" / "munge.key", os.urandom(128), owner="munge")
    _slurm(etc / "slurm", options, ports)
    return _ssh(etc / "ssh", folder.parent / "keys", options, ports)


def settle(person: Person, folder: Path, key: KeyPair) -> None:
    """Make a user who can log in with `key`."""
    etc, home = folder / "etc", folder / "home" / person.name
    _append(etc / "passwd", f"{person.name}:x:{person.uid}:{person.uid}::/home/{person.name}:/bin/bash\n")
    _append(etc / "group", f"{person.name}:x:{person.uid}:\n")
    # An asterisk: no password fits. An exclamation mark would be a locked account, which sshd refuses.
    _append(etc / "shadow", f"{person.name}:*:19000:0:99999:7:::\n")
    make_folder(home)
    make_folder(home / ".ssh", mode=0o700)
    (home / ".ssh" / "authorized_keys").write_text(f"{key.public} {person.name}\n")
    (etc / "ssh" / "principals" / person.name).write_text(f"{person.name}\n")
    if person.bashrc:
        (home / ".bashrc").write_text(person.bashrc)
    for path in (home, *home.rglob("*")):
        os.chown(path, person.uid, person.uid)


def _slurm(etc: Path, options: Options, ports: Mapping[str, int]) -> None:
    make_folder(etc)
    values = {
        **options.model_dump(),
        **ports,
        "cluster": CLUSTER,
        "database": DATABASE,
        "hostname": HOSTNAME,
        "node_ports": ",".join(str(ports[node]) for node in options.node_names),
    }
    private = f"PrivateData={options.private_data}\n" if options.private_data else ""
    accounting = filled("accounting.conf", values) if options.accounting else ""
    profile = "AcctGatherProfileType=acct_gather_profile/influxdb\n" if options.profile else ""
    added = accounting + profile + private + options.extra_conf + "\n"
    (etc / "slurm.conf").write_text(filled("slurm.conf", values) + added)
    # slurmd counts GPUs by their device files; these are further /dev/nulls.
    for number in range(4):
        os.mknod(etc / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (etc / "gres.conf").write_text("Name=gpu File=/etc/slurm/gpu[0-3]\n")
    (etc / "cgroup.conf").write_text("CgroupAutomount=no\n")
    write_secret(etc / "jwt.key", os.urandom(32), owner="slurm")
    if options.accounting:
        # PrivateData belongs in both files: with slurm.conf alone sacct shows everybody's jobs.
        write_secret(etc / "slurmdbd.conf", (filled("slurmdbd.conf", values) + private).encode(), owner="slurm")


def _ssh(etc: Path, keys: Path, options: Options, ports: Mapping[str, int]) -> HostKeys:
    make_folder(etc / "principals")
    make_folder(keys)
    (etc / "user_authority.pub").write_text(f"{ssh_key(keys / 'user-authority').public}\n")
    (etc / "revoked_keys").touch()  # without it sshd takes no key at all
    authority = ssh_key(keys / "host-authority")

    def sshd(name: str, pid: str) -> str:
        values = {**options.model_dump(), "name": name, "pid": pid, "port": ports[pid]}
        addresses = "".join(f"ListenAddress {address}\n" for address in options.listen)
        (etc / f"{name}_config").write_text(filled("sshd_config", values) + addresses)
        key = ssh_key(etc / f"{name}_host_key")
        (etc / f"{name}_host_key-cert.pub").write_text(f"{host_certificate(key, authority, options.listen)}\n")
        return key.public

    return HostKeys(sshd("bed", "sshd"), sshd("jump", "jump") if options.jump else None, authority.public)


def filled(template: str, values: Mapping[str, object]) -> str:
    """The text of a file in `conf`, with the values put in."""
    return Template((_TEMPLATES / template).read_text()).substitute(values)


def make_folder(path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
    """Make a folder and those above it; the last one gets the mode and the owner."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if owner:
        shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)


def write_secret(path: Path, content: bytes, *, owner: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
