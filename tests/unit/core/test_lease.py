"""Who may lead: a table of what is seen, and random histories of two who want to."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurmgate.core.lease import RELEASED_SECONDS, Lease, Sighting, Terms, claim, held_until, release, see

TERMS = Terms(duration=15, renew_deadline=10, retry_period=2)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
BEFORE = datetime(2026, 7, 1, 11, tzinfo=UTC)
OTHERS = Lease("other", 15, BEFORE, BEFORE, transitions=3)
MINE = replace(OTHERS, holder="me")
TAKEN = Lease("me", 15, NOW, NOW, transitions=4)


@pytest.mark.parametrize(
    ("seen", "clock", "wanted"),
    [
        pytest.param(None, 0, Lease("me", 15, NOW, NOW), id="there is none: it is made"),
        pytest.param(Sighting(OTHERS, 100), 114.9, None, id="somebody has it and was heard of"),
        pytest.param(Sighting(OTHERS, 100), 115, TAKEN, id="somebody has it and was not heard of for its duration"),
        pytest.param(Sighting(replace(OTHERS, duration=60), 100), 159, None, id="the duration is what the holder wrote"),
        pytest.param(Sighting(replace(OTHERS, holder=""), 100), 100, TAKEN, id="it was released"),
        pytest.param(Sighting(Lease(), 100), 100, replace(TAKEN, transitions=1), id="it says nothing"),
        pytest.param(Sighting(Lease("other"), 100), 100, replace(TAKEN, transitions=1), id="it says nothing of a duration"),
        pytest.param(Sighting(MINE, 100), 101, replace(MINE, renewed=NOW), id="it is mine: renewed"),
        pytest.param(Sighting(MINE, 100), 999, replace(MINE, renewed=NOW), id="it is mine and ran out, and nobody took it"),
        pytest.param(
            Sighting(replace(MINE, duration=60), 100),
            101,
            replace(MINE, renewed=NOW),
            id="it is mine, by other terms",
        ),
    ],
)
def test_what_is_claimed(seen: Sighting | None, clock: float, wanted: Lease | None) -> None:
    assert claim("me", TERMS, seen, clock=clock, now=NOW) == wanted


def test_a_word_that_is_not_new_is_no_sign_of_life() -> None:
    first = see(None, OTHERS, 100)
    assert first == see(first, OTHERS, 110) == Sighting(OTHERS, 100)
    assert see(first, replace(OTHERS, renewed=NOW), 110).since == 110


def test_times_of_other_machines_mean_nothing() -> None:
    ahead = replace(OTHERS, renewed=datetime(2099, 1, 1, tzinfo=UTC))
    assert claim("me", TERMS, Sighting(ahead, 100), clock=115, now=NOW) is not None
    behind = replace(OTHERS, renewed=datetime(1999, 1, 1, tzinfo=UTC))
    assert claim("me", TERMS, Sighting(behind, 100), clock=101, now=NOW) is None


def test_what_is_released_is_free_at_once() -> None:
    freed = release(MINE, NOW)
    assert freed == Lease("", RELEASED_SECONDS, NOW, NOW, transitions=3)
    assert claim("other", TERMS, see(Sighting(MINE, 100), freed, 101), clock=101, now=NOW) == replace(TAKEN, holder="other")


# Two who want to lead -------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """Keeps one Lease; takes what is written to the version that it has."""

    lease: Lease | None = None
    version: int = 0

    def write(self, lease: Lease, version: int) -> bool:
        if version != self.version:
            return False
        self.lease, self.version = lease, self.version + 1
        return True


@dataclass
class Candidate:
    """Looks and claims as `kube.lease` does; each of its requests may be on its way, or on its way back, for any time."""

    name: str
    rate: float
    """How fast its clock goes."""
    offset: float
    seen: Sighting | None = None
    version: int = 0
    until: float = float("-inf")
    looked: tuple[Lease | None, int] | None = None
    sent: tuple[Lease, int, float] | None = None
    answered: tuple[bool, Lease, int, float] | None = None
    claims: int = 0
    led: int = 0

    def clock(self, time: float) -> float:
        return self.offset + self.rate * time

    def leads(self, time: float) -> bool:
        return self.clock(time) < self.until

    def step(self, server: Server, time: float) -> None:
        """The next thing that happens to it."""
        clock = self.clock(time)
        if self.answered:
            accepted, lease, version, asked = self.answered
            self.answered = None
            if accepted:
                self.seen, self.version = see(self.seen, lease, clock), version
                self.until = held_until(asked, TERMS)
                self.led += self.leads(time)
        elif self.sent:
            lease, version, asked = self.sent
            self.sent, self.answered = None, (server.write(lease, version), lease, server.version, asked)
        elif self.looked:
            lease_then, self.version = self.looked
            self.looked = None
            self.seen = see(self.seen, lease_then, clock) if lease_then else None
            self.claims += 1
            told = NOW + timedelta(microseconds=self.claims)
            wanted = claim(self.name, TERMS, self.seen, clock=clock, now=told)
            self.sent = (wanted, self.version, clock) if wanted else None
        else:
            self.looked = (server.lease, server.version)


PAUSES = st.sampled_from([0.0, 0.1, 1.0, 2.0, 5.0, 9.9, 14.0, 15.1, 40.0])
TURNS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4), PAUSES), max_size=40)
"""Whose turn it is, how many steps it does, and what time passes before that."""
CLOCKS = st.tuples(st.floats(0.85, 1.15), st.floats(-1e6, 1e6))


@settings(max_examples=300)
@given(turns=TURNS, clocks=st.tuples(CLOCKS, CLOCKS))
def test_two_never_lead_at_once_however_they_are_held_up(
    turns: list[tuple[int, int, float]], clocks: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    server, time = Server(), 0.0
    both = [Candidate(name, *clock) for name, clock in zip("ab", clocks, strict=True)]
    for turn, steps, pause in turns:
        time += pause
        for _ in range(steps):
            both[turn].step(server, time)
            assert not all(each.leads(time) for each in both)


def test_in_such_a_history_each_may_lead() -> None:
    server, time = Server(), 0.0
    first, second = both = [Candidate("a", 1.0, 0.0), Candidate("b", 1.0, 500.0)]
    for alive in (both, [second]):
        for _ in range(40):
            time += 1
            for each in alive:
                each.step(server, time)
    assert first.led
    assert second.led
