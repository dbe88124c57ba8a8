"""The bed's Jobbergate: the real API takes what people and machines say, from nobody but them."""

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import pytest

from bed.jobbergate.deployment import Deployment
from bed.jobbergate.person import Person

pytestmark = [pytest.mark.bed, pytest.mark.slow]


@dataclass(frozen=True)
class Machine:
    """A cluster's service account, by the wire contract of the Jobbergate Agent."""

    jobbergate: Deployment
    client_id: str
    secret: str

    def token(self, timeout: float = 10) -> str:
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.secret}
        where = f"{self.jobbergate.description.issuer}/protocol/openid-connect/token"
        with urlopen(Request(where, urlencode(form).encode()), timeout=timeout) as answer:
            return str(json.load(answer)["access_token"])

    def ask(self, method: str, where: str, content: object = None, *, timeout: float = 10) -> bytes:
        headers = {"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        url = self.jobbergate.description.url + where
        with urlopen(Request(url, body, headers, method=method), timeout=timeout) as answer:
            return bytes(answer.read())

    def pending(self) -> dict[int, Any]:
        return {each["id"]: each for each in json.loads(self.ask("GET", "/job-submissions/agent/pending?size=100"))["items"]}

    def active(self) -> dict[int, Any]:
        return {each["id"]: each for each in json.loads(self.ask("GET", "/job-submissions/agent/active?size=100"))["items"]}


@pytest.fixture
def valhalla(jobbergate: Deployment) -> Machine:
    description = jobbergate.description
    return Machine(jobbergate, description.client_id, jobbergate.realm.settings.clients[description.client_id].secret)


def said(state: str, **more: object) -> dict[str, object]:
    return {"slurm_job_id": 4711, "slurm_job_state": state, "slurm_job_state_reason": "None", "slurm_job_info": "{}", **more}


def test_a_submission_goes_from_a_person_to_a_cluster_and_back(alice: Person, valhalla: Machine) -> None:
    odd = {"data.bin": bytes(range(256)), "deep/down #1.txt": b"odd", "grüße.txt": "é".encode()}
    script = alice.script("#!/bin/bash\nsrun hostname\n", files=odd)
    number = alice.submit(script, "--time=5", directory="/home/alice").id

    pending = valhalla.pending()[number]
    assert (pending["owner_email"], pending["sbatch_arguments"]) == ("alice@example.com", ["--time=5"])
    names = {file["filename"] for file in pending["job_script"]["files"]}
    assert names == {"job.sh", *odd}
    for name, content in odd.items():
        assert valhalla.ask("GET", f"/job-scripts/{script}/upload/{quote(name, safe='')}") == content

    valhalla.ask("POST", "/job-submissions/agent/submitted", {"id": number, **said("PENDING")})
    submitted = alice.submission(number)
    assert submitted is not None
    assert (submitted.status, submitted.slurm_job_id) == ("SUBMITTED", 4711)
    assert number not in valhalla.pending()

    valhalla.ask("PUT", f"/job-submissions/agent/{number}", said("COMPLETED"))
    done = alice.submission(number)
    assert done is not None
    assert (done.status, done.slurm_job_state) == ("DONE", "COMPLETED")
    assert [state for state, _ in alice.progress(number)] == ["PENDING", "COMPLETED"]


def test_people_cancel_clone_archive_force_and_delete(alice: Person, valhalla: Machine) -> None:
    first = alice.submit(alice.script()).id
    assert alice.cancel(first).status == "CANCELLED"
    assert valhalla.active()[first] == {
        "id": first,
        "name": alice.seen(first).name,
        "status": "CANCELLED",
        "slurm_job_id": None,
    }
    second = alice.clone(first)
    assert (second.status, second.cloned_from_id) == ("CREATED", first)
    assert alice.archive(second.id).is_archived
    assert alice.force(second.id, "DONE").status == "DONE"
    alice.delete(second.id)
    assert alice.submission(second.id) is None


def test_a_submission_made_on_the_cluster_is_active_at_once(alice: Person, valhalla: Machine) -> None:
    made = alice.submit(alice.script(), slurm_job_id=99)
    assert (made.status, valhalla.active()[made.id]["slurm_job_id"]) == ("SUBMITTED", 99)


def test_a_deleted_script_rejects_what_was_not_submitted_yet(alice: Person) -> None:
    script = alice.script()
    number = alice.submit(script).id
    alice.delete_script(script)
    assert alice.seen(number).status == "REJECTED"


def test_each_cluster_sees_its_own(alice: Person, valhalla: Machine, jobbergate: Deployment) -> None:
    asgard = Machine(jobbergate, "asgard", jobbergate.realm.add("asgard"))
    number = alice.submit(alice.script(), client_id="asgard").id
    assert number in asgard.pending()
    assert number not in valhalla.pending()


def test_a_client_without_the_permission_is_refused(jobbergate: Deployment) -> None:
    useless = Machine(jobbergate, "useless", jobbergate.realm.add("useless", "jobbergate:nothing"))
    assert refusal(useless.pending) == 403


def test_a_rotated_secret_opens_no_more(jobbergate: Deployment) -> None:
    before = Machine(jobbergate, "rotating", jobbergate.realm.add("rotating"))
    after = Machine(jobbergate, "rotating", jobbergate.realm.rotate("rotating"))
    assert refusal(before.token) == 401
    assert after.pending() == {}


def test_tokens_live_as_long_as_the_realm_says(valhalla: Machine, jobbergate: Deployment) -> None:
    jobbergate.realm.change(token_seconds=-1)
    try:
        assert refusal(valhalla.pending) == 401
    finally:
        jobbergate.realm.change(token_seconds=300)
    valhalla.pending()


def test_the_issuer_thinks_stops_and_comes_back_with_the_same_key(valhalla: Machine, jobbergate: Deployment) -> None:
    jobbergate.realm.change(delay_seconds=2)
    with pytest.raises(TimeoutError):
        valhalla.token(timeout=0.5)
    jobbergate.realm.change(delay_seconds=0)
    jobbergate.service("issuer").stop()
    with pytest.raises(URLError, match="refused"):
        valhalla.token()
    jobbergate.service("issuer").start()
    valhalla.pending()


def test_the_api_freezes_and_is_killed_and_forgets_nothing(alice: Person, jobbergate: Deployment) -> None:
    number = alice.submit(alice.script()).id
    api = jobbergate.service("api")
    api.freeze()
    with pytest.raises(TimeoutError):
        Person(jobbergate, alice.email, timeout_seconds=5).submission(number)
    api.thaw()
    api.kill()
    with pytest.raises(URLError, match="refused"):
        alice.submission(number)
    api.start()
    assert alice.seen(number).status == "CREATED"


def test_the_database_may_go_and_come_back(alice: Person, jobbergate: Deployment) -> None:
    number = alice.submit(alice.script()).id
    database = jobbergate.service("postgres")
    database.kill()
    assert refusal(lambda: alice.submission(number)) == 500
    database.start()
    deadline = time.monotonic() + 30
    while jobbergate.sql(f"select status from job_submissions where id = {number}") != "CREATED\n":
        assert time.monotonic() < deadline
    assert alice.seen(number).status == "CREATED"


def test_tls_is_offered_with_a_certificate_that_must_be_known(jobbergate: Deployment) -> None:
    description = jobbergate.description
    known = ssl.create_default_context(cafile=description.certificate)
    for where in (f"{description.https_url}/openapi.json", f"{description.https_issuer}/.well-known/openid-configuration"):
        with urlopen(where, timeout=30, context=known) as answer:
            assert json.load(answer)
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(where, timeout=30)


def refusal(ask: Callable[[], object]) -> int:
    """The status with which the answer to `ask` says no."""
    with pytest.raises(HTTPError) as refused:
        ask()
    refused.value.close()
    return refused.value.code
