"""Plugins in a running operator: the example's, and one that does everything wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.valhalla import EXAMPLES
from tests.api import Json
from tests.world import Cluster, World, operated

pytestmark = pytest.mark.slow

BY_DOMAIN = {"plugin": {"name": "local-part", "parameters": {"domain": "example.org"}}}
HOSTILE = '''\
"""A package that does everything wrong."""

import asyncio
import time
from pathlib import Path

from slurmgate.plugins.api import Account, Hook, Proceed

Path("{there}/imported").touch()


class Directory:
    """Is down, or hangs, while there is a file of that name."""

    def __init__(self, parameters):
        self.name = parameters.get("name", "")

    async def account_of(self, owner):
        if Path("{there}", self.name, "is-down").exists():
            raise ConnectionRefusedError("ldap://staff:389")
        if Path("{there}", self.name, "blocks").exists():
            time.sleep(3600)
        user = owner.partition("@")[0]
        return None if user == "nobody" else Account(user, f"{{user}}-ssh-key")


class Careless(Hook):
    async def before_submission(self, submission):
        if b"#hang" in submission.script:
            await asyncio.Event().wait()
        if b"#block" in submission.script:
            time.sleep(3600)
        if b"#raise" in submission.script:
            raise SystemExit("goodbye")
        if b"#nothing" in submission.script:
            return None
        if b"#uid" in submission.script:
            return Proceed(("--uid=0",))
        return Proceed()

    async def status_changed(self, change):
        if change.status["phase"] == "Done":
            raise RuntimeError("cannot count that far")


async def spin():
    with Path("{there}/starts").open("a") as file:
        file.write("started\\n")
    raise ValueError("no more")


async def sleep_for_ever():
    time.sleep(3600)
'''
ENTRY_POINTS = """\
[slurmgate.identity]
directory = hostile:Directory

[slurmgate.hooks]
careless = hostile:Careless

[slurmgate.tasks]
spin = hostile:spin
sleep-for-ever = hostile:sleep_for_ever
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example and the hostile package, installed."""
    folder = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, f"--target={folder}", EXAMPLES / "plugin"], check=True)
    (folder / "hostile.py").write_text(HOSTILE.format(there=folder))
    metadata = folder / "hostile-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture(scope="module")
def well_behaved(packages: Path) -> Iterator[World]:
    """An operator with the example's plugins; the hostile package is installed, too."""
    allowed = {"plugins": ["local-part", "house-rules", "count-endings"]}
    with operated(f"plugins-{os.getpid()}", values=allowed, PYTHONPATH=str(packages)) as world:
        yield world


@pytest.fixture(scope="module")
def by_domain(well_behaved: World) -> Iterator[Cluster]:
    with well_behaved.cluster("by-domain", identity=BY_DOMAIN) as cluster:
        yield cluster


# The example's --------------------------------------------------------------------------------------------------------


def test_a_cluster_whose_people_nobody_knows_yet_says_so_until_somebody_submits(by_domain: Cluster) -> None:
    world = by_domain.world
    ready = world.eventually(lambda: by_domain.condition("Ready"), bool)
    assert (ready["status"], ready["reason"]) == ("Unknown", "NotChecked")
    assert "known once they submit something" in ready["message"]

    submission = by_domain.submit("id -un", user="mario")

    assert submission.wait_for_phase("Done")["user"] == "mario"
    assert submission.output() == "mario\n"
    assert by_domain.wait_for("Ready", "True")["reason"] == "Available"


def test_whom_the_plugin_does_not_know_is_refused(by_domain: Cluster) -> None:
    world = by_domain.world
    world.make("Namespace", "elsewhere", annotations={"slurmgate.dev/owners": "*@example.com"})
    submission = by_domain.submit(owner="kirby@example.com", namespace="elsewhere")
    submission.wait_for_phase("Rejected")
    assert submission.condition("Ready")["reason"] == "UserNotMapped"
    message = submission.condition("Ready")["message"]
    assert message == "spec.owner: kirby@example.com is nobody on the cluster (plugin local-part)"


def test_a_hook_adds_arguments_for_sbatch(well_behaved: World) -> None:
    submission = well_behaved.submit("sleep 600", user="mario", sbatchArguments=["--nice=7"])
    submission.wait_for_state("RUNNING")
    assert submission.status()["sbatchArguments"][-2:] == ["--nice=7", "--nice=100"]
    assert submission.job()["Nice"] == "100"
    submission.patch(cancel=True)
    submission.wait_for_phase("Cancelled")


def test_a_hook_refuses_for_good(well_behaved: World) -> None:
    submission = well_behaved.submit("./xmrig --donate-level=1")
    submission.wait_for_phase("Rejected")
    assert submission.condition("Ready")["reason"] == "HookRefused"
    assert submission.said("HookRefused") == "hook house-rules: no coins are mined on this cluster"
    assert well_behaved.jobs_of(submission.token) == []


def test_a_hook_is_told_what_became_of_a_submission(well_behaved: World) -> None:
    submission = well_behaved.submit()
    submission.wait_for_phase("Done")
    words = f"{submission.namespace}/{submission.name} of kirby@example.org is"
    log = well_behaved.eventually(well_behaved.operator.log.read_text, lambda log: f"{words} Done" in log)
    assert f"{words} Created" in log
    assert f"{words} Submitted" in log


def test_a_task_runs(well_behaved: World) -> None:
    well_behaved.eventually(well_behaved.operator.log.read_text, lambda log: "Ended: {" in log)


def test_what_is_not_named_is_not_even_imported(well_behaved: World, packages: Path) -> None:
    with well_behaved.cluster("forbidden", identity={"plugin": {"name": "directory"}}) as cluster:
        submission = cluster.submit()
        submission.wait_for_reason("PluginUnavailable")
        valid = cluster.wait_for("MappingValid", "False")
        assert valid["reason"] == "PluginUnavailable"
        assert "plugin directory of spec.identity.plugin may not run" in valid["message"]
        assert cluster.condition("Ready")["status"] == "False"
    assert not (packages / "imported").exists()


def test_calls_are_counted(well_behaved: World) -> None:
    assert 'slurmgate_plugin_calls_total{outcome="answered",plugin="house-rules"}' in well_behaved.operator.get("/metrics")


def test_running_jobs_are_followed_and_cancelled_after_a_restart(by_domain: Cluster) -> None:
    """Nobody submits anew: whose key it is has to be asked for those who have."""
    world = by_domain.world
    submission = by_domain.submit("sleep 600", user="kirby")
    submission.wait_for_state("RUNNING")
    by_domain.wait_for("Ready", "True")
    world.operator.stop()
    world.operator = world.installation.start()

    submission.patch(cancel=True)

    assert submission.wait_for_phase("Cancelled")["user"] == "kirby"
    assert [job["state"] for job in world.jobs_of(submission.token)] == ["CANCELLED"]
    assert {event["reason"] for event in by_domain.events()} <= {"Available"}


def test_an_operator_whose_plugin_is_missing_does_not_start(well_behaved: World) -> None:
    """The hook that is missing may be the one that would have refused."""
    installation = well_behaved.installation.replica(9, SLURMGATE_PLUGINS="house-rules,gone")
    done = subprocess.run(
        [sys.executable, "-m", "slurmgate", *installation.arguments],
        env={"PATH": os.environ["PATH"], **installation.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "SLURMGATE_PLUGINS: no installed package has an entry point gone of slurmgate.identity" in done.stderr


# Those that do everything wrong ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(packages: Path) -> Iterator[World]:
    """An operator with the hostile package's plugins."""
    allowed = {"plugins": ["directory", "careless", "spin", "sleep-for-ever"]}
    with operated(f"hostile-{os.getpid()}", values=allowed, PYTHONPATH=str(packages)) as world:
        yield world


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("#raise", "plugin careless failed: SystemExit: goodbye"),
        ("#nothing", "hook careless answered with NoneType instead of Proceed, Refuse or Wait"),
        ("#uid", "hook careless: --uid is refused: the user comes from the cluster's user mapping"),
        ("#hang", "plugin careless did not answer within 10 s"),
    ],
)
def test_a_hook_that_fails_makes_one_submission_wait_and_no_other(hostile: World, what: str, words: str) -> None:
    waiting, other = hostile.submit(what), hostile.submit(user="mario")
    ready = waiting.wait_for_reason("PluginUnavailable")
    assert ready["message"] == f"{words}. It is asked again before the submission is sent."
    other.wait_for_phase("Done")
    assert waiting.status()["phase"] == "Created"
    waiting.delete()


def test_a_hook_that_blocks_on_one_cluster_holds_up_no_other(hostile: World) -> None:
    with hostile.cluster("blocked") as cluster:
        blocked = cluster.submit("#block")
        blocked.wait_for_reason("PluginUnavailable")
        behind = cluster.submit(user="mario")
        assert "careless did not answer" in behind.wait_for_reason("PluginUnavailable")["message"]
        hostile.submit(user="mario").wait_for_phase("Done")
        for submission in (blocked, behind):
            submission.delete()


def test_a_hook_that_fails_when_it_is_told_something_is_logged_and_no_more(hostile: World) -> None:
    submission = hostile.submit()
    submission.wait_for_phase("Done")
    words = f"A hook was not told of {submission.namespace}/{submission.name}: plugin careless failed: RuntimeError"
    hostile.eventually(hostile.operator.log.read_text, lambda log: words in log)


def test_a_task_that_ends_is_started_again_and_one_that_sleeps_harms_nobody(hostile: World, packages: Path) -> None:
    hostile.eventually((packages / "starts").read_text, lambda starts: starts.count("started") >= 3)
    assert hostile.operator.ready()


def by_directory(name: str) -> Json:
    return {"plugin": {"name": "directory", "parameters": {"name": name}}}


def test_a_directory_that_is_down_is_waited_for(hostile: World, packages: Path) -> None:
    down = packages / "ldap" / "is-down"
    down.parent.mkdir()
    with hostile.cluster("ldap", identity=by_directory("ldap")) as cluster:
        running = cluster.submit("sleep 600")
        running.wait_for_state("RUNNING")
        down.touch()
        submission = cluster.submit(user="mario")
        words = "plugin directory failed: ConnectionRefusedError: ldap://staff:389"
        ready = submission.wait_for_reason("PluginUnavailable")
        assert ready["message"] == f"{words}. It is asked again who mario@example.org is."
        valid = cluster.wait_for("MappingValid", "False")
        assert (valid["reason"], valid["message"]) == ("ProblemsFound", f"mario@example.org: {words}")
        cluster.submit().wait_for_phase("Done")  # who he is was asked a moment ago

        down.unlink()

        submission.wait_for_phase("Done")
        cluster.wait_for("MappingValid", "True")
        running.patch(cancel=True)
        running.wait_for_phase("Cancelled")


def test_a_directory_that_blocks_holds_up_no_other_cluster(hostile: World, packages: Path) -> None:
    (packages / "nis").mkdir()
    (packages / "nis" / "blocks").touch()
    with hostile.cluster("nis", identity=by_directory("nis")) as cluster:
        submission = cluster.submit()
        assert "did not answer within 10 s" in submission.wait_for_reason("PluginUnavailable")["message"]
        assert "did not answer within 10 s" in cluster.wait_for("MappingValid", "False")["message"]
        hostile.submit().wait_for_phase("Done")
        submission.delete()


def test_an_operator_stops_in_time_whatever_its_plugins_do(hostile: World) -> None:
    began = time.monotonic()
    assert hostile.operator.stop() == 0
    assert time.monotonic() - began < 10
    hostile.operator = hostile.installation.start()
