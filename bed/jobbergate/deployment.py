"""The Jobbergate half of a bed: the real API with its database and S3, an OIDC issuer, and TLS in front."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bed import ports
from bed.jobbergate import api, database, programs
from bed.jobbergate.realm import Realm
from bed.jobbergate.service import Service
from bed.keys import server_key
from bed.processes import recorded
from bed.requirements import require_debian
from bed.state import Jobbergate

_SERVICES = ("postgres", "s3", "issuer", "api", "front")
_PORTS = ("postgres", "s3", "issuer", "api", "https-issuer", "https-api")
_CLIENT = "valhalla"
_REALM = "bed"
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Deployment:
    """A running Jobbergate, for tests that want to act on it from the inside."""

    bed: Path
    description: Jobbergate

    @cached_property
    def realm(self) -> Realm:
        """Who may ask the issuer for tokens, and how it answers; tokens for whoever needs one without asking."""
        return Realm(_realm(self.bed), self.description.issuer)

    @cached_property
    def _services(self) -> Mapping[str, Service]:
        return _services(self.bed, self.description.ports)

    def service(self, name: str) -> Service:
        """A program to be stopped, killed, frozen or started: postgres, s3, issuer, api, front."""
        return self._services[name]

    def sql(self, statements: str) -> str:
        """What the API's database answers, one row a line, columns separated by `|`."""
        return database.sql(self.description.ports["postgres"], statements)


def start(bed: Path) -> Jobbergate:
    """Start the Jobbergate part of the bed whose folder is `bed`."""
    require_debian(database.PACKAGES)
    numbers = dict(zip(_PORTS, ports.reserve(bed, "jobbergate", len(_PORTS)), strict=True))
    logs = bed / "jobbergate" / "log"
    logs.mkdir(parents=True)
    realm = Realm.make(_realm(bed), _issuer_url(numbers["issuer"]))
    secret = realm.add(_CLIENT)
    certificate = _certificate(bed)
    certificate.write_text(server_key(certificate.with_suffix(".key"), api.ADDRESS).public)
    database.place(bed)
    services = _services(bed, numbers)
    for service in services.values():
        service.launch()
    for service in services.values():
        service.wait()
    return Jobbergate(
        version=programs.API.version,
        url=api.url(numbers["api"]),
        issuer=realm.url,
        https_url=_by_tls(api.url(numbers["https-api"])),
        https_issuer=_by_tls(_issuer_url(numbers["https-issuer"])),
        certificate=certificate,
        client_id=_CLIENT,
        client_secret=secret,
        bucket=api.bucket(numbers["s3"]),
        ports=numbers,
        logs=logs,
    )


def running(bed: Path) -> bool:
    """Whether all of it lives in the folder `bed`."""
    return all(recorded(bed / "jobbergate" / "run", name) for name in _SERVICES)


def stop(bed: Path) -> None:
    """End what `start` started in the folder `bed`, however far it came."""
    for name in _SERVICES:
        process = recorded(bed / "jobbergate" / "run", name)
        if process and name != "postgres":
            process.end()
    database.discard(bed)


def _services(bed: Path, numbers: Mapping[str, int]) -> dict[str, Service]:
    """All programs by name, in the order in which they need each other."""
    python = programs.API.python()
    found = [
        database.service(bed, numbers["postgres"]),
        api.s3(bed, python, numbers),
        _issuer(bed, numbers["issuer"]),
        api.service(bed, python, numbers, _issuer_url(numbers["issuer"])),
        _front(bed, numbers),
    ]
    return {service.name: service for service in found}


def _issuer(bed: Path, port: int) -> Service:
    return Service(
        name="issuer",
        folder=bed / "jobbergate",
        argv=[*_ours("issuer"), str(_realm(bed)), _issuer_url(port), str(port)],
        ready=partial(ports.listening, api.ADDRESS, port),
    )


def _front(bed: Path, numbers: Mapping[str, int]) -> Service:
    certificate = _certificate(bed)
    pairs = [f"{numbers[f'https-{name}']}:{numbers[name]}" for name in ("issuer", "api")]
    return Service(
        name="front",
        folder=bed / "jobbergate",
        argv=[*_ours("front"), str(certificate), str(certificate.with_suffix(".key")), *pairs],
        ready=lambda: all(ports.listening(api.ADDRESS, numbers[f"https-{name}"]) for name in ("issuer", "api")),
    )


def _ours(module: str) -> list[str]:
    return ["env", f"--chdir={_REPOSITORY}", sys.executable, "-m", f"bed.jobbergate.{module}"]


def _issuer_url(port: int) -> str:
    return f"http://{api.ADDRESS}:{port}/realms/{_REALM}"


def _by_tls(url: str) -> str:
    return url.replace("http://", "https://")


def _certificate(bed: Path) -> Path:
    return bed / "jobbergate" / "front.crt"


def _realm(bed: Path) -> Path:
    return bed / "jobbergate" / "realm"
