"""Attempts to get in, made with real kubeconfigs upon the real parts: each fails, says why, and disturbs no neighbour."""

import re
from collections.abc import Callable, Iterator

import pytest

from tests.security.attempt import Attempt, Ground
from tests.security.attempts.everything import ATTEMPTS
from tests.world import Submission

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(ground: Callable[[str], Ground]) -> Iterator[Ground]:
    """All of them were made, one right after the other."""
    here = ground("honest")
    for attempt in ATTEMPTS:
        attempt.set_out(here)
    yield here
    for attempt in ATTEMPTS:
        attempt.clean_up(here)


@pytest.fixture(scope="module")
def neighbour(made: Ground) -> Submission:
    """Somebody who submits while all this goes on."""
    return made.world.submit("id -un", user="mario")


def test_a_neighbour_is_not_disturbed(neighbour: Submission) -> None:
    neighbour.wait_for_phase("Done")
    assert neighbour.output() == "mario\n"
    (job,) = neighbour.world.jobs_of(neighbour.token)
    assert (job["user"], job["state"]) == ("mario", "COMPLETED")


@pytest.mark.parametrize("attempt", [pytest.param(each, id=each.slug) for each in ATTEMPTS])
def test_it_fails_with_a_clear_refusal(made: Ground, attempt: Attempt) -> None:
    assert re.search(attempt.words, attempt.refusal(made), re.DOTALL)
    assert not attempt.got_in(made)
