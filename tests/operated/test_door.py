"""Who may name whom as owner, asked of the API server itself: by people with the role `edit`, and by administrators."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.error import HTTPError

import pytest

from bed.kubernetes.binaries import binaries
from bed.operator import RELEASE
from slurmgate.resources.crd import structural
from slurmgate.resources.submission import JobSubmissionSpec
from tests.api import Json, Somebody, path
from tests.chart.support import Helm, one
from tests.unit.core.test_owners import RULES
from tests.world import AS_OPERATOR, World, manifest

pytestmark = pytest.mark.slow

KIRBY, MARIO = "kirby@example.org", "mario@example.org"
TEAM, NOBODYS = "door-team", "door-nobodys"
EDITORS = "door-editors"
ADMINS = "system:masters"
GROUPS = pytest.mark.parametrize("group", [EDITORS, ADMINS])

_OWNER = re.compile(structural(JobSubmissionSpec)["properties"]["owner"]["pattern"])
ASKED = {case: rule for case, rule in RULES.items() if _OWNER.search(rule[1])}
"""Those whose owner the schema lets through."""


def place(case: str) -> str:
    """The namespace that has the annotation of a case."""
    return f"door-{list(RULES).index(case)}"


def submission(owner: str, namespace: str) -> Json:
    return manifest(namespace=namespace, owner=owner, clusterRef={"name": "never-there"})


@pytest.fixture(scope="module")
def door(world: World) -> World:
    """Namespaces with all kinds of annotations, in which editors may write submissions. The policy is in force."""
    for case, (annotation, _, _) in ASKED.items():
        world.make("Namespace", place(case), annotations={} if annotation is None else {"slurmgate.dev/owners": annotation})
    world.make("Namespace", TEAM, annotations={"slurmgate.dev/owners": "*@example.org"})
    world.make("Namespace", NOBODYS)
    world.kubectl("create", "clusterrolebinding", EDITORS, f"--clusterrole={RELEASE}-edit", f"--group={EDITORS}")
    probe, kirby = submission(KIRBY, NOBODYS), Somebody(KIRBY, EDITORS)
    world.eventually(lambda: world.api.refusal(probe, who=kirby), lambda words: "may not be named" in words)
    return world


@GROUPS
@pytest.mark.parametrize("case", ASKED)
def test_the_api_server_reads_the_annotation_as_the_operator_does(door: World, case: str, group: str) -> None:
    _, owner, allowed = ASKED[case]
    words = door.api.refusal(submission(owner, place(case)), who=Somebody(KIRBY, group))
    assert (words == "") is allowed, words
    if words:
        assert f"spec.owner: {owner} may not be named in namespace {place(case)}" in words
        assert "annotation slurmgate.dev/owners" in words


def test_the_operator_makes_submissions_for_whom_jobbergate_vouches(door: World) -> None:
    assert door.api.refusal(submission(MARIO, NOBODYS), who=AS_OPERATOR) == ""


def test_a_changed_annotation_counts_from_then_on(door: World) -> None:
    namespace = door.make("Namespace", "door-changing", annotations={"slurmgate.dev/owners": MARIO})
    body, kirby = submission(KIRBY, namespace), Somebody(KIRBY, EDITORS)
    assert "may not be named" in door.api.refusal(body, who=kirby)
    door.make("Namespace", namespace, annotations={"slurmgate.dev/owners": KIRBY})
    door.eventually(lambda: door.api.refusal(body, who=kirby), lambda words: not words)


ATTEMPTS: dict[str, tuple[str, Json, HTTPStatus | None]] = {
    "the user in status": ("/status", {"status": {"user": "mario"}}, HTTPStatus.FORBIDDEN),
    "the user, past the subresource": ("", {"status": {"user": "mario"}}, None),
    "the owner": ("", {"spec": {"owner": MARIO}}, HTTPStatus.UNPROCESSABLE_ENTITY),
}


def test_whoever_may_edit_a_submission_does_not_become_somebody_else(door: World) -> None:
    job = door.submit("sleep 600")
    job.wait_for_state("RUNNING")
    where = path("JobSubmission", job.name, job.namespace)
    for case, (subresource, change, expected) in ATTEMPTS.items():
        assert code(door, where + subresource, change) == expected, case
    assert code(door, path("Namespace", TEAM), {"metadata": {"annotations": {"a": "b"}}}) == HTTPStatus.FORBIDDEN

    job.patch(cancel=True)

    assert job.wait_for_phase("Cancelled")["user"] == "kirby"
    assert [(each["user"], each["state"]) for each in door.jobs_of(job.token)] == [("kirby", "CANCELLED")]


def code(world: World, where: str, change: Json) -> int | None:
    """With which code an editor's change is refused."""
    try:
        world.api.patch(where, change, who=Somebody(KIRBY, EDITORS))
    except HTTPError as error:
        return error.code
    return None


# Whoever creates a submission is its owner ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["", "oidc:"], ids=["plain names", "names with a prefix"])
def prefix(request: pytest.FixtureRequest, door: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The chart's rule in one namespace, for a server whose names of people begin so."""
    begin: str = request.param
    name = f"{RELEASE}-creator"
    helm = Helm(binaries(["helm"]) / "helm", tmp_path_factory.mktemp("home"))
    served = "--api-versions=admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
    manifests = helm.template({"admission": {"ownerIsCreator": True, "usernamePrefix": begin}}, served)
    policy, binding = (one(manifests, f"ValidatingAdmissionPolicy{kind}", name) for kind in ("", "Binding"))
    binding["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": TEAM}}}
    door.kubectl("apply", "--filename=-", stdin=door.yaml(policy, binding))
    probe, nobody = submission(KIRBY, TEAM), Somebody("nobody", EDITORS)
    door.eventually(lambda: door.api.refusal(probe, who=nobody), lambda words: "is not nobody" in words)
    yield begin
    door.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)
    door.eventually(lambda: door.api.refusal(probe, who=nobody), lambda words: not words)


CREATORS: dict[str, tuple[str, str, bool]] = {
    "the owner": (KIRBY, KIRBY, True),
    "the owner in capitals": ("Kirby@Example.ORG", KIRBY, True),
    "somebody else": (MARIO, KIRBY, False),
    "a name that only ends alike": (KIRBY, f"x{KIRBY}", False),
    "a name that only begins alike": (KIRBY, f"{KIRBY}.evil", False),
    "a name without domain": (KIRBY, "kirby", False),
}


@GROUPS
@pytest.mark.parametrize("case", CREATORS)
def test_only_the_owner_creates_a_submission(door: World, prefix: str, case: str, group: str) -> None:
    owner, who, allowed = CREATORS[case]
    words = door.api.refusal(submission(owner, TEAM), who=Somebody(prefix + who, group))
    assert (words == "") is allowed, words
    if words:
        assert f"{owner} is not {prefix + who}: whoever creates a submission has to be its owner" in words


def test_a_name_without_the_prefix_is_somebody_elses(door: World, prefix: str) -> None:
    words = door.api.refusal(submission(KIRBY, TEAM), who=Somebody(KIRBY, EDITORS))
    assert bool(words) is bool(prefix)


@pytest.mark.usefixtures("prefix")
def test_the_operator_creates_those_of_jobbergate_for_everybody(door: World) -> None:
    assert door.api.refusal(submission(MARIO, TEAM), who=AS_OPERATOR) == ""
