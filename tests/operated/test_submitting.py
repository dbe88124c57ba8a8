"""What travels to the cluster, and how it arrives: script, files, options, environment, directory."""

import base64
import hashlib
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bed import valhalla
from tests.api import Json
from tests.world import Cluster, Submission, World, manifest

MIB = 2**20
BINARY = bytes(range(256)) * 4 + b"\r\n\x00 end without a line end"


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def held(world: World, script: str = "true", **spec: Any) -> dict[str, str]:
    """The job of a submission that is held in the queue, as slurmctld describes it."""
    submission = world.submit(script, suspend=True, **spec)
    submission.wait_for(lambda status: "jobId" in status.get("slurm", {}))
    job = submission.job()
    submission.delete(wait=False)
    return job


def test_a_script_runs_as_the_mapped_user_and_its_end_comes_back(world: World) -> None:
    submission = world.submit("id -un; pwd")

    status = submission.wait_for_phase("Done")

    assert status["user"] == "kirby"
    assert status["slurm"]["state"] == "COMPLETED"
    assert status["slurm"]["exitCode"] == 0
    assert submission.output().splitlines() == ["kirby", status["workingDirectory"]]
    assert [job["user"] for job in world.jobs_of(submission.token)] == ["kirby"]


# Script --------------------------------------------------------------------------------------------------------------


def test_scripts_come_from_a_config_map_or_lie_on_the_cluster(world: World) -> None:
    scripts = {each: f"#!/bin/bash\necho 'from {each}'\n" for each in ("data", "binary data", "path", "home")}
    config_map = world.make(
        "ConfigMap",
        "scripts",
        data={"plain.sh": scripts["data"]},
        binaryData={"binary.sh": b64(scripts["binary data"].encode())},
    )
    world.write("/tmp/scripts/on-the-cluster.sh", scripts["path"], user="mario")  # readable by its owner alone
    world.write("/home/mario/jobs/it's mine.sh", scripts["home"], user="mario")
    sources: dict[str, Json] = {
        "data": {"configMapKeyRef": {"name": config_map, "key": "plain.sh"}},
        "binary data": {"configMapKeyRef": {"name": config_map, "key": "binary.sh"}},
        "path": {"remotePath": "/tmp/scripts/on-the-cluster.sh"},
        "home": {"remotePath": "~/jobs/it's mine.sh"},
    }

    submissions = {each: world.submit(source, user="mario") for each, source in sources.items()}

    for each, submission in submissions.items():
        status = submission.wait_for_phase("Done")
        assert status["scriptSha256"] == sha256(scripts[each].encode())
        assert submission.output().splitlines()[-1] == f"from {each}"


def big_script() -> str:
    """As long as a script may be, and of that many bytes, for some letters have two."""
    start, end = "#!/bin/bash\n", "sha256sum <${1:-$BIG} | cut -d' ' -f1\n"
    line = "# çà et là, rien que du texte\n"
    filling = MIB - len((start + end).encode())
    lines, rest = divmod(filling, len(line.encode()))
    return start + line * lines + "#" * (rest - 1) + "\n" * (rest > 0) + end


@pytest.mark.parametrize("how", [["create"], ["apply", "--server-side"]], ids=["create", "apply"])
def test_a_script_of_one_mib_travels_whole(world: World, how: list[str]) -> None:
    script = big_script()
    assert len(script.encode()) == MIB
    body = manifest({"inline": script}, writeSubmissionFiles=True)
    body["spec"]["environment"] = [{"name": "BIG", "value": f"{body['metadata']['name']}.sh"}]

    world.kubectl(*how, "--filename=-", stdin=world.yaml(body))

    submission = Submission(world, valhalla.RESEARCH, body["metadata"]["name"])
    status = submission.wait_for_phase("Done")
    assert submission.output().strip() == status["scriptSha256"] == sha256(script.encode())


def test_the_script_is_kept_beside_the_output(world: World) -> None:
    kept = world.submit("cat $SLURM_SUBMIT_DIR/*.sh")
    status = kept.wait_for_phase("Done")

    assert kept.output() == kept.get()["spec"]["script"]["inline"]
    listing = world.slurm("ls", "-l", status["workingDirectory"]).splitlines()[1:]
    assert [line.split()[-1] for line in listing] == [f"{kept.name}.sh", f"slurm-{status['slurm']['jobId']}.out"]
    assert {line.split()[2] for line in listing} == {"kirby"}


def test_the_script_is_not_kept_where_that_is_not_wanted(world: World) -> None:
    submission = world.submit("echo the secret recipe; ls", writeSubmissionFiles=False)
    status = submission.wait_for_phase("Done")
    world.eventually(submission.get, lambda body: "finalizers" not in body["metadata"])

    assert submission.output().splitlines() == ["the secret recipe", f"slurm-{status['slurm']['jobId']}.out"]
    found = world.slurm("grep", "--recursive", "--files-with-matches", "secret recipe", status["workingDirectory"])
    assert found.split() == [status["slurm"]["stdoutPath"]]


# Files ---------------------------------------------------------------------------------------------------------------


def test_supporting_files_arrive_byte_by_byte(world: World) -> None:
    big = random.Random(1).randbytes(700 * 1024)
    config_map = world.make("ConfigMap", "inputs", data={"mesh.dat": "3 4 5\n"}, binaryData={"state.bin": b64(BINARY)})
    secret = world.make("Secret", "inputs", labels={"slurmgate.dev/use": "true"}, data={"key": b64(BINARY), "big": b64(big)})
    contents = {
        "notes.txt": b"'quoted' \"text\" $HOME `id` \\ \xc3\xa9\n",
        "input/empty": b"",
        "input/raw.bin": BINARY,
        "input/deep/er/mesh.dat": b"3 4 5\n",
        "input/state.bin": BINARY,
        "a name with spaces": BINARY,
        "-dash": big,
    }
    files: list[Json] = [
        {"name": "notes.txt", "inline": contents["notes.txt"].decode()},
        {"name": "input/empty", "inline": ""},
        {"name": "input/raw.bin", "inlineBase64": b64(BINARY)},
        {"name": "input/deep/er/mesh.dat", "configMapKeyRef": {"name": config_map, "key": "mesh.dat"}},
        {"name": "input/state.bin", "configMapKeyRef": {"name": config_map, "key": "state.bin"}},
        {"name": "a name with spaces", "secretKeyRef": {"name": secret, "key": "key"}},
        {"name": "-dash", "secretKeyRef": {"name": secret, "key": "big"}},
        {"name": "bin/tool", "executable": True, "inline": "#!/bin/sh\necho the tool runs\n"},
    ]

    submission = world.submit("bin/tool; find . -type f ! -path './.slurmgate/*' -exec sha256sum {} +", files=files)

    submission.wait_for_phase("Done")
    first, *sums = submission.output().splitlines()
    assert first == "the tool runs"
    arrived = {name: digest for digest, name in (line.split("  ", 1) for line in sums)}
    assert {f"./{name}": sha256(content) for name, content in contents.items()}.items() <= arrived.items()


def test_files_from_a_secret_are_for_their_owner_alone(world: World) -> None:
    """Homes are open to everybody on many clusters, as they are here."""
    secret = world.make("Secret", "licence", labels={"slurmgate.dev/use": "true"}, stringData={"it": "swordfish"})
    source = {"secretKeyRef": {"name": secret, "key": "it"}}
    files: list[Json] = [
        {"name": "public", "inline": "for all"},
        {"name": "private", **source},
        {"name": "deep/tool", "executable": True, **source},
    ]

    submission = world.submit("cat private; stat --format=%a public private deep/tool", files=files)

    submission.wait_for_phase("Done")
    assert submission.output() == "swordfish644\n600\n700\n"


# Options -------------------------------------------------------------------------------------------------------------


def test_every_typed_field_and_free_arguments_reach_slurm(world: World) -> None:
    job = held(
        world,
        partition="night",
        account="nintendo",
        qos="high",
        nodes=1,
        tasks=4,
        cpusPerTask=2,
        memory="2G",
        gpus=2,
        timeLimit="1-02:03",
        sbatchArguments=["--nice=7", "--mail-type", "END", "-J", "a name", "--comment=mine; $(id) 'all' \"mine\""],
    )

    wanted = {
        "Partition": "night",
        "Account": "nintendo",
        "QOS": "high",
        "NumNodes": "1-1",
        "NumTasks": "4",
        "CPUs/Task": "2",
        "MinMemoryNode": "2G",
        "TresPerJob": "gres:gpu:2",
        "TimeLimit": "1-02:03:00",
        "Nice": "7",
        "MailType": "END",
        "JobName": "a name",
    }
    assert {name: job.get(name) for name in wanted} == wanted
    assert job["Comment"].endswith("mine; $(id) 'all' \"mine\"")


def test_an_array_and_a_range_of_nodes_reach_slurm(world: World) -> None:
    job = held(world, array="0-8:4,20%2", nodes="2-4", gpus=4, memory="300")

    assert (job["ArrayTaskId"], job["NumNodes"]) == ("0,4,8,20%2", "2-4")
    assert job["MinMemoryNode"] == "300M"


@pytest.fixture(scope="module")
def opinionated(world: World) -> Iterator[Cluster]:
    """A cluster with defaults for everything."""
    defaults = {
        "partition": "night",
        "account": "nintendo",
        "timeLimit": "11",
        "launch": {"mode": "None"},
        "workingDirectory": "~/runs/{user}/{namespace}.{name}.{uid}",
    }
    with world.cluster("opinionated", defaults=defaults) as cluster:
        yield cluster


def test_spec_goes_over_the_script_and_the_script_over_the_clusters_defaults(world: World, opinionated: Cluster) -> None:
    script = "#SBATCH --time=7 --partition=batch\n#SBATCH --job-name=mine"

    job = held(world, script, timeLimit="3", clusterRef={"name": opinionated.name})

    assert (job["TimeLimit"], job["Partition"], job["Account"]) == ("00:03:00", "batch", "nintendo")
    assert job["JobName"] == "mine"


def test_free_arguments_go_over_the_script(world: World) -> None:
    job = held(world, "#SBATCH --time=7 -n 2", sbatchArguments=["-t", "3"])

    assert (job["TimeLimit"], job["NumTasks"]) == ("00:03:00", "2")


def test_where_the_output_goes_is_the_persons_choice(world: World) -> None:
    submission = world.submit("echo out; echo err >&2", sbatchArguments=["--output=log-%x.%j", "--error=/tmp/err-%u-%j"])

    slurm = submission.wait_for_phase("Done")["slurm"]

    directory = submission.status()["workingDirectory"]
    assert slurm["stdoutPath"] == f"{directory}/log-{submission.name}.{slurm['jobId']}"
    assert slurm["stderrPath"] == f"/tmp/err-kirby-{slurm['jobId']}"
    assert (submission.output(), world.slurm("cat", slurm["stderrPath"])) == ("out\n", "err\n")


# Environment ---------------------------------------------------------------------------------------------------------

WILD = 'it\'s "wild" $HOME `id` \\ !\n\tsecond line, é'


def test_environment_arrives_in_the_job(world: World) -> None:
    config_map = world.make("ConfigMap", "settings", data={"mode": "fast"})
    secret = world.make("Secret", "passwords", labels={"slurmgate.dev/use": "true"}, stringData={"it": "swordfish"})
    environment = [
        {"name": "WILD", "value": WILD},
        {"name": "EMPTY", "value": ""},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": config_map, "key": "mode"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": "it"}}},
    ]

    submission = world.submit('printf "%s|" "$WILD" "${EMPTY-unset}" "$MODE" "$PASSWORD"', environment=environment)

    submission.wait_for_phase("Done")
    assert submission.output() == f"{WILD}||fast|swordfish|"


@pytest.fixture
def slow_sbatch(world: World) -> Iterator[Cluster]:
    """A cluster whose sbatch takes its time, so that one can look at it while it runs."""
    program = (
        '#!/bin/sh\ntouch /tmp/sbatch-runs\nuntil [ -e /tmp/sbatch-may-go ]; do sleep 0.1; done\nexec /usr/bin/sbatch "$@"\n'
    )
    world.write("/tmp/slow-sbatch", program, user="kirby", mode="0755")
    world.slurm("rm", "-f", "/tmp/sbatch-runs", "/tmp/sbatch-may-go")
    commands = {**valhalla.cluster_spec(world.bed)["commands"], "sbatch": "/tmp/slow-sbatch"}
    with world.cluster("slow-sbatch", commands=commands) as cluster:
        yield cluster


PEEP = """
cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' | tr -cd '[:print:]\\n'
grep --recursive --no-messages --binary-files=without-match . /home/kirby /tmp
"""


def test_a_secret_is_seen_by_the_job_and_by_nobody_else(world: World, slow_sbatch: Cluster) -> None:
    treasure = f"treasure-{random.Random(time.time_ns()).randbytes(8).hex()}"
    secret = world.make("Secret", "treasure", labels={"slurmgate.dev/use": "true"}, stringData={"it": treasure})
    marker = "a-word-that-anybody-may-see"

    def seen_by_mario() -> str:
        return world.bed.slurm.inside(["sh", "-c", PEEP], user="mario").stdout

    submission = slow_sbatch.submit(
        'until [ -e go ]; do sleep 0.2; done; echo "$TREASURE" | sha256sum',
        environment=[{"name": "TREASURE", "valueFrom": {"secretKeyRef": {"name": secret, "key": "it"}}}],
        sbatchArguments=[f"--job-name={marker}"],
    )
    world.eventually(lambda: world.bed.slurm.inside(["test", "-e", "/tmp/sbatch-runs"]).returncode, lambda code: code == 0)
    during_sbatch = seen_by_mario()
    world.slurm("touch", "/tmp/sbatch-may-go")
    status = submission.wait_for_state("RUNNING")
    during_the_job = seen_by_mario()
    world.slurm("touch", f"{status['workingDirectory']}/go", user="kirby")
    submission.wait_for_phase("Done")

    assert marker in during_sbatch  # one does see sbatch's arguments
    assert submission.output().split()[0] == sha256(f"{treasure}\n".encode())
    assert treasure not in during_sbatch
    assert treasure not in during_the_job
    assert treasure not in world.kubectl("get", "jsub", submission.name, "--namespace=research", "--output=yaml")
    assert treasure not in world.kubectl("get", "events", "--all-namespaces", "--output=yaml")
    assert treasure not in world.operator.log.read_text()
    assert treasure not in world.slurm("scontrol", "show", "job", status["slurm"]["jobId"])
    assert treasure not in world.slurm("sacct", "--allusers", "--parsable2", "--format=ALL")
    left = world.bed.slurm.inside(["grep", "--recursive", "--files-with-matches", treasure, "/home", "/tmp"])
    assert (left.stdout, left.returncode) == ("", 1)  # nor does it stay on the cluster


# Directory -----------------------------------------------------------------------------------------------------------


def test_the_directory_is_the_persons_choice(world: World) -> None:
    given = world.submit("pwd", executionDirectory="/tmp/made/for it")
    below_home = world.submit("pwd", executionDirectory="~/my/runs")
    home = world.submit("pwd", executionDirectory="~")

    directories = {given: "/tmp/made/for it", below_home: "/home/kirby/my/runs", home: "/home/kirby"}
    for submission, directory in directories.items():
        assert submission.wait_for_phase("Done")["workingDirectory"] == directory
        assert submission.output() == f"{directory}\n"


def test_the_cluster_has_a_template_for_the_directory(opinionated: Cluster) -> None:
    submission = opinionated.submit("pwd")

    status = submission.wait_for_phase("Done")

    wanted = f"/home/kirby/runs/kirby/research.{submission.name}.{submission.token[:8]}"
    assert status["workingDirectory"] == submission.output().strip() == wanted


# Launch --------------------------------------------------------------------------------------------------------------

STEP = 'echo "task $SLURM_PROCID of step ${SLURM_STEP_ID-none}"'


def test_launch_is_decided_and_shown(world: World, opinionated: Cluster) -> None:
    """Auto wraps what does not start its own tasks; Srun and None do as they say; the cluster has a default."""
    as_wanted: dict[str, tuple[Submission, str, str]] = {
        "Auto, plain": (world.submit(STEP, launch={"mode": "Auto"}), "Srun", "task 0 of step 0"),
        "Auto, srun inside": (world.submit(f"srun true; {STEP}", launch={"mode": "Auto"}), "None", "task 0 of step none"),
        "Srun": (world.submit(STEP, launch={"mode": "Srun", "srunArguments": ["--exact"]}), "Srun", "task 0 of step 0"),
        "None": (world.submit(STEP, launch={"mode": "None"}), "None", "task 0 of step none"),
        "the cluster's default": (opinionated.submit(STEP), "None", "task 0 of step none"),
        "over the default": (opinionated.submit(STEP, launch={"mode": "Srun"}), "Srun", "task 0 of step 0"),
    }
    for name, (submission, mode, output) in as_wanted.items():
        launch = submission.wait_for_phase("Done")["launch"]
        assert (launch["mode"], submission.output().strip()) == (mode, output), name
        assert launch["why"], name
    assert "srun" in as_wanted["Auto, srun inside"][0].status()["launch"]["why"]


def test_several_tasks_are_several_copies_as_srun_does_it(world: World) -> None:
    submission = world.submit(STEP, tasks=3)

    submission.wait_for_phase("Done")

    assert sorted(submission.output().splitlines()) == [f"task {number} of step 0" for number in range(3)]
