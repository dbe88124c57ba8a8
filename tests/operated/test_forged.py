"""What comes from Jobbergate is made by the operator alone: from anybody else the API server does not take it."""

import pytest

from tests.api import Json, Somebody
from tests.world import OPERATOR, World, manifest

PLACE = "castle"
KIRBY = "kirby"
MADE = {"submissionId": 7}
FILE = {"name": "data.csv", "jobbergate": {"jobScriptId": 3, "filename": "data.csv"}}

FORGED: dict[str, tuple[Json, str]] = {
    "the id of a submission": (manifest(jobbergate=MADE), "spec.jobbergate.submissionId is for Slurmgate to write"),
    "a file of a job script": (manifest(files=[FILE]), "spec.files[].jobbergate is for submissions that Slurmgate makes"),
    "one of several files": (manifest(files=[{"name": "a", "inline": "1"}, FILE]), "spec.files[].jobbergate is for"),
    "a name": (manifest(name="jg-valhalla-7"), "Names that begin with jg- are those of submissions from Jobbergate"),
    "a name to be made up": (manifest(name="jg-"), "Names that begin with jg- are those of submissions from Jobbergate"),
}
HONEST: dict[str, Json] = {
    "nothing of it": manifest(),
    "a wish to be told to jobbergate": manifest(jobbergate={"register": True}),
    "another file": manifest(files=[{"name": "a", "inline": "1"}]),
    "another name": manifest(name="my-jg-7"),
}


@pytest.fixture(scope="module")
def place(world: World) -> str:
    """A namespace in which kirby and the operator may write submissions. The policy is in force, which takes it seconds."""
    world.make("Namespace", PLACE, annotations={"slurmgate.dev/owners": "*@example.org"})
    users = [f"--user={who}" for who in (KIRBY, OPERATOR)]
    world.kubectl("create", "rolebinding", "writers", f"--namespace={PLACE}", "--clusterrole=slurmgate-edit", *users)
    forged, _ = FORGED["a name"]
    world.eventually(lambda: creation(world, PLACE, forged, KIRBY), lambda words: "Names that begin" in words)
    return PLACE


@pytest.mark.parametrize("case", FORGED)
@pytest.mark.parametrize("who", [KIRBY, "admin"])
def test_people_are_refused_and_told_what_to_do(world: World, place: str, who: str, case: str) -> None:
    forged, words = FORGED[case]
    refused = creation(world, place, forged, who)
    assert "slurmgate-jobbergate" in refused
    assert words in refused


@pytest.mark.parametrize("case", FORGED)
def test_the_operator_may(world: World, place: str, case: str) -> None:
    assert creation(world, place, FORGED[case][0], OPERATOR) == ""


@pytest.mark.parametrize("case", HONEST)
def test_what_people_may_stays_theirs(world: World, place: str, case: str) -> None:
    assert creation(world, place, HONEST[case], KIRBY) == ""


def test_what_is_there_may_be_cancelled_by_whoever_may_write_it_and_not_passed_off(world: World) -> None:
    submission = world.submit(clusterRef={"name": "never-there"})
    assert "create another submission" in submission.refused_patch(jobbergate=MADE)
    assert "create another submission" in submission.refused_patch(files=[FILE])
    submission.patch(cancel=True)


def creation(world: World, place: str, body: Json, who: str) -> str:
    """The words with which the API server refuses to create it for somebody; empty if it would not."""
    metadata = {**body["metadata"], "namespace": place}
    if metadata["name"].endswith("-"):
        metadata["generateName"] = metadata.pop("name")
    group = "system:masters" if who == "admin" else ""
    return world.api.refusal({**body, "metadata": metadata}, who=Somebody(who, group))
