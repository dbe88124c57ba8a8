"""When what has failed may be tried again."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.ssh.breaker import LOGIN_NODE, SEVERAL, USER, Breaker, Pace, State
from slurmgate.ssh.outcome import Cause, DidNotRun

PACE = Pace(first=1, longest=8, factor=2)
DOWN, STILL = (DidNotRun(Cause.UNREACHABLE, words) for words in ("down", "still down"))
CLOSED = Breaker(PACE)
OPEN = CLOSED.failed(DOWN, now=0, chance=0)
PROBING = OPEN.tried()


@pytest.mark.parametrize(
    ("breaker", "now", "state", "refusal"),
    [
        (CLOSED, 0, State.CLOSED, None),
        (CLOSED.tried(), 0, State.CLOSED, None),
        (OPEN, 0.9, State.OPEN, DOWN),
        (OPEN, 1, State.HALF_OPEN, None),
        (PROBING, 1, State.HALF_OPEN, DOWN),
        (PROBING.stopped(), 1, State.HALF_OPEN, None),
        (PROBING.reached(), 1, State.CLOSED, None),
        (PROBING.failed(STILL, now=1, chance=0), 2.9, State.OPEN, STILL),
        (PROBING.failed(STILL, now=1, chance=0), 3, State.HALF_OPEN, None),
        (PROBING.failed(STILL, now=1, chance=1), 3.4, State.OPEN, STILL),
        (OPEN.failed(STILL, now=0.5, chance=0), 1, State.HALF_OPEN, None),
        (PROBING.failed(STILL, now=1, chance=0).reached().failed(DOWN, now=9, chance=0), 10, State.HALF_OPEN, None),
        (CLOSED.hung("ada", DOWN, now=0, chance=0), 0, State.CLOSED, None),
        (PROBING.hung("ada", STILL, now=1, chance=0), 2, State.OPEN, STILL),
    ],
    ids=[
        "nothing is wrong",
        "tries together while nothing is wrong",
        "the pause after a failure",
        "its end",
        "one try is under way: nobody else tries",
        "it was given up: the next may",
        "it was good",
        "it was not: the pause is longer",
        "its end, too, comes",
        "chance makes it longer",
        "a failure that began before the pause does not make it longer",
        "after a success pauses begin anew",
        "one user's log-in hangs: the node is fine",
        "unless that was the one try",
    ],
)
def test_states(breaker: Breaker, now: float, state: State, refusal: DidNotRun | None) -> None:
    assert (breaker.state(now), breaker.refusal(now)) == (state, refusal)


def hang(*users: str) -> Breaker:
    breaker = CLOSED
    for user in users:
        breaker = breaker.hung(user, DOWN, now=0, chance=0)
    return breaker


def test_one_user_who_hangs_again_and_again_shuts_out_nobody() -> None:
    assert hang(*["ada"] * 10).state(0) is State.CLOSED


def test_several_in_a_row_do() -> None:
    users = [f"u{number}" for number in range(SEVERAL)]
    assert hang(*users[:-1]).state(0) is State.CLOSED
    assert hang(*users[:-1]).reached().hung(users[-1], DOWN, now=0, chance=0).state(0) is State.CLOSED
    assert hang(*users).state(0) is State.OPEN


@pytest.mark.parametrize(("pace", "most"), [(LOGIN_NODE, 30 * 1.25), (USER, 300 * 1.25)])
def test_pauses_grow_and_stay_bounded(pace: Pace, most: float) -> None:
    pauses = [pace.pause(failures, 0) for failures in range(1, 2000)]
    assert pauses == sorted(pauses)
    assert pace.pause(1999, 1) == most


def test_a_user_is_never_refused_five_times_in_ten_minutes() -> None:
    breaker, now = Breaker(USER), 0.0
    refused: list[float] = []
    while len(refused) < 30:
        breaker = breaker.failed(DOWN, now, chance=0)
        refused.append(now)
        now = breaker.retry_at
    assert all(fifth - first >= 600 for first, fifth in zip(refused, refused[4:], strict=False))


@dataclass
class Model:
    """What the pool does with a breaker, and what it must be like."""

    breaker: Breaker = CLOSED
    now: float = 0.0
    trying: list[bool] = field(default_factory=list)
    """Tries under way, and which of them is the probe."""
    failures: int = 0

    def play(self, action: str, seconds: float) -> None:
        self.now += seconds
        if action == "try":
            if self.breaker.refusal(self.now) is None:
                self.breaker = self.breaker.tried()
                self.trying.append(self.breaker.probing)
        elif self.trying:
            probe = self.trying.pop(0)
            if action == "stop" and probe:
                self.breaker = self.breaker.stopped()
            if action == "fail":
                self.breaker = self.breaker.failed(DOWN, self.now, chance=0.5)
            if action == "reach":
                self.breaker = self.breaker.reached()


ACTIONS = st.tuples(st.sampled_from(["try", "try", "fail", "reach", "stop"]), st.floats(0, 5))


@given(st.lists(ACTIONS, max_size=60))
def test_whatever_happens_it_can_be_tried_again_in_bounded_time_and_by_one_at_a_time(history: list[tuple[str, float]]) -> None:
    model = Model()
    for action, seconds in history:
        before = model.breaker
        model.play(action, seconds)
        if before.probing and model.breaker.probing:
            assert model.breaker == before  # nobody else has begun
        assert model.breaker.retry_at - model.now <= PACE.longest * 1.25
        if model.breaker.failure is not None:
            later = model.now + PACE.longest * 1.25
            assert model.breaker.probing or model.breaker.refusal(later) is None
        if model.breaker.probing:
            assert any(model.trying)  # somebody will say what came of it
