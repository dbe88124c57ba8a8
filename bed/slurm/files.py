"""The folder of a cluster: its people's homes, what its daemons keep, and what its `/etc` has other than the machine's."""

import os
import pwd
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from string import Template

from bed.keys import KeyPair, ssh_key
from bed.slurm.namespace import HOSTNAME
from bed.slurm.options import Options
from bed.slurm.people import CLUSTER, DATABASE, Person

_TEMPLATES = Path(__file__).parent / "conf"


def lay_out(folder: Path, options: Options, ports: Mapping[str, int]) -> str:
    """Prepare everything in the folder but people and database; return sshd's public key."""
    for name in ("etc", "home", "log", "run", *(f"spool/{node}" for node in options.node_names)):
        _folder(folder / name)
    _folder(folder / "tmp", mode=0o1777)
    _folder(folder / "state", owner="slurm")
    etc = folder / "etc"
    for name in ("group", "hosts", "passwd", "shadow"):
        shutil.copy2(Path("/etc") / name, etc / name)
    _append(etc / "hosts", f"127.0.0.1 {HOSTNAME}\n")
    _folder(etc / "munge", mode=0o700, owner="munge")
    _secret(etc / "munge" / "munge.key", os.urandom(128), owner="munge")
    _slurm(etc / "slurm", options, ports)
    return _sshd(etc / "ssh", options, ports).public


def settle(person: Person, folder: Path, key: KeyPair) -> None:
    """Make a user who can log in with `key`."""
    etc, home = folder / "etc", folder / "home" / person.name
    _append(etc / "passwd", f"{person.name}:x:{person.uid}:{person.uid}::/home/{person.name}:/bin/bash\n")
    _append(etc / "group", f"{person.name}:x:{person.uid}:\n")
    # An asterisk: no password fits. An exclamation mark would be a locked account, which sshd refuses.
    _append(etc / "shadow", f"{person.name}:*:19000:0:99999:7:::\n")
    _folder(home)
    _folder(home / ".ssh", mode=0o700)
    (home / ".ssh" / "authorized_keys").write_text(f"{key.public} {person.name}\n")
    if person.bashrc:
        (home / ".bashrc").write_text(person.bashrc)
    for path in (home, *home.rglob("*")):
        os.chown(path, person.uid, person.uid)


def _slurm(etc: Path, options: Options, ports: Mapping[str, int]) -> None:
    _folder(etc)
    values = {
        **options.model_dump(),
        **ports,
        "cluster": CLUSTER,
        "database": DATABASE,
        "hostname": HOSTNAME,
        "node_ports": ",".join(str(ports[node]) for node in options.node_names),
    }
    private = f"PrivateData={options.private_data}\n" if options.private_data else ""
    accounting = _filled("accounting.conf", values) if options.accounting else ""
    (etc / "slurm.conf").write_text(_filled("slurm.conf", values) + accounting + private + options.extra_conf + "\n")
    # slurmd counts GPUs by their device files; these are further /dev/nulls.
    for number in range(4):
        os.mknod(etc / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (etc / "gres.conf").write_text("Name=gpu File=/etc/slurm/gpu[0-3]\n")
    (etc / "cgroup.conf").write_text("CgroupAutomount=no\n")
    _secret(etc / "jwt.key", os.urandom(32), owner="slurm")
    if options.accounting:
        # PrivateData belongs in both files: with slurm.conf alone sacct shows everybody's jobs.
        _secret(etc / "slurmdbd.conf", (_filled("slurmdbd.conf", values) + private).encode(), owner="slurm")


def _sshd(etc: Path, options: Options, ports: Mapping[str, int]) -> KeyPair:
    _folder(etc)
    values = {**options.model_dump(), **ports}
    addresses = "".join(f"ListenAddress {address}\n" for address in options.listen)
    (etc / "bed_config").write_text(_filled("sshd_config", values) + addresses)
    return ssh_key(etc / "bed_host_key")


def _filled(template: str, values: Mapping[str, object]) -> str:
    return Template((_TEMPLATES / template).read_text()).substitute(values)


def _folder(path: Path, *, mode: int = 0o755, owner: str | None = None) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if owner:
        shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)


def _secret(path: Path, content: bytes, *, owner: str) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
    shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
