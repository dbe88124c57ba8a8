"""One user's logins hang, and he has many submissions; another user does not notice."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.counting import await_all, case, ended, reason, statuses, submit, wrongs
from tests.world import World

CLUSTER = "valhalla"
MANY = 40
"""More than the places at which submissions of one cluster are worked on."""
HANGS = "touch /tmp/reached.$$; while [ -e /tmp/hangs ]; do sleep 0.1; done\n"


@contextmanager
def hanging(world: World, user: str) -> Iterator[None]:
    """The start file of this user does not come to its end before this does."""
    start_file = f"/home/{user}/.bashrc"
    world.slurm("sh", "-c", f"touch /tmp/hangs; cp --preserve {start_file} {start_file}.before")
    world.write(start_file, HANGS, user=user)
    try:
        yield
    finally:
        world.slurm("sh", "-c", f"rm /tmp/hangs; mv {start_file}.before {start_file}")


def test_forty_submissions_of_a_user_whose_start_file_hangs(world: World) -> None:
    many = [case(f"hanging {number}", "mario", CLUSTER) for number in range(MANY)]
    neighbours = [case("neighbour", "kirby", CLUSTER) for _ in range(3)]
    with hanging(world, "mario"):
        submit(world, many)
        world.eventually(lambda: world.slurm("sh", "-c", "ls /tmp/reached.* | wc -l"), lambda number: int(number) >= 4)
        submit(world, neighbours)
        await_all(world, neighbours, ended)
        # nobody's deadline had to be over before there was a place for them
        assert "LoginShellFailed" not in map(reason, statuses(world, many).values())
    await_all(world, many, ended)
    assert wrongs(world, [*neighbours, *many]) == {}
