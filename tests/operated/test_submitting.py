from tests.operated.world import World


def test_a_script_runs_as_the_mapped_user_and_its_end_comes_back(world: World) -> None:
    submission = world.submit("id -un; pwd")

    status = submission.wait_for_phase("Done")

    assert status["user"] == "kirby"
    assert status["slurm"]["state"] == "COMPLETED"
    assert status["slurm"]["exitCode"] == 0
    assert submission.output().splitlines() == ["kirby", status["workingDirectory"]]
    assert [job["user"] for job in world.jobs_of(submission.token)] == ["kirby"]
