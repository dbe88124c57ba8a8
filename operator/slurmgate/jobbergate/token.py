"""Tokens for a client of the issuer, by its credentials (RFC 6749, 4.4), at the address that Keycloak has for it.

A token is kept in memory until shortly before its end, and asked for anew where the API does not take it. How long it lives is
measured on our own clock from the difference of its own times: what the issuer's clock says does not matter.
"""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BeforeValidator, Field, FiniteFloat, ValidationError

from slurmgate.http.client import DEADLINE, Answer, Http, address
from slurmgate.http.errors import HttpError, shortened
from slurmgate.jobbergate.errors import UnauthorizedError
from slurmgate.jobbergate.wire import Model

Secret = Callable[[], Awaitable[str]]
"""Reads the client's secret, now; raises UnauthorizedError with what is missing. Space around it does not count."""

_PATH = "protocol/openid-connect/token"
_EARLY_SECONDS = 30.0
_UNKNOWN_LIFE = 60.0
_LARGEST_ANSWER = 1024 * 1024
_LARGEST_TOKEN = 64 * 1024
_OK = 200


def _number(value: Any) -> Any:
    """None for what is no number: it is as good as not said."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 else None  # noqa: PLR2004


_Seconds = Annotated[FiniteFloat | None, BeforeValidator(_number)]


class _Grant(Model):
    access_token: str = Field(pattern=r"^[\x21-\x7e]+$", max_length=_LARGEST_TOKEN, repr=False)  # it becomes a header
    expires_in: _Seconds = None


class _Claims(Model):
    iat: _Seconds = None
    exp: _Seconds = None


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    good_until: float
    """On our clock."""


class Tokens:
    """The tokens of one client."""

    def __init__(
        self, http: Http, *, issuer: str, client_id: str, secret: Secret, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`issuer`: its address with the realm, as `https://auth.example/realms/jobbergate`.

        Raises:
            UnusableError: `issuer` is no address.
        """
        self._http = http
        self._issuer = address(issuer, what="address of the issuer")
        self._client_id = client_id
        self._secret = secret
        self._clock = clock
        self._token: _Token | None = None
        self._asking: asyncio.Task[_Token] | None = None

    async def current(self) -> str:
        """A token that is good for a while. However many want one, the issuer is asked once.

        Raises:
            UnauthorizedError: there is none to be had.
        """
        if self._token and self._clock() < self._token.good_until:
            return self._token.text
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name=f"token of {self._client_id}")
            self._asking.add_done_callback(self._asked)
        asking = self._asking
        await asyncio.wait([asking])  # whoever stops waiting does not stop it for the others
        return asking.result().text

    def refused(self, token: str) -> None:
        """The API does not take this token: the next one is asked for, if it has not been already."""
        if self._token and self._token.text == token:
            self._token = None

    def _asked(self, asking: "asyncio.Task[_Token]") -> None:
        self._asking = None
        if not asking.cancelled() and not asking.exception():
            self._token = asking.result()

    async def _ask(self) -> _Token:
        secret = await self._read_secret()
        form = {"grant_type": "client_credentials", "client_id": self._client_id, "client_secret": secret}
        began = self._clock()
        try:
            answer = await self._http.send(
                "POST",
                self._issuer / _PATH,
                headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(form).encode(),
                largest=_LARGEST_ANSWER,
            )
        except HttpError as error:
            raise self._none(error.status, error.message) from error
        if answer.status != _OK:
            words = _refusal(answer)
            raise self._none(answer.status, shortened(words.replace(secret, "…") if secret else words))
        try:
            grant = _Grant.model_validate_json(answer.body)
        except ValidationError:
            raise self._none(answer.status, "its answer has no access_token that can be used") from None
        return _Token(grant.access_token, began + _use(_life(grant)))

    async def _read_secret(self) -> str:
        try:
            async with asyncio.timeout(DEADLINE):
                return (await self._secret()).strip()
        except TimeoutError:
            raise self._none(0, f"its secret could not be read within {DEADLINE:g} s") from None

    def _none(self, status: int, why: str) -> UnauthorizedError:
        return UnauthorizedError(status, f"no token for client {self._client_id} from {self._issuer}: {why}")


def _refusal(answer: Answer) -> str:
    """Why the issuer gives none, in its words (RFC 6749, 5.2) if it has some."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"error": str(error), "error_description": str(description)}:
            words = f"{description} ({error}, HTTP {answer.status})"
        case {"error": str(error)}:
            words = f"{error} (HTTP {answer.status})"
        case _:
            words = f"HTTP {answer.status}"
    return words


def _life(grant: _Grant) -> float:
    """Seconds that a token lives; what the issuer says in two ways is the shorter one."""
    claims = _claims(grant.access_token)
    lives = [] if claims.iat is None or claims.exp is None else [claims.exp - claims.iat]
    if grant.expires_in is not None:
        lives.append(grant.expires_in)
    return min(lives, default=_UNKNOWN_LIFE)


def _use(life: float) -> float:
    """Seconds that it is used: until a little before its end, which of a short life is half."""
    return max(life - _EARLY_SECONDS, life / 2, 0.0)


def _claims(token: str) -> _Claims:
    """What a JSON Web Token says (RFC 7519); nothing if it is another kind of token. The API checks it, not we."""
    try:
        _, claims, _ = token.split(".")
        return _Claims.model_validate(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))
    except (ValueError, binascii.Error, RecursionError):
        return _Claims()
