"""The operator as its users run it: from its image, by its chart, in a Pod, against a real Slurm.

The tests are one story, told in order: install, use, change, upgrade, uninstall, install again, clean up.
"""

import json
import re

import pytest

from bed import valhalla
from bed.operator import CHART, NAMESPACE
from tests.e2e.support import World, holds

pytestmark = pytest.mark.node


def test_the_pod_runs_without_any_privilege(installed: World) -> None:
    facts = "import os; print(os.getuid(), os.access('/', os.W_OK), open('/proc/self/status').read())"
    argv = ["deployment/slurmgate", f"--namespace={NAMESPACE}", "--", "python3", "-c", facts]
    seen = installed.kubectl("exec", *argv)
    assert seen.startswith("65532 False")
    assert "CapEff:\t0000000000000000" in seen
    assert "NoNewPrivs:\t1" in seen
    assert "Seccomp:\t2" in seen


def test_keys_in_its_memory_are_out_of_reach_for_others_of_its_user(installed: World) -> None:
    look = "import pathlib; print(pathlib.Path('/proc/1/limits').read_text()); pathlib.Path('/proc/1/environ').read_bytes()"
    argv = ["exec", "deployment/slurmgate", f"--namespace={NAMESPACE}", "--", "python3", "-c", look]
    seen = installed.bed.kubectl(*argv)
    assert re.search(r"^Max core file size +0 +0 ", seen.stdout, re.MULTILINE)
    assert "PermissionError: [Errno 13] Permission denied: '/proc/1/environ'" in seen.stderr


def test_the_cluster_becomes_ready(installed: World) -> None:
    installed.kubectl("wait", "--for=condition=Ready", f"slurmcluster/{valhalla.CLUSTER}", "--timeout=60s")


def test_a_job_ends_well(installed: World) -> None:
    installed.submit("plain", "id --user --name; pwd")
    status = installed.wait("plain", "Complete")
    assert status["phase"] == "Done"
    assert status["user"] == "kirby"
    assert status["slurm"]["exitCode"] == 0
    assert installed.job(status["slurm"]["jobId"]) == "kirby|COMPLETED|0:0"
    output = installed.bed.slurm.inside(["cat", status["slurm"]["stdoutPath"]], user="kirby").stdout
    assert output == f"kirby\n{status['workingDirectory']}\n"


def test_a_job_ends_badly(installed: World) -> None:
    installed.submit("failing", "exit 3")
    status = installed.wait("failing", "Failed")
    assert status["phase"] == "Aborted"
    assert status["slurm"]["exitCode"] == 3
    assert installed.job(status["slurm"]["jobId"]) == "kirby|FAILED|3:0"


def test_an_edited_mapping_is_picked_up(installed: World) -> None:
    pods = installed.operator_pods()
    installed.submit("early", "true", user="mario")
    refused = installed.eventually(lambda: installed.status("early"), lambda status: holds(status, "Failed"))
    assert {each["reason"] for each in refused["conditions"]} == {"UserNotMapped"}

    valhalla.map_users(installed.bed, ["kirby", "mario"])
    installed.eventually(lambda: mapped_users(installed), lambda count: count == 2, seconds=20)
    installed.submit("late", "id --user --name", user="mario")
    assert installed.wait("late", "Complete")["user"] == "mario"
    assert installed.operator_pods() == pods, "an operator was restarted"


def test_people_may_submit_but_not_redirect(installed: World) -> None:
    installed.kubectl("create", "rolebinding", "ada", "--clusterrole=edit", "--user=ada", f"--namespace={valhalla.RESEARCH}")
    installed.eventually(lambda: installed.may("ada", "create", "jobsubmissions"), bool)
    assert installed.may("ada", "get", "slurmclusters")
    assert not installed.may("ada", "patch", "slurmclusters")
    assert not installed.may("ada", "patch", "jobsubmissions/status")
    assert not installed.may("bob", "get", "jobsubmissions")


def test_nothing_was_wrong_so_far(installed: World) -> None:
    assert not installed.complaints()


def test_an_upgrade_loses_nothing(installed: World) -> None:
    job = installed.submit_waiting("long")
    pods = installed.operator_pods()
    installed.helm("upgrade", str(CHART), values=installed.values(podAnnotations={"example.org/restarted": "yes"}))
    assert installed.operator_pods() != pods, "nothing was restarted"
    assert installed.job_state(job) == "RUNNING"
    installed.let_go("long")
    assert installed.wait("long", "Complete")["slurm"]["jobId"] == job
    assert installed.job(job) == "kirby|COMPLETED|0:0"
    assert installed.jobs_of("long") == [job]


def test_a_rolling_restart_misses_nothing_that_is_applied_meanwhile(installed: World) -> None:
    where = f"--namespace={NAMESPACE}"
    before, names = installed.leader(), list[str]()
    installed.kubectl("rollout", "restart", "deployment/slurmgate", where)
    while True:
        names.append(f"rolling-{len(names)}")
        installed.submit(names[-1], "true")
        if "successfully rolled out" in installed.kubectl("rollout", "status", "deployment/slurmgate", where, "--watch=false"):
            break
    names += (last := ["rolling-after-1", "rolling-after-2"])
    for name in last:
        installed.submit(name, "true")

    for name in names:
        assert installed.wait(name, "Complete")["phase"] == "Done"
    assert [len(installed.jobs_of(name)) for name in names] == [1] * len(names)
    assert installed.leader() != before
    assert len(names) > 5, "it was too quick to show anything"


def test_an_uninstall_takes_only_the_operator(installed: World) -> None:
    job = installed.submit_waiting("longer")
    pods = installed.operator_pods()
    installed.helm("uninstall")
    installed.kubectl("wait", "--for=delete", *pods, f"--namespace={NAMESPACE}", "--timeout=60s")
    definitions = installed.kubectl("get", "customresourcedefinitions", "--output=name").split()
    assert [each.rpartition("/")[2] for each in definitions] == ["jobsubmissions.slurmgate.dev", "slurmclusters.slurmgate.dev"]
    assert mapped_users(installed) == 2
    assert holds(installed.status("longer"), "Running")
    assert installed.job_state(job) == "RUNNING"


def test_an_operator_that_comes_back_catches_up(installed: World) -> None:
    installed.submit("meanwhile", "true")
    installed.let_go("longer")
    installed.install()
    assert installed.wait("meanwhile", "Complete")["phase"] == "Done"
    job = installed.wait("longer", "Complete")["slurm"]["jobId"]
    assert installed.jobs_of("longer") == [job]


def test_a_namespace_goes_with_its_jobs(installed: World) -> None:
    job = installed.submit_waiting("endless")
    installed.kubectl("delete", "namespace", valhalla.RESEARCH, "--timeout=60s")
    installed.eventually(lambda: installed.job(job), lambda record: record.startswith("kirby|CANCELLED"))


def test_nothing_was_wrong_at_the_end(installed: World) -> None:
    assert not installed.complaints()


def mapped_users(world: World) -> int:
    cluster = json.loads(world.kubectl("get", "slurmcluster", valhalla.CLUSTER, "--output=json"))
    return int(cluster["status"]["mappedUsers"])
