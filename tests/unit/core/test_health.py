"""What a SlurmCluster says of itself."""

import pytest

from slurmgate.core.health import Health, MappingHealth, cluster_conditions
from slurmgate.core.outcomes import ClusterFacts, Unavailable
from slurmgate.core.reasons import Reason

GOOD = MappingHealth(usable=2)
FACTS = ClusterFacts(slurm_version="22.05.8", cluster_name="valhalla", hides_jobs=False, accounting=True, partitions=())
DOORS = (
    "MappingValid",
    "Reachable",
    "HostKeyVerified",
    "Authenticated",
    "ControllerUp",
    "AccountingAvailable",
    "VersionSupported",
)


def facts(*, version: str = "22.05.8", accounting: bool = True) -> ClusterFacts:
    return ClusterFacts(slurm_version=version, cluster_name="valhalla", hides_jobs=False, accounting=accounting, partitions=())


def down(reason: Reason) -> Unavailable:
    return Unavailable(reason, f"words about {reason}")


Y, N, U = True, False, None
DOWN: dict[str, tuple[Reason, list[bool | None]]] = {
    "no login node answers": (Reason.CLUSTER_UNREACHABLE, [Y, N, U, U, U, U, U]),
    "the host key is another": (Reason.HOST_KEY_MISMATCH, [Y, Y, N, U, U, U, U]),
    "the login node refuses the key": (Reason.AUTHENTICATION_FAILED, [Y, Y, Y, N, U, U, U]),
    "the key cannot be read": (Reason.KEY_UNAVAILABLE, [Y, Y, Y, N, U, U, U]),
    "slurmctld does not answer": (Reason.CONTROLLER_UNAVAILABLE, [Y, Y, Y, Y, N, U, U]),
    "a command is missing": (Reason.COMMAND_FAILED, [Y, Y, Y, Y, N, U, U]),
}
CASES: dict[str, tuple[Health, list[bool | None], bool | None, Reason]] = {
    "nothing was asked yet": (Health(), [U, U, U, U, U, U, U], U, Reason.NOT_CHECKED),
    "the mapping is there, the cluster was not asked yet": (
        Health(mapping=GOOD),
        [Y, U, U, U, U, U, U],
        U,
        Reason.NOT_CHECKED,
    ),
    "everything answers": (Health(mapping=GOOD, answer=facts()), [Y, Y, Y, Y, Y, Y, Y], Y, Reason.AVAILABLE),
    "there is no accounting, which is no illness": (
        Health(mapping=GOOD, answer=facts(accounting=False)),
        [Y, Y, Y, Y, Y, N, Y],
        Y,
        Reason.AVAILABLE,
    ),
    **{name: (Health(mapping=GOOD, answer=down(reason)), doors, N, reason) for name, (reason, doors) in DOWN.items()},
    "Slurm is too old": (
        Health(mapping=GOOD, answer=facts(version="21.08.8-2")),
        [Y, Y, Y, Y, Y, Y, N],
        N,
        Reason.VERSION_TOO_OLD,
    ),
    "there is no mapping": (
        Health(mapping=MappingHealth(unreadable="no ConfigMap"), answer=facts()),
        [N, Y, Y, Y, Y, Y, Y],
        N,
        Reason.UNREADABLE,
    ),
    "some entries of the mapping are bad": (
        Health(mapping=MappingHealth(1, ("line 3: duplicate",)), answer=facts()),
        [N, Y, Y, Y, Y, Y, Y],
        Y,
        Reason.PROBLEMS_FOUND,
    ),
    "some entries of the mapping are bad, and the cluster does not answer either": (
        Health(mapping=MappingHealth(1, ("line 3: duplicate",)), answer=down(Reason.CLUSTER_UNREACHABLE)),
        [N, N, U, U, U, U, U],
        N,
        Reason.CLUSTER_UNREACHABLE,
    ),
    "some entries of the mapping are bad, and the cluster was not asked yet": (
        Health(mapping=MappingHealth(1, ("line 3: duplicate",))),
        [N, U, U, U, U, U, U],
        U,
        Reason.NOT_CHECKED,
    ),
    "a plugin knows the people, and fails for some": (
        Health(mapping=MappingHealth(None, ("kirby: plugin staff failed",)), answer=facts()),
        [N, Y, Y, Y, Y, Y, Y],
        Y,
        Reason.PROBLEMS_FOUND,
    ),
    "a plugin knows the people, and fails": (
        Health(
            mapping=MappingHealth(None, unreadable="plugin staff failed", source_down=Reason.PLUGIN_UNAVAILABLE), answer=facts()
        ),
        [N, Y, Y, Y, Y, Y, Y],
        N,
        Reason.PLUGIN_UNAVAILABLE,
    ),
    "a directory knows the people, and does not answer": (
        Health(
            MappingHealth(None, unreadable="ldaps://a: timed out", source_down=Reason.DIRECTORY_UNAVAILABLE), answer=facts()
        ),
        [N, Y, Y, Y, Y, Y, Y],
        N,
        Reason.DIRECTORY_UNAVAILABLE,
    ),
    "everybody is the same user, which is said although all is well": (
        Health(mapping=MappingHealth(1, everybody="jarvice"), answer=facts()),
        [Y, Y, Y, Y, Y, Y, Y],
        Y,
        Reason.SINGLE_USER,
    ),
    "the host keys cannot be read": (
        Health(mapping=GOOD, configuration="ConfigMap host-keys does not exist", answer=facts()),
        [Y, Y, Y, Y, Y, Y, Y],
        N,
        Reason.UNREADABLE,
    ),
}


@pytest.mark.parametrize(("health", "doors", "ready", "reason"), CASES.values(), ids=CASES.keys())
def test_conditions(health: Health, doors: list[bool | None], ready: bool | None, reason: Reason) -> None:
    conditions = cluster_conditions(health)
    assert [(kind, value) for kind, value, _, _ in conditions[:-1]] == list(zip(DOORS, doors, strict=True))
    assert conditions[-1][:3] == ("Ready", ready, reason)


SERVED = ["22.05.0", "22.05.11", "23.02.7", "24.11.5", "26.05.5", "22.05.8-ubuntu", "master", "²", "9" * 5000]


@pytest.mark.parametrize("version", SERVED)
def test_versions_that_are_served(version: str) -> None:
    assert cluster_conditions(Health(mapping=GOOD, answer=facts(version=version)))[-1][1] is True


@pytest.mark.parametrize("version", ["22.02.9", "21.08.8-2", "20.11.0", "2.6.5"])
def test_versions_that_are_too_old(version: str) -> None:
    assert cluster_conditions(Health(mapping=GOOD, answer=facts(version=version)))[-1][2] is Reason.VERSION_TOO_OLD


def test_what_was_known_stays_known_while_the_cluster_does_not_answer() -> None:
    health = Health().told(FACTS).told(down(Reason.CLUSTER_UNREACHABLE))
    assert health.facts == FACTS
    assert isinstance(health.answer, Unavailable)


def test_that_nobody_is_known_who_could_ask_is_told_when_it_is_so_for_a_while() -> None:
    starting = Health(mapping=MappingHealth(usable=None)).told(None)
    assert not starting.tells
    lonely = starting.told(None)
    assert lonely.tells
    kind, value, reason, message = cluster_conditions(lonely)[-1]
    assert (kind, value, reason) == ("Ready", None, Reason.NOT_CHECKED)
    assert "known once they submit something" in message
    assert cluster_conditions(lonely.told(FACTS))[-1][1] is True


def test_the_words_of_what_is_wrong_are_told() -> None:
    conditions = cluster_conditions(Health(mapping=GOOD, answer=down(Reason.CLUSTER_UNREACHABLE)))
    assert conditions[-1][3] == "words about ClusterUnreachable"


def test_who_everybody_is_stands_in_both_conditions() -> None:
    conditions = cluster_conditions(Health(mapping=MappingHealth(1, everybody="jarvice"), answer=facts()))
    words = {message for kind, _, _, message in conditions if kind in {"MappingValid", "Ready"}}
    assert len(words) == 1
    assert words.pop().startswith("Everybody's jobs run as jarvice: ")
