import asyncio
import json
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.http.client import Http
from slurmgate.http.errors import HttpError, UnusableError
from slurmgate.jobbergate.errors import UnauthorizedError
from slurmgate.jobbergate.token import Tokens, _claims
from tests.unit.far import Canned, Clock, FarSide, jwt

YEAR_2000 = 946684800


async def test_the_client_is_named_by_its_credentials_where_keycloak_has_the_page(far: FarSide, tokens: Tokens) -> None:
    assert await tokens.current() == "token-1"
    [seen] = far.seen
    assert (seen.method, seen.raw_path) == ("POST", "/realms/bed/protocol/openid-connect/token")
    assert seen.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(seen.body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": ["valhalla"],
        "client_secret": ["s3cret"],
    }


async def test_however_many_want_a_token_the_issuer_is_asked_once(far: FarSide, tokens: Tokens) -> None:
    assert set(await asyncio.gather(*(tokens.current() for _ in range(100)))) == {"token-1"}
    assert await tokens.current() == "token-1"
    assert len(far.forms) == 1


@pytest.mark.parametrize(
    ("answer", "used_seconds"),
    [
        ({"access_token": jwt(iat=YEAR_2000, exp=YEAR_2000 + 300)}, 270),
        ({"access_token": jwt(iat=YEAR_2000, exp=YEAR_2000 + 300), "expires_in": 100}, 70),
        ({"access_token": jwt(iat=YEAR_2000, exp=YEAR_2000 + 100), "expires_in": 300}, 70),
        ({"access_token": jwt(iat=YEAR_2000, exp=YEAR_2000 + 10)}, 5),
        ({"access_token": jwt(exp=YEAR_2000), "expires_in": 300}, 270),
        ({"access_token": "opaque", "expires_in": 300.5}, 270.5),
        ({"access_token": "opaque"}, 30),
        ({"access_token": jwt(iat="soon", exp=[]), "expires_in": "later"}, 30),
        ({"access_token": "a.b.c", "expires_in": True}, 30),
        ({"access_token": "a.b.c", "expires_in": -5}, 0),
        ({"access_token": jwt(iat=YEAR_2000, exp=10**400), "expires_in": float("inf")}, 30),
    ],
)
async def test_a_token_is_used_until_half_a_minute_before_its_end_whatever_the_clocks_say(
    far: FarSide, tokens: Tokens, clock: Clock, answer: dict[str, object], used_seconds: float
) -> None:
    far.answers.append(Canned(answer))
    began = clock.now
    first = await tokens.current()
    assert first == answer["access_token"]
    if used_seconds:
        clock.now = began + used_seconds - 0.01
        assert await tokens.current() == first
    clock.now = began + used_seconds
    assert await tokens.current() == "token-2"


async def test_a_refused_token_is_replaced_once_for_all_who_had_it(far: FarSide, tokens: Tokens) -> None:
    old = await tokens.current()
    tokens.refused(old)
    assert await tokens.current() == "token-2"
    tokens.refused(old)  # who was slower
    assert await tokens.current() == "token-2"
    assert len(far.forms) == 2


async def test_the_secret_is_read_for_each_token(far: FarSide, tokens: Tokens, secrets: list[str]) -> None:
    tokens.refused(await tokens.current())
    secrets.append("n&w=\n")
    await tokens.current()
    assert [parse_qs(form)["client_secret"] for form in far.forms] == [["s3cret"], ["n&w="]]


async def test_a_secret_that_cannot_be_read_is_tried_again(far: FarSide, http: Http) -> None:
    tries: list[str] = []

    async def secret() -> str:
        tries.append("once")
        if len(tries) == 1:
            raise UnauthorizedError(0, "there is no Secret jobbergate")
        return "s3cret"

    tokens = Tokens(http, issuer=far.url, client_id="valhalla", secret=secret)
    with pytest.raises(UnauthorizedError, match="no Secret jobbergate"):
        await tokens.current()
    assert await tokens.current() == "token-1"


async def test_a_secret_that_is_not_read_in_time_is_said_to_be_so(
    far: FarSide, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmgate.jobbergate.token.DEADLINE", 0.05)
    never = asyncio.Event()

    async def secret() -> str:
        await never.wait()
        return ""

    with pytest.raises(UnauthorizedError, match=r"no token for client valhalla .* could not be read within 0\.05 s"):
        await Tokens(http, issuer=far.url, client_id="valhalla", secret=secret).current()


async def test_who_stops_waiting_takes_the_token_from_nobody(far: FarSide, tokens: Tokens) -> None:
    go = asyncio.Event()
    far.answers.append(Canned({"access_token": "late"}, wait=go))
    impatient, patient = asyncio.create_task(tokens.current()), asyncio.create_task(tokens.current())
    await far.arrived.wait()
    impatient.cancel()
    await asyncio.wait([impatient])
    go.set()
    assert impatient.cancelled()
    assert await patient == "late"
    assert len(far.forms) == 1


async def test_all_who_wait_learn_of_the_same_failure_and_the_next_one_asks_anew(far: FarSide, tokens: Tokens) -> None:
    far.answers.append(Canned(status=503))
    failures = await asyncio.gather(*(tokens.current() for _ in range(10)), return_exceptions=True)
    assert {str(failure) for failure in failures} == {f"no token for client valhalla from {far.url}/realms/bed: HTTP 503"}
    assert await tokens.current() == "token-2"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Canned(b"", 200), "no access_token that can be used"),
        (Canned(b"\xff\xfe", 200), "no access_token that can be used"),
        (Canned("<html>log in</html>", 200), "no access_token that can be used"),
        (Canned([], 200), "no access_token that can be used"),
        (Canned("[" * 100_000, 200), "no access_token that can be used"),
        (Canned({"token": "x"}, 200), "no access_token that can be used"),
        (Canned({"access_token": None}, 200), "no access_token that can be used"),
        (Canned({"access_token": ""}, 200), "no access_token that can be used"),
        (Canned({"access_token": "a\r\nX-Evil: 1"}, 200), "no access_token that can be used"),
        (Canned({"access_token": "tökén"}, 200), "no access_token that can be used"),
        (Canned({"access_token": "x" * 100_000}, 200), "no access_token that can be used"),
        (Canned(b"x" * 2_000_000, 200), "more than 1048576 bytes"),
        (Canned(b"[" * 100_000, 500), "HTTP 500"),
        (Canned({"error": "invalid_client"}, 401), r"invalid_client \(HTTP 401\)"),
        (Canned({"error": "x", "error_description": "Wrong\n" + "y" * 5000}, 401), "Wrong y{450,}"),
        (Canned({"error": "x", "error_description": "not s3cret"}, 400), "not …"),
        (Canned(status=302, headers={"Location": "http://elsewhere.example/"}), "HTTP 302"),
    ],
)
async def test_an_issuer_that_gives_none_is_quoted_and_never_a_crash(
    far: FarSide, tokens: Tokens, answer: Canned, words: str
) -> None:
    far.answers.append(answer)
    with pytest.raises(UnauthorizedError, match=words) as error:
        await tokens.current()
    assert str(error.value).startswith("no token for client valhalla from http://127.0.0.1")
    assert "s3cret" not in str(error.value)
    assert len(str(error.value)) < 700
    assert error.value.retryable


async def test_neither_token_nor_secret_are_shown(tokens: Tokens) -> None:
    token = await tokens.current()
    assert token not in repr(vars(tokens))
    assert "s3cret" not in repr(vars(tokens))


@pytest.mark.parametrize("issuer", ["", "auth.example/realms/x", "ftp://auth.example", "https://", "https://a:b@auth.example"])
async def test_an_issuer_that_is_no_address_is_refused_at_once(http: Http, issuer: str) -> None:
    async def secret() -> str:
        return ""

    with pytest.raises(UnusableError, match="address of the issuer") as error:
        Tokens(http, issuer=issuer, client_id="x", secret=secret)
    assert isinstance(error.value, HttpError)
    assert not error.value.retryable


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["iat", "exp", "x"]), inner, max_size=3),
)


@given(JSON)
def test_a_token_may_claim_anything(claims: object) -> None:
    found = _claims(jwt(**claims) if isinstance(claims, dict) else ".".join(["x", json.dumps(claims), "y"]))
    assert all(value is None or abs(value) < 1e15 for value in (found.iat, found.exp))


@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
def test_a_token_may_be_anything(token: str) -> None:
    _claims(token)
