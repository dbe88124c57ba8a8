"""The bed itself: what every other integration test takes for granted."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import bed
from bed import state

pytestmark = pytest.mark.bed


@pytest.fixture(scope="module", autouse=True)
def _beds_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BED_STATE", str(tmp_path_factory.mktemp("beds")))
        yield


@pytest.fixture(scope="module")
def first() -> Iterator[bed.Bed]:
    running = bed.up("first", slurm=bed.Options(message_timeout=2))
    yield running
    running.down()


def ssh(running: bed.Bed, user: str, command: str) -> subprocess.CompletedProcess[str]:
    argv = [*running.slurm.description.ssh(user), command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_a_user_logs_in_with_a_key_of_his_own_and_submits(first: bed.Bed) -> None:
    done = ssh(first, "kirby", "sbatch --parsable --wait --wrap 'srun hostname' && cat slurm-1.out && pwd")
    assert done.stdout.split() == ["1", "valhalla", "/home/kirby"]
    assert (first.slurm.description.homes / "kirby" / "slurm-1.out").read_text() == "valhalla\n"


def test_a_key_opens_its_owners_account_only(first: bed.Bed) -> None:
    argv = first.slurm.description.ssh("kirby")
    argv[-1] = argv[-1].replace("kirby", "mario")
    refused = subprocess.run([*argv, "true"], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_a_wrong_host_key_is_noticed(first: bed.Bed, tmp_path: Path) -> None:
    known = first.slurm.description.known_hosts_file
    liar = tmp_path / "known_hosts"
    liar.write_text(known.read_text().split()[0] + " ssh-ed25519 " + "A" * 68 + "\n")
    argv = [part.replace(str(known), str(liar)) for part in first.slurm.description.ssh("kirby")]
    refused = subprocess.run([*argv, "true"], capture_output=True, text=True, timeout=60, check=False)
    assert "Host key verification failed" in refused.stderr


def test_marios_shell_talks_on_both_streams(first: bed.Bed) -> None:
    done = ssh(first, "mario", "echo answer")
    assert done.stdout == "Welcome to Valhalla! It is-a me, Mario.\nanswer\n"
    assert done.stderr == "Quota: 98% of /home used\n"


def test_private_data_hides_jobs_from_all_but_the_coordinator(first: bed.Bed) -> None:
    submitted = first.slurm.inside(["sbatch", "--parsable", "--hold", "--wrap", "true"], user="kirby")
    assert submitted.returncode == 0, submitted.stderr
    sees = {user: ssh(first, user, "squeue --noheader --format=%i").stdout for user in ("dovahkiin", "jarvice")}
    assert sees["dovahkiin"] == ""
    assert submitted.stdout in sees["jarvice"]


def test_the_controller_can_be_killed_frozen_and_brought_back(first: bed.Bed) -> None:
    controller = first.slurm.service("slurmctld")
    controller.freeze()
    frozen = first.slurm.inside(["squeue"])
    controller.thaw()
    controller.kill()
    killed = first.slurm.inside(["squeue"])
    controller.start()
    assert "Socket timed out" in frozen.stderr
    assert "Unable to contact slurm controller" in killed.stderr
    assert first.slurm.inside(["squeue"]).returncode == 0


def test_rbac_decides_what_a_service_account_may_do(first: bed.Bed) -> None:
    for creation in (
        ("create", "namespace", "tests"),
        ("create", "serviceaccount", "reader", "--namespace=tests"),
        ("create", "role", "reading", "--namespace=tests", "--verb=get,list", "--resource=configmaps"),
        ("create", "rolebinding", "readers", "--namespace=tests", "--role=reading", "--serviceaccount=tests:reader"),
    ):
        assert first.kubectl(*creation).returncode == 0
    token = first.kubectl("create", "token", "reader", "--namespace=tests").stdout
    as_reader = (f"--token={token}", "--namespace=tests")
    assert first.kubectl("get", "configmaps", *as_reader).returncode == 0
    assert "Forbidden" in first.kubectl("get", "secrets", *as_reader).stderr


def test_the_audit_log_tells_who_wrote_what(first: bed.Bed) -> None:
    assert first.kubectl("create", "configmap", "seen").returncode == 0
    assert first.kubectl("create", "service", "externalname", "unseen", "--external-name=x").returncode == 0
    log = first.kubernetes.audit_log
    assert log is not None
    events = [json.loads(line) for line in log.read_text().splitlines()]
    written = [
        (event["user"]["username"], event["objectRef"]["resource"])
        for event in events
        if event["verb"] == "create" and event["objectRef"].get("name") in {"seen", "unseen"}
    ]
    assert written == [("admin", "configmaps")]


def test_up_on_a_bed_that_is_up_returns_that_bed(first: bed.Bed) -> None:
    assert bed.up("first") == first


@pytest.mark.slow
def test_two_beds_live_side_by_side_and_going_down_leaves_nothing(first: bed.Bed) -> None:
    second = bed.up("second")
    folder = state.folder("second")
    memory = (folder / "kubernetes" / "etcd").resolve()
    inside = Path(f"/proc/{second.slurm.namespace.init}/ns/pid").stat().st_ino
    try:
        assert ssh(second, "kirby", "sbatch --parsable --wrap 'sleep 600'").stdout == "1\n"
        assert not set(first.slurm.description.ports.values()) & set(second.slurm.description.ports.values())
        assert second.kubectl("get", "namespace", "tests").returncode == 1
        assert traces(folder)
        lived = members(inside)
        assert lived
    finally:
        second.down()
    assert not folder.exists()
    assert not memory.exists()
    assert traces(folder) == []
    assert not lived & members(inside)  # the number of the namespace may be another bed's by now
    assert ssh(first, "kirby", "sinfo --version").returncode == 0
    assert first.kubectl("get", "namespaces").returncode == 0


def test_a_part_that_dies_while_starting_takes_everything_down_and_shows_its_log() -> None:
    with pytest.raises(bed.BedError, match=r"(?s)slurmctld died.*unrecognized key: Nonsense"):
        bed.up("broken", slurm=bed.Options(extra_conf="Nonsense=1"))
    assert not state.folder("broken").exists()
    assert traces(state.folder("broken")) == []


def members(namespace: int) -> set[tuple[str, str]]:
    """The processes in the pid namespace of this number: pid, and when it started."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            if (process / "ns" / "pid").stat().st_ino == namespace:
                found.add((process.name, (process / "stat").read_text().rpartition(")")[2].split()[19]))
    return found


def traces(folder: Path) -> list[str]:
    """Processes and mounts that belong to the bed in `folder`."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            command = (process / "cmdline").read_text()
            if str(folder) in command:
                found.append(command)
    return found
