"""What a submission's status, events and columns say, from the first look to the end."""

import hashlib
import re
import time
from datetime import datetime

import pytest

from tests.api import Json
from tests.world import Submission, World

SEVERAL_POLLS = 4.5
"""Seconds; the bed's cluster is polled every second."""


@pytest.fixture(scope="module")
def plain(world: World) -> Submission:
    """Runs for a while, uses some CPU time and completes."""
    return world.submit(
        "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; sleep 2",
        account="nintendo",
        partition="night",
        timeLimit="5",
    )


@pytest.fixture(scope="module")
def failing(world: World) -> Submission:
    return world.submit("echo no >&2; exit 3")


@pytest.fixture(scope="module")
def killed(world: World) -> Submission:
    return world.submit("kill -9 $$")


@pytest.fixture(scope="module")
def array(world: World) -> Submission:
    return world.submit("case $SLURM_ARRAY_TASK_ID in 2) exit 2 ;; 5|6) kill -9 $$ ;; esac", array="0-6,9%4", user="mario")


@pytest.fixture(scope="module")
def greedy(world: World) -> Submission:
    """Slurm samples memory every five seconds."""
    return world.submit("x=$(head -c 60000000 /dev/zero | tr '\\0' x); sleep 7", memory="300M")


@pytest.fixture(scope="module", autouse=True)
def _all_at_once(greedy: Submission, plain: Submission, failing: Submission, killed: Submission, array: Submission) -> None:
    """They run side by side while the first test waits for its own."""


def record(submission: Submission, *fields: str) -> list[str]:
    """What Slurm's accounting says of a job, times as seconds since 1970."""
    command = f"SLURM_TIME_FORMAT=%s sacct -n -X -P -j {submission.status()['slurm']['jobId']} -o {','.join(fields)}"
    return submission.world.slurm("sh", "-c", command).strip().split("|")


def seconds(time_of: str) -> int:
    return int(datetime.fromisoformat(time_of).timestamp())


def test_everything_about_a_plain_job_is_filled_in(plain: Submission) -> None:
    status = plain.wait_for_phase("Done")
    body = plain.get()

    job_id, directory = status["slurm"]["jobId"], status["workingDirectory"]
    assert directory == f"/home/kirby/slurmgate/research/{plain.name}-{plain.token[:8]}"
    assert status == {
        "phase": "Done",
        "user": "kirby",
        "cluster": "valhalla",
        "workingDirectory": directory,
        "scriptSha256": hashlib.sha256(body["spec"]["script"]["inline"].encode()).hexdigest(),
        "sbatchArguments": [
            "--parsable",
            f"--comment=slurmgate:{plain.token}",
            f"--job-name={plain.name}",
            "--partition=night",
            "--account=nintendo",
            "--time=5",
        ],
        "launch": {"mode": "Srun", "why": status["launch"]["why"]},
        "slurm": {
            "jobId": job_id,
            "state": "COMPLETED",
            "exitCode": 0,
            "partition": "night",
            "nodes": "node1",
            "stdoutPath": f"{directory}/slurm-{job_id}.out",
            "stderrPath": f"{directory}/slurm-{job_id}.out",
            "submitTime": status["slurm"]["submitTime"],
            "startTime": status["slurm"]["startTime"],
            "endTime": status["slurm"]["endTime"],
        },
        "usage": status["usage"],
        "conditions": status["conditions"],
        "observedGeneration": body["metadata"]["generation"],
    }
    times = [status["slurm"][name] for name in ("submitTime", "startTime", "endTime")]
    assert [str(seconds(each)) for each in times] == record(plain, "Submit", "Start", "End")
    assert [str(status["usage"]["elapsedSeconds"])] == record(plain, "ElapsedRaw")
    assert status["usage"]["elapsedSeconds"] >= 2
    assert 0.1 < status["usage"]["cpuSeconds"] < 60


def test_conditions_of_a_job_that_completed(plain: Submission) -> None:
    status = plain.wait_for_phase("Done")

    assert plain.conditions() == {
        "Accepted": ("True", "Accepted"),
        "Submitted": ("True", "Submitted"),
        "Running": ("False", "Completed"),
        "Complete": ("True", "Completed"),
        "Failed": ("False", "Completed"),
        "Ready": ("True", "Completed"),
    }
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {1}


def test_conditions_change_when_they_did_and_not_with_every_write(plain: Submission) -> None:
    status = plain.wait_for_phase("Done")

    changed = {each["type"]: seconds(each["lastTransitionTime"]) for each in status["conditions"]}
    assert changed["Accepted"] <= changed["Submitted"] <= seconds(status["slurm"]["endTime"]) <= changed["Complete"]
    assert changed["Submitted"] < changed["Complete"]


def test_a_failed_job_shows_its_exit_code(failing: Submission) -> None:
    status = failing.wait_for_phase("Aborted")

    assert (status["slurm"]["state"], status["slurm"]["exitCode"]) == ("FAILED", 3)
    assert status["slurm"]["partition"] == "batch"
    assert re.fullmatch(r"node\d", status["slurm"]["nodes"])
    assert "signal" not in status["slurm"]
    assert failing.conditions() == {
        "Accepted": ("True", "Accepted"),
        "Submitted": ("True", "Submitted"),
        "Running": ("False", "JobFailed"),
        "Complete": ("False", "JobFailed"),
        "Failed": ("True", "JobFailed"),
        "Ready": ("False", "JobFailed"),
        "Stalled": ("True", "JobFailed"),
    }
    assert failing.condition("Failed")["message"] == "Slurm: FAILED, exit code 3"
    assert failing.output() == "no\n"


def test_a_killed_job_shows_the_signal(killed: Submission) -> None:
    status = killed.wait_for_phase("Aborted")

    assert (status["slurm"]["state"], status["slurm"]["exitCode"], status["slurm"]["signal"]) == ("FAILED", 0, 9)
    assert killed.condition("Failed")["message"] == "Slurm: FAILED, signal 9"


def test_an_array_counts_its_tasks_and_names_those_that_failed(array: Submission) -> None:
    status = array.wait_for_phase("Aborted")

    slurm = status["slurm"]
    assert slurm["array"] == {
        "total": 8,
        "pending": 0,
        "running": 0,
        "succeeded": 5,
        "failed": 3,
        "succeededIndexes": "0-1,3-4,9",
        "failedIndexes": "2,5-6",
    }
    assert slurm["state"] == "FAILED"
    assert slurm["stdoutPath"] == f"{status['workingDirectory']}/slurm-{slurm['jobId']}_%a.out"
    assert array.condition("Failed")["message"].startswith("5 of 8 tasks completed; Slurm: FAILED")


def test_an_array_shows_how_far_it_is(world: World) -> None:
    """Half of its tasks wait for the other half."""
    submission = world.submit("[ $SLURM_ARRAY_TASK_ID -gt 1 ] || exit 0; until [ -e go ]; do sleep 0.2; done", array="0-3")

    wanted = {"total": 4, "pending": 0, "running": 2, "succeeded": 2, "failed": 0, "succeededIndexes": "0-1"}
    status = submission.wait_for(lambda status: status.get("slurm", {}).get("array") == wanted)

    assert (status["phase"], status["slurm"]["state"]) == ("Submitted", "RUNNING")
    world.slurm("touch", f"{status['workingDirectory']}/go", user="kirby")
    assert submission.wait_for_phase("Done")["slurm"]["array"]["succeededIndexes"] == "0-3"


def test_a_job_that_holds_memory_shows_how_much(greedy: Submission) -> None:
    usage = greedy.wait_for_phase("Done")["usage"]

    assert 60_000_000 < usage["maxRssBytes"] < 300 * 2**20


@pytest.mark.parametrize(("name", "condition"), [("plain", "Complete"), ("failing", "Failed"), ("killed", "Stalled")])
def test_kubectl_waits_for_it(world: World, request: pytest.FixtureRequest, name: str, condition: str) -> None:
    submission: Submission = request.getfixturevalue(name)

    told = world.kubectl("wait", f"--for=condition={condition}", "--timeout=55s", f"jsub/{submission.name}", "-n", "research")

    assert told == f"jobsubmission.slurmgate.dev/{submission.name} condition met\n"


def ready_by(world: World, ready_when: str) -> Submission:
    return world.submit("until [ -e go ]; do sleep 0.2; done", readyWhen=ready_when)


def test_ready_means_what_the_person_wants_it_to_mean(world: World) -> None:
    submitted, running, complete = (ready_by(world, when) for when in ("Submitted", "Running", "Complete"))
    all_three = (submitted, running, complete)
    for submission in all_three:
        submission.wait_for_state("RUNNING")

    assert submitted.conditions()["Ready"] == ("True", "Running")
    assert running.conditions()["Ready"] == ("True", "Running")
    assert complete.conditions()["Ready"] == ("False", "Running")
    assert complete.conditions()["Reconciling"] == ("True", "Running")
    assert "Reconciling" not in running.conditions()

    complete.patch(readyWhen="Running")  # it may change while the job runs
    world.eventually(complete.conditions, lambda conditions: conditions["Ready"] == ("True", "Running"))
    assert complete.status()["observedGeneration"] == 2

    for submission in all_three:
        submission.patch(cancel=True)
    for submission in all_three:
        submission.wait_for_phase("Cancelled")
        assert submission.conditions()["Ready"] == ("False", "Cancelled")


def test_ready_by_submitted_is_true_before_the_job_runs(world: World) -> None:
    submission = world.submit(readyWhen="Submitted", sbatchArguments=["--begin=now+1hour"])

    world.eventually(submission.conditions, lambda conditions: conditions.get("Ready", ("", ""))[0] == "True")

    assert submission.status()["slurm"]["state"] == "PENDING"
    submission.patch(cancel=True)


def test_there_is_one_event_for_each_transition(plain: Submission, failing: Submission, killed: Submission) -> None:
    plain.wait_for_phase("Done")
    failing.wait_for_phase("Aborted")
    killed.wait_for_phase("Aborted")

    assert plain.events() == ["Submitted", "Running", "Completed"]
    assert failing.news() == ["Submitted", "JobFailed"]
    assert failing.said("JobFailed") == "Slurm: FAILED, exit code 3"
    assert [event["type"] for event in failing.world.events(failing.name)][-1] == "Warning"
    assert {event["type"] for event in plain.world.events(plain.name)} == {"Normal"}


def test_a_poll_without_news_writes_nothing(world: World) -> None:
    running = world.submit("until [ -e go ]; do sleep 0.2; done")
    waiting = world.submit(sbatchArguments=["--begin=now+1hour"])
    running.wait_for_state("RUNNING")
    world.eventually(lambda: waiting.status().get("slurm", {}).get("reason"), lambda reason: reason == "BeginTime")
    names = (running.name, waiting.name, "valhalla")
    before = [world.requests(name) for name in names], [submission.get() for submission in (running, waiting)]

    time.sleep(SEVERAL_POLLS)

    assert ([world.requests(name) for name in names], [submission.get() for submission in (running, waiting)]) == before
    assert running.events() == ["Submitted", "Running"]
    assert waiting.events() == ["Submitted"]
    for submission in (running, waiting):
        submission.patch(cancel=True)


def test_a_normal_life_takes_few_writes(
    world: World, plain: Submission, failing: Submission, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.wait_for_phase("Done")
    failing.wait_for_phase("Aborted")
    alone = world.submit("sleep 3")  # one that waits for its turn has that told, too
    alone.wait_for_phase("Done")
    world.eventually(alone.get, lambda body: "finalizers" not in body["metadata"])

    writes = world.writes(alone.name)

    with capsys.disabled():
        print(f"\nWrites in the life of a job that waits, runs and completes: {len(writes)}: {', '.join(writes)}")  # noqa: T201 - a figure to watch
    assert len(writes) <= 6
    assert writes.count("patch jobsubmissions") == 2  # finalizer on, finalizer off


def table(world: World, *arguments: str) -> list[dict[str, str]]:
    """The rows that `kubectl get jsub` prints, by column."""
    heading, *rows = world.kubectl("get", "jsub", "--namespace=research", *arguments).splitlines()
    names = heading.split()
    starts = [heading.index(f" {name}") + 1 if place else 0 for place, name in enumerate(names)]
    return [
        {name: row[start:end].strip() for name, start, end in zip(names, starts, [*starts[1:], None], strict=True)}
        for row in rows
    ]


def test_kubectl_get_shows_what_one_wants_to_see(world: World, plain: Submission, failing: Submission) -> None:
    plain.wait_for_phase("Done")
    failing.wait_for_phase("Aborted")
    job_id = plain.status()["slurm"]["jobId"]

    rows = {row.pop("NAME"): row for row in table(world)}

    assert rows[plain.name].pop("AGE")
    assert rows[plain.name] == {
        "CLUSTER": "valhalla",
        "USER": "kirby",
        "JOBID": job_id,
        "PHASE": "Done",
        "STATE": "COMPLETED",
        "REASON": "Completed",
    }
    assert rows[failing.name]["REASON"] == "JobFailed"


def test_kubectl_get_wide_shows_more(world: World, plain: Submission, failing: Submission) -> None:
    plain.wait_for_phase("Done")
    failing.wait_for_phase("Aborted")

    rows = {row["NAME"]: row for row in table(world, "--output=wide")}

    assert {name: rows[plain.name][name] for name in ("PARTITION", "NODES", "EXIT")} == {
        "PARTITION": "night",
        "NODES": "node1",
        "EXIT": "0",
    }
    assert rows[plain.name]["START"]
    assert rows[failing.name]["EXIT"] == "3"


def test_submissions_can_be_listed_by_cluster(world: World, plain: Submission) -> None:
    nowhere = world.submit(clusterRef={"name": "nowhere"})

    def listed(cluster: str) -> set[str]:
        return {row["NAME"] for row in table(world, f"--field-selector=spec.clusterRef.name={cluster}")}

    assert listed("nowhere") == {nowhere.name}
    assert plain.name in listed("valhalla")
    assert nowhere.name not in listed("valhalla")
    nowhere.delete()


def test_kubectl_explain_teaches_every_field(world: World) -> None:
    told = world.kubectl("explain", "jobsubmission.spec", "--recursive=false")
    assert "sbatch --partition" in told
    assert "E-mail of the person the job runs for" in told
    fields: Json = {"jobsubmission.status.slurm": "exitCode", "slurmcluster.spec.ssh": "knownHosts"}
    for path, field in fields.items():
        assert field in world.kubectl("explain", path)
