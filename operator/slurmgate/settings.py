"""The operator's settings: environment variables, as the chart's Deployment sets them."""

import math
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_PREFIX = "SLURMGATE_"


class SettingsError(Exception):
    """Some settings are missing or wrong; the text names each of them."""


class Settings(BaseSettings):
    """What can be set. Everything else is in the resources."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True, use_attribute_docstrings=True)

    namespace: str = Field(min_length=1, max_length=63)
    """The operator's own namespace, where the Secrets and ConfigMaps of SlurmClusters are."""
    pod_name: str = Field(default_factory=socket.gethostname, max_length=128)
    """Stands in events as the instance that reported them, and in the Lease as its holder."""
    lease_name: str = Field("slurmgate", min_length=1, max_length=253)
    """The Lease in the operator's own namespace that the one holds who works; all others stand by."""
    lease_duration: int = Field(15, ge=1)
    """Seconds for which a holder that is not heard of keeps the Lease."""
    lease_renew_deadline: float = 10.0
    """Seconds after which a holder that could not renew it ends; less than `SLURMGATE_LEASE_DURATION`."""
    lease_retry_period: float = Field(2.0, gt=0)
    """Seconds between two renewals; at most half of `SLURMGATE_LEASE_RENEW_DEADLINE`."""
    plugins: Annotated[tuple[str, ...], NoDecode] = ()
    """Names of the plugins that may run, separated by commas; whatever else is installed is not even imported."""
    log_format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least that is logged."""
    http_host: str = "0.0.0.0"  # noqa: S104  # probes come from the node, metrics from Prometheus
    """Where /healthz, /readyz and /metrics are served."""
    http_port: int = Field(8080, ge=0, le=65535)
    """The port for them; 0 takes a free one."""
    service_account_directory: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Has `token` and `ca.crt`."""
    kubernetes_service_host: str = Field(min_length=1, validation_alias="KUBERNETES_SERVICE_HOST")
    """Address of the API server. Set by kubelet in every Pod, like the port."""
    kubernetes_service_port: int = Field(443, ge=1, le=65535, validation_alias="KUBERNETES_SERVICE_PORT")
    """Port of the API server."""

    @field_validator("plugins", mode="before")
    @classmethod
    def _names(cls, written: object) -> object:
        return tuple(name for name in map(str.strip, written.split(",")) if name) if isinstance(written, str) else written

    @field_validator("lease_renew_deadline")
    @classmethod
    def _less_than_duration(cls, deadline: float, others: ValidationInfo) -> float:
        if deadline >= others.data.get("lease_duration", math.inf):
            raise ValueError("has to be less than SLURMGATE_LEASE_DURATION")
        return deadline

    @field_validator("lease_retry_period")
    @classmethod
    def _less_than_half_of_the_deadline(cls, period: float, others: ValidationInfo) -> float:
        if 2 * period > others.data.get("lease_renew_deadline", math.inf):
            raise ValueError("has to be at most half of SLURMGATE_LEASE_RENEW_DEADLINE")
        return period


def load() -> Settings:
    """Read them from the environment.

    Raises:
        SettingsError: with one line that names every variable at fault.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_words(problem) for problem in error.errors())) from None


def _words(problem: ErrorDetails) -> str:
    field = str(problem["loc"][0])
    variable = field if field.isupper() else f"{_PREFIX}{field.upper()}"
    return f"{variable}: {'is not set' if problem['type'] == 'missing' else problem['msg']}"
