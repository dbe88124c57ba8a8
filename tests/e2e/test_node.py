"""The operator as its users run it: from its image, by its chart, in a Pod, against a real Slurm.

The tests are one story, told in order: install, use, change, upgrade, uninstall, install again, clean up.
"""

import pytest

from tests.e2e.support import CHART, NAMESPACE, OPERATOR_NAMESPACE, World, holds

pytestmark = [pytest.mark.node, pytest.mark.slow]


def test_the_pod_runs_without_any_privilege(installed: World) -> None:
    pods = f"--namespace={OPERATOR_NAMESPACE}"
    facts = "import os; print(os.getuid(), os.access('/', os.W_OK), open('/proc/self/status').read())"
    seen = installed.kubectl("exec", pods, "deployment/slurmgate", "--", "python3", "-c", facts)
    assert seen.startswith("65532 False")
    assert "CapEff:\t0000000000000000" in seen
    assert "NoNewPrivs:\t1" in seen
    assert "Seccomp:\t2" in seen


def test_the_cluster_becomes_ready(installed: World) -> None:
    installed.kubectl("wait", "--for=condition=Ready", "slurmcluster/hpc", "--timeout=60s")


def test_a_job_ends_well(installed: World) -> None:
    installed.submit("plain", "id --user --name; pwd")
    status = installed.wait("plain", "Complete")
    job = status["slurm"]
    assert status["phase"] == "Done"
    assert status["user"] == "kirby"
    assert job["exitCode"] == 0
    assert installed.job(job["jobId"]).startswith("kirby|COMPLETED|0:0|")
    output = installed.slurm.inside(["cat", job["stdoutPath"]], user="kirby").stdout
    assert output == f"kirby\n{status['workingDirectory']}\n"


def test_a_job_ends_badly(installed: World) -> None:
    installed.submit("failing", "exit 3")
    status = installed.wait("failing", "Failed")
    assert status["phase"] == "Aborted"
    assert status["slurm"]["exitCode"] == 3
    assert installed.job(status["slurm"]["jobId"]).startswith("kirby|FAILED|3:0|")


def test_an_edited_mapping_is_picked_up(installed: World) -> None:
    installed.submit("early", "true", user="mario")
    refused = installed.eventually(
        lambda: installed.get("jobsubmission", "early").get("status", {}),
        lambda status: any(each["reason"] == "UserNotMapped" for each in status.get("conditions", ())),
    )
    assert "slurm" not in refused
    pod = operator_pod(installed)
    installed.map_users("kirby", "mario")
    installed.eventually(lambda: installed.get("slurmcluster", "hpc")["status"], lambda status: status.get("mappedUsers") == 2)
    installed.submit("late", "id --user --name", user="mario")
    assert installed.wait("late", "Complete")["user"] == "mario"
    assert operator_pod(installed) == pod, "the operator was restarted"


def test_people_may_submit_but_not_redirect(installed: World) -> None:
    installed.kubectl("create", "rolebinding", "ada", "--clusterrole=edit", "--user=ada", f"--namespace={NAMESPACE}")
    installed.eventually(lambda: installed.may("ada", "create", "jobsubmissions"), bool)
    assert installed.may("ada", "get", "slurmclusters")
    assert not installed.may("ada", "patch", "slurmclusters")
    assert not installed.may("ada", "patch", "jobsubmissions/status")
    assert not installed.may("bob", "get", "jobsubmissions")


def test_nothing_was_wrong_so_far(installed: World) -> None:
    assert not installed.complaints()


def test_an_upgrade_loses_nothing(installed: World) -> None:
    job = installed.submit_waiting("long")
    pod = operator_pod(installed)
    values = installed.values(podAnnotations={"example.com/restarted": "yes"})
    installed.helm("upgrade", "slurmgate", str(CHART), "--wait", "--timeout=120s", values=values)
    assert operator_pod(installed) != pod, "nothing was restarted"
    assert installed.state(job) == "RUNNING"
    installed.let_go("long")
    assert installed.wait("long", "Complete")["slurm"]["jobId"] == job
    assert installed.job(job).startswith("kirby|COMPLETED|0:0|")
    assert installed.jobs_of(installed.uid("long")) == [job]


def test_an_uninstall_takes_only_the_operator(installed: World) -> None:
    job = installed.submit_waiting("longer")
    pod = operator_pod(installed)
    installed.helm("uninstall", "slurmgate", "--wait")
    installed.kubectl("wait", "--for=delete", pod, f"--namespace={OPERATOR_NAMESPACE}", "--timeout=60s")
    definitions = installed.kubectl("get", "customresourcedefinitions", "--output=name").split()
    assert [each.rpartition("/")[2] for each in definitions] == ["jobsubmissions.slurmgate.dev", "slurmclusters.slurmgate.dev"]
    assert installed.get("slurmcluster", "hpc")
    assert holds(installed.get("jobsubmission", "longer")["status"], "Running")
    assert installed.state(job) == "RUNNING"


def test_an_operator_that_comes_back_catches_up(installed: World) -> None:
    installed.submit("meanwhile", "true")
    installed.let_go("longer")
    installed.helm("install", "slurmgate", str(CHART), "--wait", "--timeout=120s", values=installed.values())
    assert installed.wait("meanwhile", "Complete")["phase"] == "Done"
    job = installed.wait("longer", "Complete")["slurm"]["jobId"]
    assert installed.jobs_of(installed.uid("longer")) == [job]


def test_a_namespace_goes_with_its_jobs(installed: World) -> None:
    job = installed.submit_waiting("endless")
    installed.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    installed.eventually(lambda: installed.job(job), lambda record: record.startswith("kirby|CANCELLED"))


def test_nothing_was_wrong_at_the_end(installed: World) -> None:
    assert not installed.complaints()


def operator_pod(world: World) -> str:
    return world.kubectl("get", "pods", f"--namespace={OPERATOR_NAMESPACE}", "--output=name").strip()
