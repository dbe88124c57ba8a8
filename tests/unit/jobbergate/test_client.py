import asyncio
import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from slurmgate.http.client import Http
from slurmgate.http.errors import UnusableError
from slurmgate.jobbergate.client import JobbergateApi, _upload
from slurmgate.jobbergate.errors import NonsenseError, UnauthorizedError
from slurmgate.jobbergate.token import Tokens
from tests.unit.far import Canned, FarSide

EMPTY = {"items": [], "total": 0, "page": 1, "size": 100, "pages": 0}


@pytest.mark.parametrize(
    ("path", "base"), [("", "/jobbergate"), ("/", "/jobbergate"), ("/jobbergate/", "/jobbergate"), ("/a", "/a/jobbergate")]
)
async def test_the_api_is_below_jobbergate(tokens: Tokens, http: Http, path: str, base: str) -> None:
    assert JobbergateApi(f"https://jobs.example{path}", tokens, http).url == URL(f"https://jobs.example{base}")


async def test_an_api_that_has_no_address_is_refused_at_once(tokens: Tokens, http: Http) -> None:
    with pytest.raises(UnusableError, match="address of Jobbergate's API"):
        JobbergateApi("jobs.example", tokens, http)


async def test_what_is_asked_is_asked_as_the_agent_does(far: FarSide, api: JobbergateApi) -> None:
    far.answers += [Canned({"access_token": "t"}), Canned(EMPTY)]
    await api.pending(3)
    await api.submitted(5, slurm_job_id=7, state="PENDING", reason=None, info="{}")
    await api.rejected(5, "no")
    await api.update(5, slurm_job_id=None, state="CANCELLED", reason="ö", info="{}")
    await api.healthy(90)
    await api.put_metrics(5, b"\x90")
    submissions = "/jobbergate/job-submissions/agent"
    job = {"slurm_job_id": 7, "slurm_job_state": "PENDING", "slurm_job_state_reason": None, "slurm_job_info": "{}"}
    other = {"slurm_job_id": None, "slurm_job_state": "CANCELLED", "slurm_job_state_reason": "ö", "slurm_job_info": "{}"}
    assert [(seen.method, seen.raw_path, seen.body) for seen in far.asked] == [
        ("GET", f"{submissions}/pending?page=3&size=100", b""),
        ("POST", f"{submissions}/submitted", json.dumps({"id": 5, **job}).encode()),
        ("POST", f"{submissions}/rejected", json.dumps({"id": 5, "report_message": "no"}).encode()),
        ("PUT", f"{submissions}/5", json.dumps(other).encode()),
        ("PUT", "/jobbergate/clusters/status?interval=90", b""),
        ("PUT", f"{submissions}/metrics/5", b"\x90"),
    ]
    assert {seen.headers["Authorization"] for seen in far.asked} == {"Bearer t"}
    assert far.asked[-1].headers["Content-Type"] == "application/octet-stream"


async def test_lists_are_asked_for_in_an_order(far: FarSide, api: JobbergateApi) -> None:
    far.answers += [Canned({"access_token": "t"}), Canned(EMPTY), Canned(EMPTY)]
    await api.rows(page=2)
    await api.rows(page=1, newest_first=True, status="CANCELLED")
    assert [seen.raw_path.partition("?")[2] for seen in far.asked] == [
        "page=2&size=100&sort_field=id&sort_ascending=true&include_archived=true",
        "page=1&size=100&sort_field=updated_at&sort_ascending=false&include_archived=true&submit_status=CANCELLED",
    ]


async def test_the_garbage_of_an_old_api_is_collected(far: FarSide, api: JobbergateApi) -> None:
    await api.collect_garbage()
    assert [(seen.method, seen.raw_path) for seen in far.asked] == [
        ("DELETE", "/jobbergate/job-script-templates/upload/garbage-collector"),
        ("DELETE", "/jobbergate/job-scripts/upload/garbage-collector"),
        ("DELETE", "/jobbergate/job-scripts/clean-unused-entries"),
    ]


async def test_a_token_that_is_not_taken_is_replaced_and_the_same_is_asked_again(far: FarSide, api: JobbergateApi) -> None:
    far.answers += [Canned({"access_token": "old"}), Canned({"detail": "Not authenticated"}, 401)]
    await api.rejected(5, "no")
    assert [seen.headers["Authorization"] for seen in far.asked] == ["Bearer old", "Bearer token-2"]
    assert far.asked[0].body == far.asked[1].body


async def test_many_whose_token_is_not_taken_ask_the_issuer_once(far: FarSide, api: JobbergateApi) -> None:
    far.answers += [Canned({"access_token": "old"}), *(Canned({"detail": "Not authenticated"}, 401) for _ in range(6))]
    await asyncio.gather(*(api.healthy(60) for _ in range(6)))
    assert len(far.forms) == 2


async def test_an_api_that_takes_no_token_at_all_is_asked_twice(far: FarSide, api: JobbergateApi) -> None:
    refused = Canned({"detail": "Not authenticated"}, 401)
    far.answers += [Canned({"access_token": "a"}), refused, Canned({"access_token": "b"}), refused]
    with pytest.raises(UnauthorizedError, match=r"does not take a fresh token: Not authenticated .*audience"):
        await api.healthy(60)
    assert len(far.asked) == 2


@pytest.mark.parametrize("answer", [b"", b"<html>Please log in</html>", b"[]", b"{}", b'{"items": []}'])
async def test_a_success_that_says_nothing_is_nonsense(far: FarSide, api: JobbergateApi, answer: bytes) -> None:
    for ask in (api.pending, api.version, lambda: api.row(1), lambda: api.max_times(1), lambda: api.rows(page=1)):
        far.answers += [Canned(answer)] if far.seen else [Canned({"access_token": "t"}), Canned(answer)]
        with pytest.raises(NonsenseError):
            await ask()


async def test_a_page_for_people_is_no_file_and_no_report_taken(far: FarSide, api: JobbergateApi) -> None:
    page = Canned("<html>Please log in</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    far.answers += [Canned({"access_token": "t"}), page, page]
    for ask in (lambda: api.file(1, "job.sh"), lambda: api.rejected(1, "no")):
        with pytest.raises(NonsenseError, match="a page for people"):
            await ask()


@pytest.mark.parametrize(
    ("name", "word"), [("..", ".."), ("a/../b", "a%2F..%2Fb"), ("a%2Fb", "a%252Fb"), ("a b+c", "a%20b%2Bc"), ("é", "%C3%A9")]
)
async def test_a_files_name_arrives_as_it_is(far: FarSide, api: JobbergateApi, name: str, word: str) -> None:
    await api.file(3, name)
    assert far.asked[0].raw_path == f"/jobbergate/job-scripts/3/upload/{word}"


@given(st.integers(0), st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_name_of_a_file_is_one_word_of_an_address(script: int, name: str) -> None:
    url = URL(f"https://jobs.example/jobbergate/{_upload(script, name)}", encoded=True)
    *where, word = url.raw_path_qs.split("/")
    assert where == ["", "jobbergate", "job-scripts", str(script), "upload"]
    assert unquote(word) == name
    assert not set(word) & set("?# \t\r\n")
    assert word.isascii()
