"""What waits in Jobbergate becomes JobSubmissions: all of it, each once, with everything that belongs to it."""

import base64
import re
from collections import Counter

import pytest

from bed import valhalla
from bed.jobbergate.person import Person
from tests.api import path
from tests.synced import CLIENT, KIRBY, cut_off, ended, made, name_of, stopped
from tests.world import World

pytestmark = pytest.mark.slow

MANY = 250
ODD = {
    "data.bin": bytes(range(256)),
    "with space#and%hash?.csv": b"odd",
    "deep/er/note.txt": b"deep",
    "../../outside.txt": b"inside after all",
    "/etc/absolute": b"below",
    ".slurmgate/script": b"not ours",
    "$(touch hacked);`id`.sh": b"quoted",
    "--help": b"no option",
}
PLACES = {
    "data.bin": "data.bin",
    "with space#and%hash?.csv": "with space#and%hash?.csv",
    "deep/er/note.txt": "deep/er/note.txt",
    "../../outside.txt": "outside.txt",
    "/etc/absolute": "etc/absolute",
    ".slurmgate/script": "_slurmgate/script",
    "$(touch hacked);`id`.sh": "$(touch hacked);`id`.sh",
    "--help": "--help",
}


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    return synced_world


def test_everything_that_a_submission_says_is_in_the_resource(world: World, kirby: Person) -> None:
    script = kirby.script("#!/bin/bash\npwd\n", files={"a/b.txt": b"x"})
    row = kirby.submit(script, "--time=7 --nice=5", "--comment=mine", name="the name", directory="/home/kirby/there")

    ended(world, kirby, row, "DONE")

    submission = made(world, row)
    spec, labels = submission.get()["spec"], submission.get()["metadata"]["labels"]
    assert spec["owner"] == KIRBY
    assert spec["executionDirectory"] == "/home/kirby/there"
    assert spec["sbatchArguments"] == ["--time=7", "--nice=5", "--comment=mine"]
    assert spec["jobbergate"] == {"submissionId": row.id}
    assert spec["files"] == [
        {"name": "a/b.txt", "jobbergate": {"jobScriptId": script, "filename": "a/b.txt"}, "executable": False}
    ]
    assert labels["slurmgate.dev/jobbergate-submission"] == str(row.id)
    assert labels["slurmgate.dev/jobbergate-script"] == str(script)
    told = submission.status()["jobbergate"]
    assert {key: told[key] for key in ("id", "name", "jobScriptId")} == {
        "id": row.id,
        "name": "the name",
        "jobScriptId": script,
    }


def test_the_template_of_a_script_is_known(world: World, kirby: Person) -> None:
    script = kirby.script()
    insert = "insert into job_script_templates (id, name, owner_email, is_archived, created_at, updated_at, template_vars) "
    world.bed.jobbergate.sql(insert + f"values (77, 'a template', '{KIRBY}', false, now(), now(), '{{}}')")
    world.bed.jobbergate.sql(f"update job_scripts set parent_template_id = 77 where id = {script}")

    row = kirby.submit(script, directory=None)

    ended(world, kirby, row, "DONE")
    assert made(world, row).status()["jobbergate"]["jobScriptTemplateId"] == 77
    assert made(world, row).get()["metadata"]["labels"]["slurmgate.dev/jobbergate-template"] == "77"


def test_files_of_whatever_name_arrive_byte_for_byte_below_the_directory(world: World, kirby: Person) -> None:
    script = kirby.script(files=ODD)
    row = kirby.submit(script, directory="/home/kirby/odd/place")

    ended(world, kirby, row, "DONE")

    for name, place in PLACES.items():
        content = world.slurm("base64", "--wrap=0", "--", f"/home/kirby/odd/place/{place}")
        assert content == base64.b64encode(ODD[name]).decode(), name
    assert world.slurm("find", "/home/kirby", "-name", "outside.txt").split() == ["/home/kirby/odd/place/outside.txt"]
    assert world.slurm("find", "/home/kirby", "-name", "hacked") == ""


def test_files_that_would_be_one_are_refused(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(files={"x/same.txt": b"1", "./x/../x/same.txt": b"2", "x//same.txt": b"3"}))

    assert "would both be written as" in (ended(world, kirby, row, "REJECTED").report_message or "")


def test_a_file_that_was_replaced_is_never_the_old_one(world: World, kirby: Person) -> None:
    script = kirby.script("#!/bin/bash\ncat data.txt\n", files={"data.txt": b"old"})
    first = kirby.submit(script, directory="/home/kirby/first")
    world.eventually(lambda: name_of(first) in world.submissions(), bool)

    kirby.upload(script, "data.txt", b"new")
    kirby.upload(script, "job.sh", b"#!/bin/bash\necho also new\ncat data.txt\n", kind="ENTRYPOINT")
    second = kirby.submit(script, directory="/home/kirby/second")

    ended(world, kirby, second, "DONE")
    assert made(world, second).output() == "also new\nnew"
    ended(world, kirby, first, "DONE")


@pytest.mark.parametrize(
    "content", [b"#!/bin/bash\necho long\n" + b"# more\n" * 30000, b"#!/bin/bash\necho '\xff\xfe'\n"], ids=["long", "no text"]
)
def test_a_script_that_cannot_stand_in_the_resource_has_a_config_map_that_goes_with_it(
    world: World, kirby: Person, content: bytes
) -> None:
    script = kirby.script()
    kirby.upload(script, "job.sh", content, kind="ENTRYPOINT")
    row = kirby.submit(script, directory=None)

    ended(world, kirby, row, "DONE")

    submission, where = made(world, row), path("ConfigMap", name_of(row), valhalla.RESEARCH)
    (owner,) = world.api.get(where)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("JobSubmission", submission.token)
    assert submission.get()["spec"]["script"] == {"configMapKeyRef": {"name": name_of(row), "key": "script"}}
    submission.delete()  # the bed has no garbage collector; whose it is says that it goes


def test_what_many_submissions_share_is_downloaded_once_for_them_all(world: World, kirby: Person) -> None:
    script = kirby.script(files={"shared.dat": b"x" * 1000})
    rows = [kirby.submit(script, directory=f"/home/kirby/shared/{number}") for number in range(10)]
    for row in rows:
        ended(world, kirby, row, "DONE")

    log = world.bed.jobbergate.service("api").log.read_text()
    downloads = Counter(re.findall(rf'"GET /jobbergate/job-scripts/{script}/upload/(\S+) HTTP', log))
    # A download serves those that were known when it began: the ten came in some polls.
    assert downloads["shared.dat"] <= 10
    assert downloads["job.sh"] < 10


def test_neither_a_crash_nor_a_second_operator_makes_a_second_one(world: World, kirby: Person) -> None:
    script = kirby.script("#!/bin/bash\ntrue\n")
    rows = []
    for _ in range(3):
        rows += [kirby.submit(script, directory=None) for _ in range(4)]
        world.operator.kill()
        world.installation.bury()
        world.operator = world.installation.start()

    for row in rows:
        ended(world, kirby, row, "DONE")
        assert len(world.jobs_of(made(world, row).token)) == 1


def test_one_that_cannot_be_read_stands_in_no_others_way(world: World, kirby: Person) -> None:
    empty = kirby.submit(kirby.script(""))
    row = kirby.submit(kirby.script(), directory=None)

    assert ended(world, kirby, empty, "REJECTED").report_message == "The job script is empty."
    ended(world, kirby, row, "DONE")


def test_one_without_entrypoint_is_rejected_in_words(world: World, kirby: Person) -> None:
    with stopped(world):
        script = kirby.script()
        row = kirby.submit(script)
        kirby.delete_file(script, "job.sh")

    assert "has no entrypoint file: upload one" in (ended(world, kirby, row, "REJECTED").report_message or "")


def test_all_that_waits_is_made_however_much_that_is(world: World, kirby: Person) -> None:
    script = kirby.script("#!/bin/bash\ntrue\n")
    with cut_off(world):  # so that none of them leaves the list
        columns = "name, owner_email, is_archived, job_script_id, client_id, status, created_at, updated_at"
        values = f"'many', '{KIRBY}', false, {script}, '{CLIENT}', 'CREATED', now(), now()"
        world.bed.jobbergate.sql(f"insert into job_submissions ({columns}) select {values} from generate_series(1, {MANY})")
        rows = world.bed.jobbergate.sql(f"select id from job_submissions where job_script_id = {script}").split()

        def ours() -> set[str]:
            return set(world.submissions(query=f"?labelSelector=slurmgate.dev/jobbergate-script={script}"))

        world.eventually(ours, lambda names: len(names) >= MANY, seconds=120)

        assert ours() == {f"jg-{CLIENT}-{number}" for number in rows}
        world.operator.stop()  # nothing follows in this world
