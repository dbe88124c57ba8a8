"""Whoever may make JobSubmissions gains nothing by writing somebody else's submission in Jobbergate into one.

The chart's admission policy is taken away here: what counts is what the operator does by itself.
"""

import base64
from typing import Any

import pytest

from bed import valhalla
from bed.jobbergate.person import Person
from bed.jobbergate.person import Submission as Row
from bed.operator import RELEASE
from tests.api import Json, path
from tests.synced import CLIENT, KIRBY, UNTIL_CANCELLED, cut_off, ended, made, name_of, reports, running, stopped, synced
from tests.world import Submission, World, manifest

pytestmark = pytest.mark.slow

LABELS = "slurmgate.dev/jobbergate-"


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    synced_world.kubectl("delete", "validatingadmissionpolicybinding", f"{RELEASE}-jobbergate")
    probe = manifest(name="jg-probe", clusterRef={"name": "never-there"})
    synced_world.eventually(
        lambda: synced_world.bed.kubectl("create", "--dry-run=server", "-f", "-", stdin=synced_world.yaml(probe)).returncode,
        lambda code: code == 0,
    )
    return synced_world


def forge(world: World, number: int, *, namespace: str = valhalla.RESEARCH, **spec: Any) -> Submission:
    """A JobSubmission that says it is this submission of Jobbergate's."""
    return world.submit(
        **{"script": "touch /tmp/forged", "name": name_of(number), "namespace": namespace, **spec},
        jobbergate={"submissionId": number},
    )


def out_of_sight(world: World, row: Row) -> None:
    """Keep it from being made for now: it neither waits nor has it a job."""
    world.bed.jobbergate.sql(f"update job_submissions set status = 'SUBMITTED' where id = {row.id}")


def in_sight(world: World, row: Row) -> None:
    world.bed.jobbergate.sql(f"update job_submissions set status = 'CREATED', updated_at = now() where id = {row.id}")


def never_ran(world: World, submission: Submission) -> str:
    """That it was refused; in which words."""
    ready = submission.wait_for_reason("NotFromJobbergate")
    assert submission.status()["phase"] == "Rejected"
    assert "jobbergate" not in submission.status()
    assert world.jobs_of(submission.token) == []
    return str(ready["message"])


FORGERIES: dict[str, Json] = {
    "another script": {},
    "another owner": {"user": "mario"},
    "a script of the cluster": {"script": {"remotePath": "~/mine.sh"}},
    "a config map": {"script": {"configMapKeyRef": {"name": "mine", "key": "script"}}},
    "another option": {"sbatchArguments": ["--comment=forged"]},
    "a variable": {"environment": [{"name": "GREETING", "value": "forged"}]},
}


def test_forgeries_are_refused_and_the_real_one_waits_for_its_place(world: World, kirby: Person) -> None:
    rows: dict[str, Row] = {}
    with stopped(world):
        for case in FORGERIES:
            rows[case] = kirby.submit(kirby.script("#!/bin/bash\necho honest\n"), directory=None)
            out_of_sight(world, rows[case])
        forged = {case: forge(world, rows[case].id, **spec) for case, spec in FORGERIES.items()}

    for case, submission in forged.items():
        assert "asks for something else" in never_ran(world, submission), case
    for row in rows.values():
        in_sight(world, row)
    condition = world.eventually(lambda: synced(world), lambda now: now.get("status") == "False")
    first = min(row.id for row in rows.values())
    assert (
        f"submission {first} waits: JobSubmission research/{name_of(first)}, which was not made of it, is in its way"
        in condition["message"]
    )
    for case, submission in forged.items():
        assert kirby.seen(rows[case].id).status == "CREATED"
        submission.delete()

    for row in rows.values():
        ended(world, kirby, row, "DONE")
        assert made(world, row).output() == "honest\n"
    world.eventually(lambda: synced(world), lambda now: now.get("status") == "True")


def test_one_in_another_namespace_hinders_nobody(world: World, kirby: Person) -> None:
    world.make("Namespace", "castle", annotations={"slurmgate.dev/owners": f"*@{valhalla.MAIL_DOMAIN}"})
    row = kirby.submit(kirby.script(UNTIL_CANCELLED), directory=None)
    running(world, kirby, row)
    before = reports(world, row)

    forged = forge(world, row.id, namespace="castle", script={"inline": UNTIL_CANCELLED})
    assert f"is research/{name_of(row)}, and there is only one" in never_ran(world, forged)
    forged.delete()

    assert reports(world, row) == before
    assert kirby.seen(row.id).status == "SUBMITTED"
    kirby.cancel(row.id)
    ended(world, kirby, row, "ABORTED")


def test_one_that_is_there_first_in_another_namespace_hinders_nobody(world: World, kirby: Person) -> None:
    world.make("Namespace", "castle", annotations={"slurmgate.dev/owners": f"*@{valhalla.MAIL_DOMAIN}"})
    number = kirby.submit(kirby.script(), directory=None).id + 1
    forged = forge(world, number, namespace="castle")
    assert f"submission {number}" in never_ran(world, forged).lower() or forged.status()["phase"] == "Rejected"

    row = kirby.submit(kirby.script(), directory=None)

    assert row.id == number
    ended(world, kirby, row, "DONE")


def test_a_submission_of_another_cluster_is_not_had_here(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\necho honest\n"), client_id="elsewhere", directory=None)

    forged = forge(world, row.id, script={"inline": "#!/bin/bash\necho honest\n"})

    assert "is another cluster's" in never_ran(world, forged)
    assert kirby.seen(row.id).status == "CREATED"


def test_the_files_of_other_peoples_scripts_are_not_read(world: World, dovahkiin: Person) -> None:
    script = dovahkiin.script(files={"secret.txt": b"secret"})
    file = {"name": "secret.txt", "jobbergate": {"jobScriptId": script, "filename": "secret.txt"}}

    submission = world.submit("cat secret.txt", files=[file])

    assert "only for submissions that come from Jobbergate" in never_ran(world, submission)


def test_labels_are_nobodys_word(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(UNTIL_CANCELLED), directory=None)
    running(world, kirby, row)
    before = reports(world, row)
    body = manifest("true")
    body["metadata"]["labels"] = {f"{LABELS}submission": str(row.id), f"{LABELS}cluster": valhalla.CLUSTER}

    world.apply(body)

    submission = Submission(world, valhalla.RESEARCH, body["metadata"]["name"])
    assert "jobbergate" not in submission.wait_for_phase("Done")
    assert (kirby.seen(row.id).status, reports(world, row)) == ("SUBMITTED", before)
    kirby.cancel(row.id)


def test_a_config_map_that_was_changed_before_the_submission_does_not_count(world: World, kirby: Person) -> None:
    script = kirby.script()
    kirby.upload(script, "job.sh", b"#!/bin/bash\necho honest\n" + b"# more\n" * 30000, kind="ENTRYPOINT")
    with cut_off(world):
        row = kirby.submit(script, directory=None)
        where = path("ConfigMap", name_of(row), valhalla.RESEARCH)
        world.eventually(lambda: world.api.has(where), bool)
        world.api.delete(where, wait=True)
        forged = base64.b64encode(b"#!/bin/bash\necho forged\n").decode()
        world.make("ConfigMap", name_of(row), binaryData={"script": forged})

    ended(world, kirby, row, "DONE", seconds=150)
    assert made(world, row).output() == "honest\n"


def test_nobody_else_speaks_for_a_row(world: World) -> None:
    """Of all that was forged here, nothing was told."""
    told = world.bed.jobbergate.sql(
        f"select count(*) from job_submissions where owner_email != '{KIRBY}' and status != 'CREATED'"
    )
    assert told.strip() == "0"
    assert CLIENT
