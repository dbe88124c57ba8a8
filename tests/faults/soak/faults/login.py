"""What happens on the login node: sshd, accounts, keys, homes, shells, the clock."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from bed.keys import ssh_key
from bed.operator import NAMESPACE
from tests.faults.soak.ground import Ground
from tests.faults.soak.kinds import USERS

HALF_OPEN = 8
"""MaxStartups of the bed's sshd."""
_READ_ONLY = """
until mount --bind "/home/$1" "/home/$1" && mount -o remount,bind,ro "/home/$1"; do
    umount --lazy "/home/$1" # busy: somebody has begun to write in between
done
"""
_CONFIG = "/etc/ssh/bed_config"
_CLOCK = """
mkdir -p /tmp/clock
printf '#!/bin/sh\\nexec /usr/bin/date --date="%s hour" "$@"\\n' "$1" >/tmp/clock/date
chmod 755 /tmp/clock/date
"""


def _restart_sshd(ground: Ground) -> None:
    ground.slurm.service("sshd").restart()
    for proxy in ground.ssh:  # or nobody would notice for an hour
        proxy.cut()


@contextmanager
def sshd_away(ground: Ground, _: Random) -> Iterator[None]:
    """Neither old sessions nor new ones."""
    sshd = ground.slurm.service("sshd")
    sshd.kill()
    ground.shell("pkill -KILL sshd; true")
    try:
        yield
    finally:
        sshd.start()


@contextmanager
def few_sessions(ground: Ground, chance: Random) -> Iterator[None]:
    """MaxSessions is less than the operator reckons with."""
    ground.shell(f'sed -i "s/^MaxSessions .*/MaxSessions $1/" {_CONFIG}', str(chance.randint(1, 3)))
    _restart_sshd(ground)
    try:
        yield
    finally:
        ground.shell(f'sed -i "s/^MaxSessions .*/MaxSessions 10/" {_CONFIG}')
        _restart_sshd(ground)


@contextmanager
def many_startups(ground: Ground, _: Random) -> Iterator[None]:
    """MaxStartups is exhausted by connections that never log in."""
    slurm = ground.slurm.description
    for proxy in ground.ssh:
        proxy.cut()
    with ExitStack() as stack:
        for _number in range(HALF_OPEN):
            stack.enter_context(socket.create_connection((slurm.host, slurm.port), timeout=5))
        yield


@contextmanager
def host_key_rotated(ground: Ground, _: Random) -> Iterator[None]:
    """Sshd has another key, and known_hosts follows a moment later."""
    file = ground.new_key()
    public = ssh_key(file).public
    shutil.copyfile(file, ground.slurm.namespace.root / "etc/ssh/bed_host_key")
    _restart_sshd(ground)
    try:
        yield
    finally:
        ground.publish_known_hosts(public)


@contextmanager
def user_key_rotated(ground: Ground, chance: Random) -> Iterator[None]:
    """A user has another key, and the Secret follows a moment later."""
    user, file = chance.choice(USERS), ground.new_key()
    ground.shell('echo "$2" >"/home/$1/.ssh/authorized_keys"', user, ssh_key(file).public)
    for proxy in ground.ssh:
        proxy.cut()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{user}-ssh-key", "namespace": NAMESPACE},
        "stringData": {"ssh-privatekey": file.read_text()},
    }
    try:
        yield
    finally:
        ground.insist(lambda: ground.api.apply(secret))


@contextmanager
def account_locked(ground: Ground, chance: Random) -> Iterator[None]:
    """`usermod --lock`, and whoever is logged in is thrown out."""
    user = chance.choice(USERS)
    ground.shell('usermod --lock "$1" && { pkill -KILL -u "$1" sshd; true; }', user)
    try:
        yield
    finally:
        ground.shell('usermod --unlock "$1"', user)


@contextmanager
def home_full(ground: Ground, chance: Random) -> Iterator[None]:
    """ENOSPC, at once or after a few blocks."""
    user, left = chance.choice(USERS), chance.randint(0, 5) * 4096
    script = 'fallocate -l "$(($(df --output=avail -B1 "/home/$1" | tail -1) - $2))" "/home/$1/.filler" || true'
    ground.shell(script, user, str(left))
    try:
        yield
    finally:
        ground.shell('rm -f "/home/$1/.filler"', user)


@contextmanager
def home_read_only(ground: Ground, chance: Random) -> Iterator[None]:
    """EROFS."""
    user = chance.choice(USERS)
    ground.shell(_READ_ONLY, user)
    try:
        yield
    finally:
        ground.shell('umount --lazy "/home/$1"', user)


@contextmanager
def home_gone(ground: Ground, chance: Random) -> Iterator[None]:
    """The file system is not mounted: an empty folder of root's is in its place."""
    user = chance.choice(USERS)
    ground.shell('mkdir -p /run/empty && mount --bind /run/empty "/home/$1"', user)
    try:
        yield
    finally:
        ground.shell('umount --lazy "/home/$1"', user)


@contextmanager
def _start_file(ground: Ground, user: str, lines: str) -> Iterator[None]:
    """This is in front of the user's ~/.bashrc."""
    script = 'cd "/home/$1" && touch .bashrc && mv .bashrc .bashrc.kept && { echo "$2"; cat .bashrc.kept; } >.bashrc'
    ground.shell(script, user, lines)
    try:
        yield
    finally:
        ground.shell('mv "/home/$1/.bashrc.kept" "/home/$1/.bashrc"', user)


@contextmanager
def shell_prints(ground: Ground, chance: Random) -> Iterator[None]:
    """Megabytes, to stdout and stderr."""
    lines = f"yes 'Welcome!' | head -c {chance.randint(1, 4_000_000)}; yes 'Beware!' | head -c 100000 >&2"
    with _start_file(ground, chance.choice(USERS), lines):
        yield


@contextmanager
def shell_hangs(ground: Ground, chance: Random) -> Iterator[None]:
    """For some seconds, or for longer than any deadline."""
    with _start_file(ground, chance.choice(USERS), f"sleep {chance.choice((1, 3, 300))}"):
        yield


@contextmanager
def clock_off(ground: Ground, chance: Random) -> Iterator[None]:
    """By an hour, either way, as far as programs of the user can see."""
    ground.shell(_CLOCK, chance.choice(("+1", "-1")))
    with _start_file(ground, chance.choice(USERS), "PATH=/tmp/clock:$PATH"):
        yield
