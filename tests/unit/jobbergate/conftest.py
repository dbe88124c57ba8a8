import pytest

from slurmgate.http.client import Http
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.token import Tokens
from tests.unit.far import Clock, FarSide


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets() -> list[str]:
    """The secret is the last one."""
    return ["s3cret"]


@pytest.fixture
def tokens(far: FarSide, http: Http, clock: Clock, secrets: list[str]) -> Tokens:
    async def secret() -> str:
        return secrets[-1]

    return Tokens(http, issuer=f"{far.url}/realms/bed/", client_id="valhalla", secret=secret, clock=clock)


@pytest.fixture
def api(far: FarSide, tokens: Tokens, http: Http) -> JobbergateApi:
    return JobbergateApi(far.url, tokens, http)
