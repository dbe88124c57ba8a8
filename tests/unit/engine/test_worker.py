"""One cluster's worker in a whole world: what it asks, what it tells, what it does not do."""

from collections.abc import Callable

import pytest

from slurmgate.core.reasons import Reason
from slurmgate.engine.cluster import STEPPERS
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import JobSubmissionStatus, Phase
from tests.unit.core.build import TOKEN, Draft, shown, told
from tests.unit.engine.slurm import Sbatch
from tests.unit.engine.world import World

FROM_CONFIG_MAP = Draft().with_spec(script={"configMapKeyRef": {"name": "scripts", "key": "run.sh"}})


def another(number: int, **spec: object) -> Draft:
    token = f"{number:08d}-0000-4000-8000-000000000000"
    return Draft().with_metadata(name=f"hello-{number}", uid=token).with_spec(**spec)


def writes(world: World) -> list[tuple[str | None, str | None, str]]:
    return [shown(JobSubmissionStatus.model_validate(status)) for status in world.object().statuses]


def events(world: World) -> list[tuple[str, str]]:
    return told(event for _, event in world.api.events)


# Lives ---------------------------------------------------------------------------------------------------------------


async def test_a_normal_life_is_four_writes_and_a_finalizer(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    assert writes(world) == [
        ("Created", None, "Submitting"),
        ("Submitted", "PENDING", "Submitted"),
        ("Submitted", "RUNNING", "Running"),
        ("Done", "COMPLETED", "Completed"),
    ]
    assert FINALIZER not in world.object().finalizers
    assert events(world) == [("Normal", Reason.SUBMITTED), ("Normal", Reason.RUNNING), ("Normal", Reason.COMPLETED)]


async def test_each_thing_is_asked_once(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    once = ("namespace_annotation", "fix", "stage", "submit", "let_go")
    assert {place: world.gates.passed[place] for place in once} == dict.fromkeys(once, 1)
    assert not world.gates.passed["find"]


async def test_the_finalizer_and_the_user_stand_in_the_api_before_sbatch_is_run(world: World) -> None:
    world.gates.close("submit")
    world.api.create(Draft())
    await world.gates.reached("submit")
    assert FINALIZER in world.object().finalizers
    assert world.object().status.user == "kirby"
    world.gates.open("submit")


async def test_nothing_is_done_for_what_is_over(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    before = sum(world.gates.passed.values())
    world.api.edit(TOKEN, Draft.echoed)
    await world.kill()
    world.start()
    await world.settle()
    assert sum(world.gates.passed.values()) == before
    assert not world.worker.records


async def test_a_submission_that_is_created_cancelled_is_told_so(world: World) -> None:
    world.api.create(Draft().with_spec(cancel=True))
    await world.settle()
    assert writes(world) == [("Cancelled", None, "Cancelled")]
    assert not world.gates.passed["namespace_annotation"]


async def test_a_submission_cancelled_while_no_operator_ran_is_told_so(world: World) -> None:
    world.references.content.clear()
    world.api.create(FROM_CONFIG_MAP)
    await world.settle(seconds=10)
    await world.kill()
    world.api.edit(TOKEN, Draft.cancelled)
    world.start()
    await world.settle()
    assert writes(world)[-1] == ("Cancelled", None, "Cancelled")


async def test_what_is_edited_after_the_end_is_answered(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    world.api.edit(TOKEN, lambda draft: draft.edited(readyWhen="Running"))
    await world.settle(seconds=10)
    assert world.object().status.observed_generation == 2
    assert world.object().status.phase is Phase.DONE


REFUSALS: dict[str, tuple[Callable[[World], object], Draft, Reason]] = {
    "the namespace allows nobody": (lambda world: setattr(world.references, "owners", None), Draft(), Reason.OWNER_NOT_ALLOWED),
    "the owner has no entry": (lambda world: world.site.users.clear(), Draft(), Reason.USER_NOT_MAPPED),
    "an option is not allowed": (
        lambda world: None,
        Draft().with_spec(sbatchArguments=["--uid=0"]),
        Reason.OPTION_NOT_ALLOWED,
    ),
    "the array makes no sense": (lambda world: None, Draft().with_spec(array="9-1"), Reason.INVALID_SPEC),
    "sbatch refuses it": (lambda world: setattr(world.slurm, "sbatch", "refuses"), Draft(), Reason.SUBMIT_REJECTED),
}


@pytest.mark.parametrize(("arrange", "draft", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("watch_lag", [0.001, 0.05, 5.0])
async def test_a_refusal_is_said_once_and_is_the_end(
    world: World, arrange: Callable[[World], object], draft: Draft, reason: Reason, watch_lag: float
) -> None:
    world.api.watch_lag = watch_lag
    arrange(world)
    world.api.create(draft)
    await world.settle()
    assert world.object().status.phase is Phase.REJECTED
    assert events(world) == [("Warning", reason)]
    assert [write[2] for write in writes(world)].count(reason) == 1
    assert FINALIZER not in world.object().finalizers
    assert not world.slurm.jobs


WAITS: dict[str, tuple[Callable[[World], object], Callable[[World], object], Reason]] = {
    "the ConfigMap is not there yet": (
        lambda world: world.references.content.clear(),
        lambda world: world.references.content.update({"scripts/run.sh": b"#!/bin/sh\n"}),
        Reason.REFERENCE_NOT_FOUND,
    ),
    "the mapping is not read yet": (
        lambda world: setattr(world.site, "mapping_is_there", False),
        lambda world: setattr(world.site, "mapping_is_there", True),
        Reason.MAPPING_NOT_LOADED,
    ),
    "no login node answers": (
        lambda world: setattr(world.slurm, "reachable", False),
        lambda world: setattr(world.slurm, "reachable", True),
        Reason.CLUSTER_UNREACHABLE,
    ),
    "there is no SlurmCluster": (
        lambda world: world.worker.configure(None),
        lambda world: world.worker.configure(world.configured),
        Reason.CLUSTER_NOT_FOUND,
    ),
}


@pytest.mark.parametrize(("spoil", "mend", "reason"), WAITS.values(), ids=WAITS.keys())
async def test_what_is_missing_is_said_once_and_waited_for(
    world: World, spoil: Callable[[World], object], mend: Callable[[World], object], reason: Reason
) -> None:
    spoil(world)
    world.api.create(FROM_CONFIG_MAP)
    await world.settle(seconds=3600)
    assert world.object().status.phase is Phase.CREATED
    assert events(world) == [("Warning", reason)]
    assert len(writes(world)) <= 2
    mend(world)
    world.worker.wake()
    await world.settle(seconds=30)
    assert world.slurm.jobs
    await world.settle()
    assert world.object().status.phase is Phase.DONE


async def test_what_is_missing_is_looked_for_ever_more_seldom(world: World) -> None:
    world.references.content.clear()
    world.api.create(FROM_CONFIG_MAP)
    await world.settle(seconds=24 * 3600)
    assert 24 * 3600 / 150 <= world.gates.passed["of_submission"] <= 24 * 3600 / 120 + 10


@pytest.mark.parametrize("sbatch", ["answer is lost", "answer is lost, is not run", "is not run"])
async def test_an_answer_that_is_lost_never_makes_a_second_job(world: World, sbatch: Sbatch) -> None:
    world.slurm.sbatch = sbatch
    world.api.create(Draft())
    await world.settle(seconds=600)
    world.slurm.sbatch = "answers"
    await world.settle()
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def test_a_command_that_was_long_on_its_way_makes_no_second_job(world: World) -> None:
    world.slurm.arrives_late = 120.0
    world.api.create(Draft())
    await world.settle(seconds=90)
    world.slurm.arrives_late = 0.0
    await world.settle()
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def test_what_nobody_knows_stays_unknown_until_somebody_answers(world: World) -> None:
    world.slurm.sbatch = "answer is lost"
    world.gates.close("sbatch")
    world.api.create(Draft())
    await world.gates.reached("sbatch")
    world.slurm.reachable = False
    world.gates.open("sbatch")
    await world.settle(seconds=7200)
    assert writes(world)[-1] == ("Created", None, "SubmissionUnknown")
    assert world.gates.passed["submit"] == 1
    world.slurm.reachable = True
    await world.settle()
    assert world.object().status.phase is Phase.DONE
    assert world.gates.passed["submit"] == 1


@pytest.mark.xfail(strict=True, reason="WorkQueue.done adds what _apply has added meanwhile, and drops the timer of 60 s")
async def test_a_mistake_of_ours_that_stays_is_tried_again_slowly(world: World) -> None:
    world.gates.always_fail("submit", RuntimeError)
    world.api.create(Draft())
    await world.settle(seconds=100)
    assert world.gates.passed["submit"] <= 4


async def test_a_job_that_could_not_be_cancelled_is_told_of_once(world: World) -> None:
    world.api.create(Draft())
    await world.settle(seconds=20)
    world.slurm.reachable = False
    world.api.delete(TOKEN)
    await world.settle()
    assert TOKEN in world.api.gone
    assert [event.message for _, event in world.api.events if "may still run" in event.message] == [
        "Could not cancel Slurm job 1 within 10 minutes of the deletion; it may still run. login1: no route to host"
    ]
    assert not world.worker.records


async def test_what_was_let_go_stays_let_go_while_somebody_else_keeps_the_object(world: World) -> None:
    world.api.create(Draft().with_metadata(finalizers=["else.example/x"]))
    await world.settle(seconds=20)
    world.api.edit(TOKEN, Draft.orphaning)
    world.api.delete(TOKEN)
    await world.settle()
    assert world.object().finalizers == ["else.example/x"]
    asked, told_of = dict(world.gates.passed), len(world.api.events)
    world.api.edit(TOKEN, Draft.echoed)
    await world.settle()
    assert (dict(world.gates.passed), len(world.api.events)) == (asked, told_of)
    assert world.slurm.jobs[0].cancelled is None


# Several at once -----------------------------------------------------------------------------------------------------


async def test_a_slow_submission_does_not_hold_up_the_others(world: World) -> None:
    world.gates.close("stage")
    world.api.create(another(1))
    await world.gates.reached("stage")
    slow = world.gates.release_others("stage")
    world.api.create(another(2))
    await world.settle()
    assert [job.token for job in world.slurm.jobs] == [str(another(2).metadata["uid"])]
    slow.set()
    await world.settle()
    assert len(world.slurm.jobs) == 2


async def test_many_are_worked_on_at_once_but_not_more_than_there_are_steppers(world: World) -> None:
    world.gates.close("stage")
    for number in range(3 * STEPPERS):
        world.api.create(another(number))
    await world.settle(seconds=60)
    assert world.gates.passed["stage"] == STEPPERS
    world.gates.open("stage")
    await world.settle()
    assert len(world.slurm.jobs) == 3 * STEPPERS
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}
    assert len({job.token for job in world.slurm.jobs}) == 3 * STEPPERS


async def test_questions_to_slurm_do_not_grow_with_the_number_of_jobs(world: World) -> None:
    for number in range(40):
        world.api.create(another(number, owner="mario@nintendo.example" if number % 2 else "kirby@nintendo.example"))
    await world.settle(seconds=100)
    assert world.gates.passed["observe"] <= 100 / 5 + 1
    await world.settle()
    assert world.gates.passed["account"] <= 10
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}


async def test_where_jobs_are_hidden_each_user_asks(world: World) -> None:
    world.site.hides_jobs = True
    for number, owner in enumerate(("kirby@nintendo.example", "mario@nintendo.example")):
        world.api.create(another(number, owner=owner))
    await world.settle()
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}


# The end -------------------------------------------------------------------------------------------------------------


async def test_a_worker_that_is_stopped_finishes_what_is_under_way_and_begins_nothing_new(world: World) -> None:
    world.gates.close("stage")
    world.api.create(another(1))
    await world.gates.reached("stage")
    world.worker.stop()
    world.gates.open("stage")
    world.api.create(another(2))
    await world.stop()
    assert [job.token for job in world.slurm.jobs] == [str(another(1).metadata["uid"])]
    passed = dict(world.gates.passed)
    await world.settle()
    assert dict(world.gates.passed) == passed
    assert passed["stage"] == 1


async def test_an_idle_worker_stops_at_once(world: World) -> None:
    began = world.time
    await world.stop()
    assert world.time - began < 1


@pytest.mark.parametrize("place", ["namespace_annotation", "fix", "stage", "submit", "sbatch"])
async def test_a_worker_stopped_at_any_step_leaves_nothing_half_done(world: World, place: str) -> None:
    world.gates.close(place)
    world.api.create(Draft())
    await world.gates.reached(place)
    world.worker.stop()
    world.gates.open(place)
    await world.stop()
    await world.settle(seconds=1)
    slurm = world.object().status.slurm
    assert [job.id for job in world.slurm.jobs] == ([slurm.job_id] if slurm and slurm.job_id else [])
    world.start()
    await world.settle()
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def test_numbers_for_prometheus_add_up(world: World) -> None:
    for number in range(3):
        world.api.create(another(number))
    await world.settle(seconds=20)
    assert _value(world, "slurmgate_submissions", phase="Submitted") == 3
    await world.settle()
    assert _value(world, "slurmgate_submissions", phase="Submitted") == 0
    assert _value(world, "slurmgate_submissions_ended_total", phase="Done") == 3


def _value(world: World, name: str, **labels: str) -> float | None:
    return world.metrics.registry.get_sample_value(name, {"cluster": "valhalla", **labels})
