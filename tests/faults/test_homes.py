"""A home is full, read-only or gone, or a start file in it spoils the login: it is waited for, and the job runs once."""

from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.faults.counting import await_all, case, once, reason, statuses, submit
from tests.world import World

HOME = "/home/mario"
CLUSTER = "valhalla"

pytestmark = pytest.mark.usefixtures("_hasty")


@dataclass(frozen=True)
class Fault:
    """Shell lines for root on the login node: `$home` is spoilt, then it is as before."""

    spoil: str
    mend: str
    reason: str
    words: str
    again: str = "true"
    """Undoes what `mend` leaves, once the job has run."""


def mounted(mount: str) -> str:
    """Another file system over the home, with what was in it."""
    taken = 'rm -rf /tmp/spoilt && mkdir /tmp/spoilt && cp -a "$home/.ssh" "$home/.bashrc" /tmp/spoilt/'
    given = 'cp -a /tmp/spoilt/. "$home/" && chown mario: "$home"'
    return f"{taken} && {mount} && {given}"


SMALL = 'mount -t tmpfs -o mode=755,size=1m tmpfs "$home"'
WITH_QUOTA = (
    "truncate -s 128M /tmp/quota && mkfs.btrfs -q -f /tmp/quota && "
    'mount -o loop /tmp/quota "$home" && btrfs quota enable "$home" && btrfs qgroup limit 1M 0/5 "$home"'
)
FULL = '{ dd if=/dev/zero of="$home/filler" bs=4k 2>/dev/null || true; }'
EMPTY = 'rm "$home/filler"'
UMOUNT = 'umount --lazy "$home"'
BASHRC = '[ -e "$home/.bashrc.before" ] || cp -p "$home/.bashrc" "$home/.bashrc.before"; cat >"$home/.bashrc"'
RESTORE = 'mv "$home/.bashrc.before" "$home/.bashrc"'


def start_file(line: str, words: str) -> Fault:
    return Fault(f"{BASHRC} <<'END'\n{line}\nEND\n", RESTORE, "LoginShellFailed", words)


RELOAD = "until kill -HUP $(cat /run/sshd.pid); do sleep 0.1; done"  # there is no such file while it reloads
KEYS_ELSEWHERE = (
    'cp "$home/.ssh/authorized_keys" /etc/ssh/keys-mario && cp /etc/ssh/bed_config /etc/ssh/bed_config.before && '
    f"sed -i 's|^AuthorizedKeysFile.*|& /etc/ssh/keys-%u|' /etc/ssh/bed_config && {RELOAD}"
)
KEYS_AT_HOME = f"mv /etc/ssh/bed_config.before /etc/ssh/bed_config && {RELOAD}"

HOMES = {
    "full": Fault(f"{mounted(SMALL)} && {FULL}", EMPTY, "CommandFailed", "No space left on device", UMOUNT),
    "over quota": Fault(f"{mounted(WITH_QUOTA)} && {FULL}", EMPTY, "CommandFailed", "Disk quota exceeded", UMOUNT),
    "read-only": Fault(
        # busy if somebody has begun to write in between
        f'until mount --bind "$home" "$home" && mount -o remount,bind,ro "$home"; do {UMOUNT}; done',
        UMOUNT,
        "CommandFailed",
        "Read-only file system",
    ),
    "gone": Fault(
        f'{KEYS_ELSEWHERE} && mv "$home" "$home.away"',
        'mv "$home.away" "$home"',
        "CommandFailed",
        "the home is not there",
        KEYS_AT_HOME,
    ),
    "not mounted": Fault(
        f'{KEYS_ELSEWHERE} && mount -t tmpfs -o mode=755 tmpfs "$home"',
        UMOUNT,
        "CommandFailed",
        "the home is not there",
        KEYS_AT_HOME,
    ),
    "start file prints megabytes": start_file("head -c 8000000 /dev/zero | tr '\\0' x", "stopped after 262144 bytes of output"),
    "start file ends the shell": start_file("echo no licence >&2; exit 1", "(exit status 1): no licence"),
    "start file hangs": start_file("sleep 1000", "did not end within 5 s"),
}


def shell(world: World, lines: str) -> None:
    world.slurm("sh", "-ec", f"home={HOME}\n{lines}")


@pytest.mark.slow
@pytest.mark.parametrize("fault", HOMES.values(), ids=HOMES.keys())
def test_it_is_waited_for_and_runs_once(world: World, fault: Fault) -> None:
    waiting, other = case("home", "mario", CLUSTER), case("home", "kirby", CLUSTER)
    with ExitStack() as after:
        after.callback(shell, world, fault.again)
        with ExitStack() as meanwhile:
            meanwhile.callback(shell, world, fault.mend)
            shell(world, fault.spoil)
            submit(world, [waiting, other])
            await_all(world, [waiting], lambda status: reason(status) == fault.reason)
            assert fault.words in str(statuses(world, [waiting]))
            once(world, other)
        once(world, waiting)
