"""Jobbergate's API, and the S3 server that keeps job scripts for it."""

from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from bed.jobbergate.service import Service

ADDRESS = "127.0.0.1"
DATABASE = "jobbergate"
"""Of the database and of the role that owns it."""
BUCKET = "jobbergate-resources"
_APP = "jobbergate_api.main:app"
_LOG = Path(__file__).with_name("uvicorn.json")
_ROOT = "/jobbergate"
_S3_ACCOUNT = {"AWS_ACCESS_KEY_ID": "bed", "AWS_SECRET_ACCESS_KEY": "bed", "AWS_DEFAULT_REGION": "us-east-1"}


def url(port: int) -> str:
    """What the API's addresses begin with."""
    return f"http://{ADDRESS}:{port}{_ROOT}"


def bucket(port: int) -> str:
    """Where S3 has the API's files: `PATH` of a file behind it can be read, written and deleted by anybody."""
    return f"http://{ADDRESS}:{port}/{BUCKET}"


def service(bed: Path, python: Path, ports: Mapping[str, int], issuer: str) -> Service:
    """The API, by uvicorn with one worker."""
    command = [str(python), "-m", "uvicorn", _APP, f"--host={ADDRESS}", f"--port={ports['api']}"]
    command += [f"--log-config={_LOG}", "--timeout-graceful-shutdown=5"]
    return Service(
        name="api",
        folder=bed / "jobbergate",
        argv=[*settings(bed, ports, issuer), *command],
        ready=lambda: _answers("GET", ports["api"], f"{_ROOT}/health"),
    )


def s3(bed: Path, python: Path, ports: Mapping[str, int]) -> Service:
    """S3, by moto. It forgets all files when it ends."""
    serve = "from moto.server import main; main()"
    return Service(
        name="s3",
        folder=bed / "jobbergate",
        argv=["env", "--ignore-environment", str(python), "-c", serve, f"--host={ADDRESS}", f"--port={ports['s3']}"],
        ready=lambda: _answers("PUT", ports["s3"], f"/{BUCKET}"),  # the bucket is made, or there already
    )


def settings(bed: Path, ports: Mapping[str, int], issuer: str) -> list[str]:
    """A command line to put the API's Python behind, so that the API's code finds its settings."""
    environment = {
        "DEPLOY_ENV": "LOCAL",
        "LOG_LEVEL": "WARNING",
        "DATABASE_HOST": ADDRESS,
        "DATABASE_PORT": ports["postgres"],
        "DATABASE_USER": DATABASE,
        "DATABASE_PSWD": DATABASE,
        "DATABASE_NAME": DATABASE,
        "S3_ENDPOINT_URL": f"http://{ADDRESS}:{ports['s3']}",
        "S3_BUCKET_NAME": BUCKET,
        "ARMASEC_DOMAIN": urlsplit(issuer).netloc + urlsplit(issuer).path,
        "ARMASEC_USE_HTTPS": False,
        **_S3_ACCOUNT,
        "AWS_EC2_METADATA_DISABLED": True,
    }
    # It would read an .env file of the working directory.
    return ["env", "--ignore-environment", f"--chdir={bed}", *(f"{name}={value}" for name, value in environment.items())]


def _answers(method: str, port: int, path: str) -> bool:
    try:
        with closing(HTTPConnection(ADDRESS, port, timeout=5)) as connection:
            connection.request(method, path)
            return connection.getresponse().status < HTTPStatus.BAD_REQUEST
    except (OSError, HTTPException):  # nobody listens yet
        return False
