"""What Slurm's commands print is not always what one expects: names that people chose, and megabytes of complaints."""

from collections.abc import Iterator

import pytest

from tests.world import Cluster, World

LOUD = "/tmp/loud-sbatch"
MEGABYTES = 5


@pytest.fixture(scope="module")
def loud(world: World) -> Iterator[Cluster]:
    """Its sbatch refuses everything, at great length."""
    shout = f"head -c {MEGABYTES}000000 /dev/zero | tr '\\0' x >&2"
    program = f"#!/bin/sh\n{shout}\necho 'sbatch: error: Invalid qos' >&2\nexit 1\n"
    world.slurm("sh", "-c", f'printf %s "$1" >{LOUD} && chmod 755 {LOUD}', "sh", program)
    commands = {name: f"/usr/bin/{name}" for name in ("squeue", "sacct", "scancel", "scontrol", "sinfo", "srun")}
    with world.cluster("loud", commands={**commands, "sbatch": LOUD}) as cluster:
        cluster.wait_for("Ready", "True")
        yield cluster


@pytest.mark.slow
def test_of_five_megabytes_of_complaints_the_end_is_told(loud: Cluster) -> None:
    submission = loud.submit()
    submission.wait_for_phase("Rejected")
    message = submission.condition("Ready")["message"]
    assert message.endswith("Invalid qos")
    assert len(message) < 3000


ODD_NAMES = [b"\xff\xfe\x80", b"a|b|RUNNING|kirby", b"SLURMGATE-END", "ü\u202e".encode(), b"x" * 900, b"'\"$(id)"]


@pytest.fixture
def odd_jobs(world: World) -> Iterator[list[str]]:
    """Jobs of the same user, held, whose names and comments could be taken for something else."""
    numbers = []
    for name in ODD_NAMES:
        octal = "".join(f"\\{byte:03o}" for byte in name)
        program = f'odd=$(printf \'{octal}\'); sbatch --parsable --hold --job-name="$odd" --comment="$odd" --wrap=true'
        numbers.append(world.slurm("sh", "-c", program, user="kirby").strip())
    yield numbers
    world.slurm("scancel", *numbers)


def test_odd_names_of_other_jobs_hide_nothing(world: World, odd_jobs: list[str]) -> None:
    assert len(odd_jobs) == len(ODD_NAMES)
    submission = world.submit("sleep 3; exit 3")
    submission.wait_for_state("RUNNING")
    status = submission.wait_for_phase("Aborted")
    assert status["slurm"]["exitCode"] == 3
    assert status["slurm"]["jobId"] not in odd_jobs
