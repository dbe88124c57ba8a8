"""The room `jobbergate` against the real API, as the service account of a cluster."""

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from bed.jobbergate.deployment import Deployment
from bed.jobbergate.person import Person
from slurmgate.http.client import Http
from slurmgate.http.errors import HttpError, TooLargeError, UnreachableError
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import (
    DisagreesError,
    ForbiddenError,
    MovedOnError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
)
from slurmgate.jobbergate.files import Downloads
from slurmgate.jobbergate.token import Tokens
from slurmgate.jobbergate.wire import Page, Pending, Row

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.bed

AGENT = ("jobbergate:job-submissions:read", "jobbergate:job-submissions:update")


@asynccontextmanager
async def client_of(
    jobbergate: Deployment,
    client_id: str,
    *,
    tls: bool = False,
    authority: str | None = None,
    deadline: float = 15,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[JobbergateApi]:
    """A client with the secret that the realm has for it at the time."""
    description = jobbergate.description

    async def secret() -> str:
        return jobbergate.realm.settings.clients[client_id].secret

    issuer, url = (description.https_issuer, description.https_url) if tls else (description.issuer, description.url)
    async with Http(authority=authority, deadline=deadline) as http:
        tokens = Tokens(http, issuer=issuer, client_id=client_id, secret=secret, clock=clock)
        yield JobbergateApi(url, tokens, http)


@pytest.fixture
async def api(jobbergate: Deployment) -> AsyncIterator[JobbergateApi]:
    async with client_of(jobbergate, jobbergate.description.client_id) as api:
        yield api


@pytest.fixture
def cluster(jobbergate: Deployment) -> str:
    """A cluster of the test's own: what others left does not wait for it."""
    name = f"cluster-{uuid4().hex[:8]}"
    jobbergate.realm.add(name)
    return name


async def pending(api: JobbergateApi, number: int) -> Pending:
    """The submission with this id among those that wait."""
    [found] = [each for each in (await api.pending()).items if each.id == number]
    return found


async def all_rows(ask: Callable[[int], Awaitable[Page[Row]]]) -> list[Row]:
    found: list[Row] = []
    number = 1
    while True:
        page = await ask(number)
        assert not page.malformed
        found += page.items
        if page.last:
            return found
        number += 1


async def test_the_version_is_told(api: JobbergateApi, jobbergate: Deployment) -> None:
    assert await api.version() == jobbergate.description.version


async def test_an_address_may_be_with_or_without_its_last_word(jobbergate: Deployment) -> None:
    description = jobbergate.description
    async with client_of(jobbergate, description.client_id) as api:
        assert str(api.url) == description.url
        shorter = JobbergateApi(description.url.removesuffix("/jobbergate") + "/", api._tokens, api._http)
        assert shorter.url == api.url


async def test_a_submission_is_read_submitted_followed_and_done(api: JobbergateApi, alice: Person) -> None:
    script = alice.script(name="run.sh", files={"data.bin": b"\0\1"})
    number = alice.submit(script, "--time=5", "--comment=ö", name="thesis", directory="/home/alice").id

    waiting = await pending(api, number)
    assert (waiting.name, waiting.owner_email, waiting.execution_directory) == ("thesis", "alice@example.com", "/home/alice")
    assert waiting.sbatch_arguments == ("--time=5", "--comment=ö")
    assert (waiting.job_script.id, waiting.job_script.parent_template_id) == (script, None)
    assert {(file.filename, file.file_type) for file in waiting.job_script.files} == {
        ("run.sh", "ENTRYPOINT"),
        ("data.bin", "SUPPORT"),
    }

    await api.submitted(number, slurm_job_id=4711, state="PENDING", reason="Priority", info="{}")
    row = await api.row(number)
    assert (row.status, row.slurm_job_id, row.slurm_job_state, row.report_message) == ("SUBMITTED", 4711, "PENDING", "Priority")
    assert (row.execution_directory, row.sbatch_arguments) == ("/home/alice", ("--time=5", "--comment=ö"))
    assert number not in [each.id for each in (await api.pending()).items]

    await api.update(number, slurm_job_id=4711, state="RUNNING", reason=None, info="{}")
    await api.update(number, slurm_job_id=4711, state="COMPLETED", reason=None, info="{}")
    assert alice.seen(number).status == "DONE"
    assert alice.progress(number) == [("PENDING", "Priority"), ("RUNNING", None), ("COMPLETED", None)]


async def test_a_submission_without_directory_and_arguments_has_none(api: JobbergateApi, alice: Person) -> None:
    waiting = await pending(api, alice.submit(alice.script(), directory=None).id)
    assert (waiting.execution_directory, waiting.sbatch_arguments) == (None, ())


async def test_a_rejected_submission_says_why(api: JobbergateApi, alice: Person) -> None:
    number = alice.submit(alice.script()).id
    await api.rejected(number, "sbatch: error: invalid partition \0 \udcff")
    seen = alice.seen(number)
    assert (seen.status, seen.report_message) == ("REJECTED", "sbatch: error: invalid partition \N{REPLACEMENT CHARACTER} ?")


async def test_text_that_no_database_keeps_is_mended_on_the_way(api: JobbergateApi, alice: Person) -> None:
    number = alice.submit(alice.script()).id
    await api.submitted(number, slurm_job_id=1, state="PENDING", reason="a\0b", info="\ud800")
    await api.update(number, slurm_job_id=1, state="FAILED", reason="c\0d", info="\0")
    assert alice.seen(number).report_message == "c\N{REPLACEMENT CHARACTER}d"


@pytest.mark.parametrize(
    "name",
    ["job.sh", "deep/down #1.txt", "grüße ?&=+%.txt", "a%2Fb", "..", "../../pending", "x" * 250, "'\"`$(id)\\"],
)
async def test_files_of_any_name_come_byte_for_byte(api: JobbergateApi, alice: Person, name: str) -> None:
    script = alice.script(name="entry.sh")
    content = bytes(range(256)) + name.encode()
    alice.upload(script, name, content)
    assert await api.file(script, name) == content


async def test_a_file_whose_name_the_api_cannot_say_is_refused_for_good(api: JobbergateApi, alice: Person) -> None:
    script = alice.script(files={"日本語": b"text"})
    with pytest.raises(RefusedError, match="Latin-1") as error:
        await api.file(script, "日本語")
    assert not error.value.retryable


async def test_a_file_as_large_as_the_api_takes_comes_whole(api: JobbergateApi, alice: Person) -> None:
    content = bytes(range(256)) * (5 * 1024 * 1024 // 256)
    script = alice.script(files={"large.bin": content})
    assert await api.file(script, "large.bin") == content


async def test_a_file_larger_than_we_take_is_not_read_to_its_end(
    api: JobbergateApi, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = alice.script(files={"large.bin": bytes(100_000)})
    monkeypatch.setattr("slurmgate.jobbergate.client.LARGEST_FILE", 99_999)
    with pytest.raises(TooLargeError, match="more than 99999 bytes") as error:
        await api.file(script, "large.bin")
    assert not error.value.retryable


async def test_a_file_whose_content_is_lost_is_asked_for_again_later(
    api: JobbergateApi, alice: Person, jobbergate: Deployment
) -> None:
    script = alice.script()
    jobbergate.service("s3").restart()
    with pytest.raises(HttpError, match="500") as error:
        await api.file(script, "job.sh")
    assert error.value.retryable


async def test_a_batch_downloads_each_file_once_and_the_next_batch_sees_the_new_one(api: JobbergateApi, alice: Person) -> None:
    script = alice.script("#!/bin/bash\nold\n")
    asked: list[str] = []

    class Counting:
        async def file(self, job_script_id: int, filename: str) -> bytes:
            asked.append(filename)
            return await api.file(job_script_id, filename)

    downloads = Downloads(Counting())
    known = time.monotonic()
    contents = await asyncio.gather(*(downloads.file(script, "job.sh", since=known) for _ in range(200)))
    assert set(contents) == {b"#!/bin/bash\nold\n"}
    assert asked == ["job.sh"]

    alice.upload(script, "job.sh", b"#!/bin/bash\nnew\n", kind="ENTRYPOINT")
    assert await downloads.file(script, "job.sh", since=time.monotonic()) == b"#!/bin/bash\nnew\n"


async def test_a_second_submitted_is_refused_even_with_the_same_id(api: JobbergateApi, alice: Person) -> None:
    number = alice.submit(alice.script()).id
    await api.submitted(number, slurm_job_id=7, state="PENDING", reason=None, info="{}")
    with pytest.raises(MovedOnError, match="Only CREATED Job Submissions can be marked as SUBMITTED") as error:
        await api.submitted(number, slurm_job_id=7, state="PENDING", reason=None, info="{}")
    assert (error.value.status, error.value.retryable) == (400, False)
    with pytest.raises(MovedOnError):
        await api.rejected(number, "too late")


async def test_an_update_with_another_slurm_id_disagrees(api: JobbergateApi, alice: Person) -> None:
    number = alice.submit(alice.script(), slurm_job_id=99).id
    with pytest.raises(DisagreesError, match="does not match") as error:
        await api.update(number, slurm_job_id=100, state="RUNNING", reason=None, info="{}")
    assert (error.value.status, error.value.retryable) == (409, False)


async def test_a_state_that_the_api_does_not_have_is_refused(api: JobbergateApi, alice: Person) -> None:
    number = alice.submit(alice.script(), slurm_job_id=99).id
    with pytest.raises(RefusedError, match=r"body\.slurm_job_state: Input should be 'BOOT_FAIL'") as error:
        await api.update(number, slurm_job_id=99, state="LAUNCH_FAILED", reason=None, info="{}")
    assert (error.value.status, error.value.retryable) == (422, False)
    assert len(str(error.value)) < 600


async def test_what_was_deleted_is_not_found(api: JobbergateApi, alice: Person) -> None:
    script = alice.script(files={"data": b""})
    number = alice.submit(script).id
    alice.delete(number)
    alice.delete_file(script, "data")
    for ask in (
        api.row(number),
        api.submitted(number, slurm_job_id=1, state="PENDING", reason=None, info="{}"),
        api.update(number, slurm_job_id=1, state="PENDING", reason=None, info="{}"),
        api.rejected(number, "no"),
        api.file(script, "data"),
        api.put_metrics(number, b"\x90"),
    ):
        with pytest.raises(NotFoundError, match="not found") as error:
            await ask
        assert not error.value.retryable


async def test_an_address_that_is_another_servers_finds_nothing_deleted(jobbergate: Deployment) -> None:
    """An issuer answers 404, too, and does not know whether a submission is there."""
    description = jobbergate.description
    async with client_of(jobbergate, description.client_id) as api:
        for url in (description.issuer, description.url.replace("/jobbergate", "/other")):
            elsewhere = JobbergateApi(url, api._tokens, api._http)
            with pytest.raises(HttpError) as error:
                await elsewhere.row(1)
            assert not isinstance(error.value, NotFoundError)
            assert (error.value.status, error.value.retryable) == (404, True)


async def test_another_clusters_submission_can_be_read_and_not_touched(api: JobbergateApi, alice: Person, cluster: str) -> None:
    number = alice.submit(alice.script(), client_id=cluster).id
    assert (await api.row(number)).client_id == cluster
    with pytest.raises(ForbiddenError, match="client_id"):
        await api.rejected(number, "not mine")


async def test_a_missing_permission_is_said(jobbergate: Deployment) -> None:
    jobbergate.realm.add("halved", *AGENT)
    async with client_of(jobbergate, "halved") as api:
        await api.pending()
        with pytest.raises(ForbiddenError, match="Not authorized") as error:
            await api.healthy(60)
    assert (error.value.status, error.value.retryable) == (403, True)


async def test_more_than_a_page_waits(jobbergate: Deployment, alice: Person, cluster: str) -> None:
    first = alice.submit(alice.script(), "--time=1", client_id=cluster).id
    copied = "name, owner_email, created_at, updated_at, is_archived, description, client_id, status, job_script_id"
    many = f"select {copied} from job_submissions, generate_series(1, 249) where id = {first}"
    jobbergate.sql(f"insert into job_submissions ({copied}) {many}")
    async with client_of(jobbergate, cluster) as api:
        pages = [await api.pending(number) for number in (1, 2, 3)]
    assert [(page.number, page.pages, page.total, len(page.items), page.last) for page in pages] == [
        (1, 3, 250, 100, False),
        (2, 3, 250, 100, False),
        (3, 3, 250, 50, True),
    ]
    assert len({each.id for page in pages for each in page.items}) == 250


async def test_nothing_that_waits_is_a_last_page_without_items(jobbergate: Deployment, cluster: str) -> None:
    async with client_of(jobbergate, cluster) as api:
        page = await api.pending()
    assert (page.items, page.malformed, page.total, page.pages, page.last) == ((), (), 0, 0, True)


async def test_lists_are_by_id_or_newest_change_first_with_the_archived(api: JobbergateApi, alice: Person) -> None:
    script = alice.script()
    numbers = [alice.submit(script).id for _ in range(3)]
    alice.archive(numbers[2])
    alice.cancel(numbers[0])

    newest = (await api.rows(page=1, newest_first=True)).items
    assert [row.id for row in newest[:3]] == [numbers[0], numbers[2], numbers[1]]
    assert [(row.status, row.is_archived) for row in newest[:2]] == [("CANCELLED", False), ("CREATED", True)]
    assert all(row.updated_at.tzinfo for row in newest)
    assert newest[0].report_message is None
    assert newest[0].job_script_id == script

    everything = [row.id for row in await all_rows(lambda number: api.rows(page=number))]
    assert everything == sorted(everything)
    assert set(numbers) <= set(everything)
    cancelled = await all_rows(lambda number: api.rows(page=number, status="CANCELLED"))
    assert {row.status for row in cancelled} == {"CANCELLED"}
    assert numbers[0] in {row.id for row in cancelled}


async def test_health_is_reported(jobbergate: Deployment, cluster: str) -> None:
    async with client_of(jobbergate, cluster) as api:
        await api.healthy(90)
    assert jobbergate.sql(f"select interval from cluster_statuses where client_id = '{cluster}'") == "90\n"


async def test_metrics_are_handed_over_once(api: JobbergateApi, alice: Person) -> None:
    number = alice.submit(alice.script(), slurm_job_id=5).id
    assert await api.max_times(number) == []
    await api.put_metrics(number, METRICS)
    [known] = await api.max_times(number)
    assert (known.max_time, known.node_host, known.step, known.task) == (1, "n1", 0, 2)
    with pytest.raises(MovedOnError, match="Failed to insert metrics"):
        await api.put_metrics(number, METRICS)


METRICS = b"\x91\x9e\x01\xa2n1\x00\x02" + b"\xca\x3f\x80\x00\x00" * 3 + b"\x00\xca\x00\x00\x00\x00" + b"\x05" * 5
"""msgpack of one row: second 1, host n1, step 0, task 2."""


async def test_a_job_that_is_there_already_is_registered_for_its_owner(jobbergate: Deployment, cluster: str) -> None:
    deeds = ("jobbergate:job-scripts:create", "jobbergate:job-submissions:create", *AGENT)
    jobbergate.realm.add("registrar", *deeds, email="kirby@example.com")
    async with client_of(jobbergate, "registrar") as api:
        content = b"#!/bin/bash\n" + bytes(range(256)) + b"\r\n--"
        script = await api.make_script("from the cluster", "run #1.sh", content)
        row = await api.register(
            name="there already",
            slurm_job_id=815,
            execution_directory="/home/kirby",
            sbatch_arguments=("--time=5",),
            client_id=cluster,
            job_script_id=script,
        )
    assert (row.status, row.slurm_job_id, row.client_id, row.owner_email) == ("SUBMITTED", 815, cluster, "kirby@example.com")
    async with client_of(jobbergate, jobbergate.description.client_id) as reader:
        assert await reader.file(script, "run #1.sh") == content


async def test_an_api_that_collects_its_garbage_itself_says_so(jobbergate: Deployment) -> None:
    jobbergate.realm.add("cleaner", "jobbergate:job-scripts:delete", "jobbergate:job-templates:delete", email="c@example.com")
    async with client_of(jobbergate, "cleaner") as api:
        with pytest.raises(HttpError) as error:
            await api.collect_garbage()
    assert error.value.status in {404, 405, 422}


async def test_a_token_that_ran_out_is_replaced_without_anybody_noticing(jobbergate: Deployment, cluster: str) -> None:
    """Our clock stands still, so we do not know that it has."""
    async with client_of(jobbergate, cluster, clock=lambda: 0.0) as api:
        jobbergate.realm.change(token_seconds=1)
        try:
            old = await api._tokens.current()
        finally:
            jobbergate.realm.change(token_seconds=300)
        while time.time() < claims(old)["exp"] + 1:  # noqa: ASYNC110 - time has no event
            await asyncio.sleep(0.1)
        assert await api._tokens.current() == old
        await api.pending()
        assert await api._tokens.current() != old


def claims(token: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return said


async def test_tokens_that_the_api_never_takes_are_said_to_be_so(jobbergate: Deployment, cluster: str) -> None:
    async with client_of(jobbergate, cluster) as api:
        jobbergate.realm.change(token_seconds=-1)
        try:
            with pytest.raises(UnauthorizedError, match="does not take a fresh token: Not authenticated") as error:
                await api.pending()
        finally:
            jobbergate.realm.change(token_seconds=300)
        assert (error.value.status, error.value.retryable) == (401, True)
        await api.pending()


async def test_a_token_with_an_audience_is_refused_with_a_word_about_it(jobbergate: Deployment) -> None:
    """Keycloak gives such ones, unless it is told not to."""
    jobbergate.realm.add("heard", aud="account")
    async with client_of(jobbergate, "heard") as api:
        with pytest.raises(UnauthorizedError, match="none that has an audience"):
            await api.pending()


async def test_a_token_that_names_no_person_makes_no_script(jobbergate: Deployment) -> None:
    jobbergate.realm.add("nobody", "jobbergate:job-scripts:create")
    async with client_of(jobbergate, "nobody") as api:
        with pytest.raises(ForbiddenError, match="email"):
            await api.make_script("x", "x.sh", b"")


async def test_a_rotated_secret_is_used_from_the_next_token_on(jobbergate: Deployment, cluster: str) -> None:
    async with client_of(jobbergate, cluster) as api:
        await api.pending()
        jobbergate.realm.rotate(cluster)
        await api.pending()  # the token lives on
        api._tokens.refused(await api._tokens.current())
        await api.pending()


async def test_a_wrong_secret_is_said_in_the_issuers_words(jobbergate: Deployment, cluster: str) -> None:
    async def wrong() -> str:
        return "not-the-secret"

    async with Http() as http:
        tokens = Tokens(http, issuer=jobbergate.description.issuer, client_id=cluster, secret=wrong)
        with pytest.raises(UnauthorizedError, match="Invalid client or Invalid client credentials") as error:
            await JobbergateApi(jobbergate.description.url, tokens, http).pending()
    assert cluster in str(error.value)
    assert "not-the-secret" not in str(error.value)


async def test_an_issuer_that_is_silent_or_away_is_said_to_be_so(jobbergate: Deployment, cluster: str) -> None:
    issuer = jobbergate.service("issuer")
    async with client_of(jobbergate, cluster, deadline=1) as api:
        issuer.freeze()
        try:
            with pytest.raises(UnauthorizedError, match=f"no token for client {cluster} .* gave no answer within 1 s"):
                await api.pending()
        finally:
            issuer.thaw()
        issuer.kill()
        try:
            with pytest.raises(UnauthorizedError, match="cannot be reached") as error:
                await api.pending()
        finally:
            issuer.start()
        assert error.value.retryable
    async with client_of(jobbergate, cluster) as api:
        await api.pending()


async def test_an_api_that_is_silent_or_away_leaves_it_open_what_was_done(jobbergate: Deployment, cluster: str) -> None:
    service = jobbergate.service("api")
    async with client_of(jobbergate, cluster, deadline=2) as api:
        await api.pending()
        service.freeze()
        began = time.monotonic()
        try:
            with pytest.raises(UnreachableError, match="gave no answer within 2 s") as error:
                await api.submitted(1, slurm_job_id=1, state="PENDING", reason=None, info="{}")
        finally:
            service.thaw()
        assert time.monotonic() - began < 10
        assert (error.value.status, error.value.retryable) == (0, True)
        service.kill()
        try:
            with pytest.raises(UnreachableError, match="cannot be reached"):
                await api.pending()
        finally:
            service.start()
    async with client_of(jobbergate, cluster) as api:
        await api.pending()


async def test_tls_is_trusted_by_the_given_certificate_only(jobbergate: Deployment, cluster: str) -> None:
    certificate = jobbergate.description.certificate.read_text()
    async with client_of(jobbergate, cluster, tls=True, authority=f"# Zertifikat für das Bett\n{certificate}") as api:
        await api.pending()
    async with client_of(jobbergate, cluster, tls=True) as api:
        with pytest.raises(UnauthorizedError, match="certificate verify failed"):
            await api.pending()


async def test_many_at_once_are_all_served(jobbergate: Deployment, alice: Person, cluster: str) -> None:
    script = alice.script()
    numbers = [alice.submit(script, client_id=cluster).id for _ in range(20)]
    async with client_of(jobbergate, cluster) as api:
        await asyncio.gather(
            *(api.submitted(number, slurm_job_id=number, state="PENDING", reason=None, info="{}") for number in numbers)
        )
        assert (await api.pending()).items == ()
    assert {alice.seen(number).slurm_job_id for number in numbers} == set(numbers)
