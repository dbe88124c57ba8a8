"""Jobbergate's API, its database, issuer or files break, or the operator does, between any two steps.

What is right is read from the API's own rows and from Slurm's accounting: at most one job for each row, exactly one for each
that is DONE, and none that runs on after its row was cancelled or deleted.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from bed import valhalla
from bed.jobbergate.person import Person
from tests.api import path
from tests.faults.apiserver import away
from tests.faults.doomed import Fate
from tests.faults.nursery import Life, Nursery, resting
from tests.faults.relay import Harm, Relay
from tests.faults.rows import Asked, ask, await_rows, done, ended, once, running, text, wrongs
from tests.world import Cluster, Submission, World, operated

pytestmark = [pytest.mark.usefixtures("relay"), pytest.mark.slow]

KIRBY = f"kirby@{valhalla.MAIL_DOMAIN}"
SUBMITTED = "/jobbergate/job-submissions/agent/submitted"
UPDATE = r"job-submissions/agent/\d+$"
PENDING = "agent/pending"
CHANGES = r"job-submissions\?"
LATEST = "sort_field=updated_at"
FILE = "/upload/"
FOR_EVER = "sleep 3000"
PATIENT = {
    "SLURMGATE_LEASE_DURATION": "600",
    "SLURMGATE_LEASE_RENEW_DEADLINE": "400",
    "SLURMGATE_LEASE_RETRY_PERIOD": "0.5",
}
"""An API server that is away for long would end the operator otherwise."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with operated(f"rows-{os.getpid()}", jobbergate=True) as world:
        yield world


@pytest.fixture(scope="module")
def relay(world: World) -> Iterator[Relay]:
    """The operator's way to the API leads through it."""
    with Relay(world.bed.jobbergate.description.ports["api"]).relaying() as relay:
        settings = {"url": f"http://127.0.0.1:{relay.port}", "pollIntervalSeconds": 1}
        world.api.patch(path("SlurmCluster", valhalla.CLUSTER), {"spec": {"jobbergate": settings}})
        yield relay


@pytest.fixture
def faithful(relay: Relay) -> Iterator[Relay]:
    """Until the test says otherwise, and after it."""
    relay.asked.clear()
    relay.done.clear()
    yield relay
    relay.heal()


@pytest.fixture
def kirby(world: World) -> Person:
    return Person(world.bed.jobbergate, KIRBY)


@pytest.fixture
def nursery(world: World) -> Iterator[Nursery]:
    """The world's own operator rests, so that others can be born and die."""
    with resting(world):
        yield Nursery(world.installation)


def made(world: World, asked: Asked) -> Submission:
    """The JobSubmission of a row."""
    return Submission(world, valhalla.RESEARCH, asked.name)


def synced(world: World) -> tuple[str, str]:
    """What the SlurmCluster says of Jobbergate now: status and message."""
    condition = Cluster(world, valhalla.CLUSTER).condition("JobbergateSynced")
    return condition.get("status", ""), condition.get("message", "")


def noticed(world: World, words: str = "") -> None:
    """Return when the SlurmCluster says that Jobbergate is not in step, in these words."""
    world.eventually(lambda: synced(world), lambda said: said[0] == "False" and words in said[1])


def in_step(world: World) -> None:
    """Return when it says that it is."""
    world.eventually(lambda: synced(world)[0], lambda status: status == "True", seconds=180)


# The operator dies ----------------------------------------------------------------------------------------------------

LIVES = (
    ("before object", "before script", "after script", "after object", "before submitted", "after submitted"),
    ("before news", "after news", "before end", "after end"),
)
"""Where rows are when it dies. No more than four are being told of at a time."""
LONG = "# a line of many, so that the script gets a ConfigMap of its own\n" * 3000


def test_killed_between_any_two_steps_each_row_runs_once(world: World, nursery: Nursery, kirby: Person) -> None:
    everybody: list[Asked] = []
    long = kirby.script(text(f"sleep 1\n{LONG}"))
    for places in LIVES:
        new = {}
        for place in places:
            later = ["--begin=now+5"] * place.endswith("news")  # it has to be told that it waits, or that would be no news
            new[place] = ask(kirby, "true", *later, label=place, script=long)
        with nursery.life(Fate({each.name: place for place, each in new.items()})) as life:
            life.await_doom()
        everybody += new.values()
    with nursery.life():
        await_rows(world, kirby, everybody, done)

        assert wrongs(world, kirby, everybody) == {}


@pytest.mark.parametrize("place", ["before rejected", "after rejected"])
def test_killed_while_it_is_rejected(world: World, nursery: Nursery, kirby: Person, place: str) -> None:
    rejected = ask(kirby, "true", "--partition=nowhere", label=place)
    with nursery.life(Fate({rejected.name: place})) as life:
        life.await_doom()
    with nursery.life():
        await_rows(world, kirby, [rejected], lambda row: row.status == "REJECTED")

    assert wrongs(world, kirby, [rejected]) == {}


WISHES: dict[str, Callable[[Person, int], object]] = {"cancelled": Person.cancel, "deleted": Person.delete}


@pytest.mark.parametrize("place", ["before wish", "after wish"])
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES.keys())
def test_killed_when_it_hears_that_a_row_is_not_wanted(
    world: World, nursery: Nursery, kirby: Person, wish: Callable[[Person, int], object], place: str
) -> None:
    unwanted = ask(kirby, FOR_EVER, label="unwanted")
    with nursery.life(Fate({unwanted.name: place})) as life:
        await_rows(world, kirby, [unwanted], running)
        wish(kirby, unwanted.number)
        life.await_doom()
    with nursery.life():
        stopped(world, kirby, unwanted)


@pytest.mark.parametrize("place", ["before object", "after object", "after submit", "before submitted"])
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES.keys())
def test_a_row_that_is_not_wanted_any_more_when_the_next_operator_comes(
    world: World, nursery: Nursery, kirby: Person, wish: Callable[[Person, int], object], place: str
) -> None:
    unwanted = ask(kirby, FOR_EVER, label="unwanted meanwhile")
    with nursery.life(Fate({unwanted.name: place})) as life:
        life.await_doom()
    wish(kirby, unwanted.number)
    with nursery.life():
        stopped(world, kirby, unwanted)


def stopped(world: World, person: Person, asked: Asked) -> None:
    """Return when the row's job is over, and its row and its JobSubmission too or gone."""
    world.eventually(lambda: person.submission(asked.number), lambda row: row is None or ended(row))
    world.eventually(lambda: wrongs(world, person, [asked]), lambda found: not found)
    if person.submission(asked.number) is None:
        # one that was not recognised before it went is nothing of Jobbergate's
        world.eventually(partial(gone_or_rejected, made(world, asked)), bool)
    else:
        await_rows(world, person, [asked], lambda row: row.status == "ABORTED")


def gone_or_rejected(submission: Submission) -> bool:
    try:
        return submission.status().get("phase") == "Rejected"
    except HTTPError as error:
        return error.code == HTTPStatus.NOT_FOUND


# The API answers in strange ways --------------------------------------------------------------------------------------


def test_a_report_whose_answer_is_lost_is_looked_up_and_not_repeated(world: World, kirby: Person, faithful: Relay) -> None:
    faithful.harm(Harm.LOST, "POST", SUBMITTED)
    faithful.harm(Harm.LOST, "PUT", UPDATE, times=2)
    lost = ask(kirby, label="lost")

    once(world, kirby, [lost])

    assert faithful.done.count(Harm.LOST) > 1
    assert faithful.asked.count(("POST", SUBMITTED)) == 1


QUESTIONS = {
    "what waits": ("GET", PENDING),
    "what has changed": ("GET", CHANGES),
    "a file": ("GET", FILE),
    "told of a job": ("POST", SUBMITTED),
    "told of its end": ("PUT", UPDATE),
    "one row": ("GET", r"job-submissions/\d+$"),
}


@pytest.mark.parametrize("harm", Harm)
def test_answers_that_are_none(world: World, kirby: Person, faithful: Relay, harm: Harm) -> None:
    for method, place in QUESTIONS.values():
        faithful.harm(harm, method, place, times=1 if harm is Harm.LATE else 2)
    asked = [ask(kirby, "sleep 1", label=f"{harm} {number}") for number in range(3)]

    once(world, kirby, asked, seconds=300)

    assert faithful.done
    in_step(world)


def test_a_script_that_arrives_in_halves_is_never_run_so(world: World, kirby: Person, faithful: Relay) -> None:
    faithful.harm(Harm.HALF, "GET", FILE, times=3)
    whole = ask(kirby, f"{LONG}\necho whole", label="halves")

    once(world, kirby, [whole])

    assert faithful.done == [Harm.HALF] * 3
    assert made(world, whole).output() == "whole\n"


# What is behind the API breaks ----------------------------------------------------------------------------------------


@contextmanager
def broken(world: World, service: str, end: str, mend: str) -> Iterator[None]:
    """One of Jobbergate's programs is killed or frozen meanwhile."""
    program = world.bed.jobbergate.service(service)
    getattr(program, end)()
    try:
        yield
    finally:
        getattr(program, mend)()


BREAKS = [
    pytest.param("api", "kill", "start", id="API killed"),
    pytest.param("api", "freeze", "thaw", id="API frozen"),
    pytest.param("postgres", "kill", "start", id="PostgreSQL killed"),
    pytest.param("postgres", "freeze", "thaw", id="PostgreSQL frozen"),
]


@pytest.mark.parametrize(("service", "end", "mend"), BREAKS)
def test_jobs_run_on_while_it_is_away_and_their_ends_are_told_afterwards(
    world: World, kirby: Person, service: str, end: str, mend: str
) -> None:
    before = ask(kirby, "sleep 8", label="before")
    await_rows(world, kirby, [before], running)
    waiting = ask(kirby, label="waiting")
    with broken(world, service, end, mend):
        noticed(world)
        world.eventually(lambda: made(world, before).status().get("phase"), lambda phase: phase == "Done")
    after = ask(kirby, label="after")

    once(world, kirby, [before, waiting, after])
    in_step(world)


def test_without_an_issuer_nothing_is_lost(world: World, kirby: Person) -> None:
    realm = world.bed.jobbergate.realm
    usual = realm.settings.token_seconds
    realm.change(token_seconds=4)
    world.bed.jobbergate.service("api").restart()  # the connection begins anew, with a short-lived token
    in_step(world)
    before = ask(kirby, "sleep 8", label="before")
    await_rows(world, kirby, [before], running)
    with broken(world, "issuer", "kill", "start"):
        waiting = ask(kirby, label="waiting")
        noticed(world, "no token for client")
        world.eventually(lambda: made(world, before).status().get("phase"), lambda phase: phase == "Done")
    realm.change(token_seconds=usual)

    once(world, kirby, [before, waiting])
    in_step(world)


@contextmanager
def client(world: World, *permissions: str, **claims: object) -> Iterator[None]:
    """The cluster's client has only these permissions meanwhile, and other claims in its tokens."""
    realm, name = world.bed.jobbergate.realm, world.bed.jobbergate.description.client_id
    usual = realm.settings.clients[name]
    changed = {"claims": claims} | ({"permissions": permissions} if permissions else {})
    realm.change(clients={**realm.settings.clients, name: usual.model_copy(update=changed)})
    world.bed.jobbergate.service("api").restart()
    try:
        yield
    finally:
        realm.change(clients={**realm.settings.clients, name: usual})


@contextmanager
def short_tokens(world: World) -> Iterator[None]:
    """Tokens are asked for anew every few seconds."""
    realm = world.bed.jobbergate.realm
    usual = realm.settings.token_seconds
    realm.change(token_seconds=4)
    world.bed.jobbergate.service("issuer").restart()
    try:
        yield
    finally:
        realm.change(token_seconds=usual)


def test_a_permission_that_is_missing_is_waited_for(world: World, nursery: Nursery, kirby: Person) -> None:
    reading = ("jobbergate:job-submissions:read", "jobbergate:job-scripts:read")
    with short_tokens(world), client(world, *reading), nursery.life() as life:
        mute = ask(kirby, label="mute")
        world.eventually(
            lambda: not made(world, mute).is_gone() and made(world, mute).conditions().get("Synced"),
            lambda synced: synced == ("False", "JobbergateRefused"),
        )
        assert kirby.seen(mute.number).status == "CREATED"
        life.kill()
    with nursery.life():
        once(world, kirby, [mute])


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_the_issuers_clock_is_off(world: World, nursery: Nursery, kirby: Person, hours: int) -> None:
    now = int(time.time()) + hours * 3600
    skewed = ask(kirby, label="skewed")
    with client(world, iat=now, exp=now + 300), nursery.life():
        if hours < 0:  # it seems to have expired at birth
            noticed(world, "does not take a fresh token")
        else:
            once(world, kirby, [skewed])
    with nursery.life():
        once(world, kirby, [skewed])


# Rows that cannot be had ----------------------------------------------------------------------------------------------


def delete_file(world: World, script: int, name: str) -> bytes:
    """Take a file out of S3 behind the API's back; what it was."""
    where = f"{world.bed.jobbergate.description.bucket}/job_script_files/{script}/{name}"
    with urlopen(where, timeout=10) as answer:
        content = bytes(answer.read())
    urlopen(Request(where, method="DELETE"), timeout=10).close()
    return content


def test_bad_rows_keep_nobody_waiting(world: World, nursery: Nursery, kirby: Person) -> None:
    lost, nameless, gone, odd = (
        ask(kirby, label=label, script=kirby.script(text("true"))) for label in ("lost", "nameless", "gone", "odd")
    )
    number = kirby.seen(lost.number).job_script_id
    assert number
    content = delete_file(world, number, "job.sh")
    sql = world.bed.jobbergate.sql
    sql(f"update job_submissions set owner_email = '' where id = {nameless.number}")
    sql(f"update job_submissions set job_script_id = null where id = {gone.number}")
    sql(f"update job_submissions set sbatch_arguments = array[E'--comment=a\\nb'] where id = {odd.number}")

    good = ask(kirby, label="good")
    with nursery.life():
        once(world, kirby, [good])

        noticed(world, f"submission {lost.number} waits")
        assert kirby.seen(lost.number).status == "CREATED"
        await_rows(world, kirby, [nameless, gone, odd], lambda row: row.status == "REJECTED")
        kirby.upload(number, "job.sh", content, kind="ENTRYPOINT")
        once(world, kirby, [lost])


def test_many_that_wait_each_run_once(world: World, nursery: Nursery, kirby: Person) -> None:
    script = kirby.script(text("true"))
    many = [ask(kirby, label=f"many {number}", script=script) for number in range(105)]  # the API lists a hundred on a page
    with nursery.life():
        once(world, kirby, many, seconds=300)


def test_a_file_of_five_mebibytes_arrives_whole(world: World, kirby: Person) -> None:
    content = os.urandom(5 * 1024 * 1024)
    large = ask(kirby, label="large", script=kirby.script(text("sha256sum <big.bin"), files={"big.bin": content}))

    once(world, kirby, [large])

    assert made(world, large).output().split()[0] == sha256(content).hexdigest()


def test_a_file_that_takes_long_keeps_no_cancel_waiting(world: World, kirby: Person, faithful: Relay) -> None:
    unwanted = ask(kirby, FOR_EVER, label="unwanted")
    await_rows(world, kirby, [unwanted], running)
    faithful.asked.clear()
    faithful.harm(Harm.LATE, "GET", FILE)
    late = ask(kirby, label="late")
    world.eventually(lambda: faithful.done, lambda done: done == [Harm.LATE])

    kirby.cancel(unwanted.number)

    world.eventually(lambda: made(world, unwanted).get()["spec"].get("cancel"), bool)
    world.eventually(lambda: since_the_file(faithful, LATEST), lambda looks: len(looks) > 2)
    assert len(since_the_file(faithful, FILE)) == 1, "it looks again and again while the file is on its way"
    stopped(world, kirby, unwanted)
    once(world, kirby, [late])


def since_the_file(relay: Relay, place: str) -> list[str]:
    """What was asked for there, from when a file was first asked for."""
    paths = [path for _, path in relay.asked]
    first = next(number for number, path in enumerate(paths) if FILE in path)
    return [path for path in paths[first:] if re.search(place, path)]


def test_what_is_cancelled_while_its_file_is_read_does_not_run_on(world: World, kirby: Person, faithful: Relay) -> None:
    faithful.harm(Harm.LATE, "GET", FILE)
    late = ask(kirby, FOR_EVER, label="late")
    world.eventually(lambda: faithful.done, lambda done: done == [Harm.LATE])

    kirby.cancel(late.number)

    assert late.name not in world.submissions()
    stopped(world, kirby, late)


# Slurm, Kubernetes or the mapping are away ----------------------------------------------------------------------------


def test_without_a_controller_a_row_waits(world: World, kirby: Person) -> None:
    controller = world.bed.slurm.service("slurmctld")
    controller.stop()
    try:
        waiting = ask(kirby, label="waiting")
        made(world, waiting)
        world.eventually(lambda: world.api.has(path("JobSubmission", waiting.name, valhalla.RESEARCH)), bool)
        made(world, waiting).wait_for_reason("ControllerUnavailable")
        assert kirby.seen(waiting.number).status == "CREATED"
    finally:
        controller.start()

    once(world, kirby, [waiting])


@contextmanager
def patient(world: World) -> Iterator[Life]:
    """An operator that an API server may leave alone for long."""
    with resting(world), Nursery(world.installation.replica(1, **PATIENT)).life() as life:
        world.eventually(lambda: life.leads, bool)
        yield life


def test_a_wish_is_not_lost_while_kubernetes_is_away(world: World, kirby: Person, faithful: Relay) -> None:
    with patient(world):
        cancelled, deleted = (ask(kirby, FOR_EVER, label=label) for label in WISHES)
        await_rows(world, kirby, [cancelled, deleted], running)
        with away(world, "kube-apiserver"):
            kirby.cancel(cancelled.number)
            kirby.delete(deleted.number)
            faithful.asked.clear()
            looked = ("GET", f"/jobbergate/job-submissions/{deleted.number}")
            world.eventually(lambda: looked in faithful.asked, bool)
            time.sleep(2)  # what follows from it fails
            waiting = ask(kirby, label="waiting")

        stopped(world, kirby, cancelled)
        stopped(world, kirby, deleted)
        once(world, kirby, [waiting])


def test_without_a_mapping_a_row_waits(world: World, nursery: Nursery, kirby: Person) -> None:
    where = f"/api/v1/namespaces/slurmgate-system/configmaps/{valhalla.MAPPING}"
    world.api.delete(where, wait=True)
    try:
        waiting = ask(kirby, label="unmapped")
        with nursery.life():
            world.eventually(lambda: world.api.has(path("JobSubmission", waiting.name, valhalla.RESEARCH)), bool)
            made(world, waiting).wait_for_reason("MappingNotLoaded")
            assert kirby.seen(waiting.number).status == "CREATED"
            valhalla.map_users(world.bed, valhalla.USERS)
            once(world, kirby, [waiting])
    finally:
        valhalla.map_users(world.bed, valhalla.USERS)
