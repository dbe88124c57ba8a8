import asyncio
import gzip
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from slurmgate.http.client import Answer, Http, address
from slurmgate.http.errors import TooLargeError, UnreachableError, UnusableError
from tests.unit.far import Canned, FarSide


async def get(http: Http, far: FarSide, *, largest: int = 1000) -> Answer:
    return await http.send("GET", URL(far.url) / "page", headers={"Authorization": "Bearer token"}, largest=largest)


@asynccontextmanager
async def saying(raw: bytes) -> AsyncIterator[URL]:
    """A server that says this to everybody and hangs up."""

    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_an_answer_is_bounded(far: FarSide, http: Http) -> None:
    far.answers += [Canned(b"x" * 1000), Canned(b"x" * 1001), Canned(b"fine")]
    assert len((await get(http, far)).body) == 1000
    with pytest.raises(TooLargeError, match="more than 1000 bytes"):
        await get(http, far)
    assert (await get(http, far)).body == b"fine"


async def test_compressed_answers_are_not_wanted_and_not_unpacked(far: FarSide, http: Http) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    far.answers.append(Canned(bomb, headers={"Content-Encoding": "gzip"}))
    assert (await get(http, far, largest=2000)).body == bomb
    assert far.seen[0].headers["Accept-Encoding"] == "identity"


async def test_a_redirection_is_an_answer_and_our_token_stays_here(far: FarSide, http: Http) -> None:
    far.answers.append(Canned(status=307, headers={"Location": f"{far.url}/elsewhere"}))
    assert (await get(http, far)).status == 307
    assert [seen.raw_path for seen in far.seen] == ["/page"]


async def test_cookies_are_not_kept(far: FarSide, http: Http) -> None:
    far.answers.append(Canned(headers={"Set-Cookie": "a=b"}))
    await get(http, far)
    await get(http, far)
    assert "Cookie" not in far.seen[1].headers


async def test_no_proxy_of_the_environment_is_used(far: FarSide, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await get(http, far)).status == 200


async def test_silence_ends_at_the_deadline(far: FarSide) -> None:
    never = asyncio.Event()
    far.answers.append(Canned(wait=never))
    async with Http(deadline=0.1) as http:
        with pytest.raises(UnreachableError, match=r"http://127.0.0.1:\d+ gave no answer within 0.1 s"):
            await get(http, far)
    never.set()


async def test_the_deadline_begins_when_there_is_a_connection_to_use(far: FarSide) -> None:
    never = asyncio.Event()
    far.answers += [Canned(wait=never) for _ in range(12)]
    async with Http(deadline=0.5) as http:
        *silent, answer = await asyncio.gather(*(get(http, far) for _ in range(13)), return_exceptions=True)
    assert {type(each) for each in silent} == {UnreachableError}
    assert isinstance(answer, Answer)
    assert len(far.seen) == 13
    never.set()


async def test_who_asks_when_all_is_closed_hears_so(far: FarSide, http: Http) -> None:
    await http.close()
    with pytest.raises(UnreachableError, match="we are ending"):
        await get(http, far)


async def test_no_more_than_six_are_under_way(far: FarSide, http: Http) -> None:
    go = asyncio.Event()
    far.answers += [Canned(wait=go) for _ in range(20)]
    asking = [asyncio.create_task(get(http, far)) for _ in range(20)]
    while len(far.seen) < 6:
        far.arrived.clear()
        await far.arrived.wait()
    assert len(far.seen) == 6
    go.set()
    await asyncio.gather(*asking)
    assert len(far.seen) == 20


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\xff" * 1000,
    ],
)
async def test_what_is_no_whole_answer_is_none(http: Http, raw: bytes) -> None:
    async with saying(raw) as url:
        with pytest.raises(UnreachableError, match=r"cannot be reached: ."):
            await http.send("POST", url, headers={}, largest=1000)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", f"http://{'x' * 64}.example/"])
async def test_a_server_that_is_not_there_is_named(http: Http, url: str) -> None:
    with pytest.raises(UnreachableError, match=r"cannot be reached: .") as error:
        await http.send("GET", URL(url), headers={}, largest=1000)
    assert "SSLContext" not in str(error.value)


@pytest.mark.parametrize(
    "authority", ["", " \n", "# comment", "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----"]
)
async def test_an_authority_without_a_certificate_is_refused(authority: str) -> None:
    with pytest.raises(UnusableError, match="certificate authority"):
        Http(authority=authority)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://jobs.example", "https://jobs.example"),
        (" https://jobs.example/jobbergate/\n", "https://jobs.example/jobbergate"),
        ("http://[::1]:8000/a/b", "http://[::1]:8000/a/b"),
    ],
)
def test_an_address_is_taken_as_people_write_it(text: str, url: str) -> None:
    assert str(address(text, what="address")) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jobs.example", "none that begins with https://"),
        ("file:///etc/passwd", "none that begins with https://"),
        ("https://", "none that begins with https://"),
        ("https://jobs.example:port", "none that begins with https://"),
        ("https://a:secret@jobs.example", "a user or a password"),
        ("https://jobs.example/?tenant=1", "a query or a fragment"),
        ("https://jobs.example/#top", "a query or a fragment"),
    ],
)
def test_what_is_no_address_is_named(text: str, words: str) -> None:
    with pytest.raises(UnusableError, match=f"the address of X .*{words}") as error:
        address(text, what="address of X")
    assert "secret" not in str(error.value)


@given(st.text() | st.text().map(lambda rest: f"https://{rest}"))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        url = address(text, what="address")
    except UnusableError:
        return
    assert url.scheme in {"http", "https"}
    assert url.host
    assert json.dumps(str(url))
