"""Each attempt succeeds where its defence was taken out: what is refused in test_kept_out.py is refused by that defence."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults.doomed import Fate
from tests.faults.nursery import Nursery, resting
from tests.security.attempt import Attempt, Ground
from tests.security.attempts.everything import ATTEMPTS
from tests.security.mutants import MUTANTS, Mutant
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nursery(world: World) -> Iterator[Nursery]:
    """The world's own operator rests; its mutants are born and die."""
    with resting(world):
        yield Nursery(world.installation)


def of(mutant: Mutant) -> list[Attempt]:
    return [attempt for attempt in ATTEMPTS if attempt.without is mutant]


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.title.replace(" ", "-")) for each in MUTANTS])
def test_without_the_defence_they_get_in(
    world: World, ground: Callable[[str], Ground], nursery: Nursery, mutant: Mutant
) -> None:
    here, attempts = ground(f"m{MUTANTS.index(mutant)}"), of(mutant)
    assert attempts
    with mutant.weakened(world), nursery.life(Fate(mistakes=(mutant.mistake,))):
        try:
            for attempt in attempts:
                set_out(here, attempt)
            outside = list(attempts)

            def kept_out() -> list[str]:
                outside[:] = [attempt for attempt in outside if not attempt.got_in(here)]
                return [attempt.standing(here) for attempt in outside]

            world.eventually(kept_out, lambda left: not left, seconds=60)
        finally:
            for attempt in attempts:
                attempt.clean_up(here)


def set_out(here: Ground, attempt: Attempt) -> None:
    """Make an attempt, as soon as the API server enforces no more than it is to."""

    def words() -> str:
        attempt.set_out(here)
        return here.said.get(attempt.slug, "")

    here.world.eventually(words, lambda said: not said, seconds=20)
