import asyncio
from collections.abc import AsyncIterator

import pytest

from slurmgate.kube.addresses import Target
from slurmgate.kube.events import EventRecorder
from slurmgate.kube.session import ApiSession
from slurmgate.telemetry.metrics import Metrics
from tests.unit.kube.conftest import Clock
from tests.unit.kube.fake import FakeApi, Trouble

RUN = Target("JobSubmission", "team", "run", "uid-1")


@pytest.fixture
async def recorder(api: ApiSession, metrics: Metrics, clock: Clock) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(api, instance="pod-1", metrics=metrics, clock=clock)
    recorder.start()
    yield recorder
    await recorder.stop(grace=0)


def dropped(metrics: Metrics, why: str) -> float:
    return metrics.registry.get_sample_value("slurmgate_events_dropped_total", {"why": why}) or 0


def post(recorder: EventRecorder, target: Target, message: str = "text") -> None:
    recorder.post(target, type="Normal", reason="Submitted", message=message)


async def test_an_event_says_who_reports_what_of_which_object(fake: FakeApi, recorder: EventRecorder) -> None:
    post(recorder, RUN, "Slurm job 7")
    await recorder.stop(grace=5)
    (seen,) = fake.seen
    body = seen.body
    assert (seen.method, seen.path) == ("POST", "/api/v1/namespaces/team/events")
    assert body["metadata"]["namespace"] == "team"
    assert body["metadata"]["name"].startswith("run.")
    assert body["involvedObject"] == {
        "apiVersion": "slurmgate.dev/v1alpha1",
        "kind": "JobSubmission",
        "namespace": "team",
        "name": "run",
        "uid": "uid-1",
    }
    assert (body["type"], body["reason"], body["message"]) == ("Normal", "Submitted", "Slurm job 7")
    assert (body["reportingComponent"], body["reportingInstance"]) == ("slurmgate", "pod-1")
    assert body["firstTimestamp"] == body["lastTimestamp"]


async def test_events_of_clusters_go_to_the_default_namespace(fake: FakeApi, recorder: EventRecorder) -> None:
    post(recorder, Target("SlurmCluster", None, "c", "uid-2"))
    await recorder.stop(grace=5)
    assert fake.seen[0].path == "/api/v1/namespaces/default/events"
    assert "namespace" not in fake.seen[0].body["involvedObject"]


async def test_names_stay_within_the_limit(fake: FakeApi, recorder: EventRecorder) -> None:
    post(recorder, Target("JobSubmission", "team", "n" * 253, "uid-2"))
    await recorder.stop(grace=5)
    assert len(fake.seen[0].body["metadata"]["name"]) == 253


@pytest.mark.parametrize(
    ("message", "posted"),
    [
        pytest.param("x" * 1024, "x" * 1024, id="as long as may be"),
        pytest.param("x" * 1025, "x" * 1021 + "...", id="too long"),
        pytest.param("é" * 600, "é" * 510 + "...", id="not in the middle of a character"),
    ],
)
async def test_messages_are_cut(fake: FakeApi, recorder: EventRecorder, message: str, posted: str) -> None:
    post(recorder, RUN, message)
    await recorder.stop(grace=5)
    assert fake.seen[0].body["message"] == posted


async def test_one_object_gets_25_at_once_and_then_one_in_five_minutes(
    fake: FakeApi, recorder: EventRecorder, metrics: Metrics, clock: Clock
) -> None:
    for _ in range(30):
        post(recorder, RUN)
    clock.now += 299
    post(recorder, RUN)
    clock.now += 1
    post(recorder, RUN, "later")
    post(recorder, Target("JobSubmission", "team", "other", "uid-2"), "other")
    await recorder.stop(grace=5)
    assert [seen.body["message"] for seen in fake.seen[25:]] == ["later", "other"]
    assert dropped(metrics, "too many of one object") == 6


async def test_buckets_are_kept_for_a_bounded_number_of_objects(recorder: EventRecorder) -> None:
    for number in range(5000):
        recorder._allowed(str(number))
    assert len(recorder._buckets) == 4096
    assert "4999" in recorder._buckets


async def test_what_is_not_accepted_is_dropped(
    fake: FakeApi, recorder: EventRecorder, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    fake.troubles.extend([Trouble(403), Trouble(cut=True)])
    for _ in range(3):
        post(recorder, RUN)
    await recorder.stop(grace=5)
    assert len(fake.seen) == 3
    assert dropped(metrics, "not accepted") == 2
    assert "an event was not posted" in caplog.text


async def test_a_queue_that_is_full_never_blocks(fake: FakeApi, recorder: EventRecorder, metrics: Metrics) -> None:
    fake.troubles.append(Trouble(delay=5))
    post(recorder, RUN)
    await asyncio.sleep(0.05)
    for number in range(1010):
        post(recorder, Target("JobSubmission", "team", "run", str(number)))
    assert dropped(metrics, "queue full") == 10
    await recorder.stop(grace=0.1)
