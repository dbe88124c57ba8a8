"""What Jobbergate and InfluxDB are reached with, read from the operator's namespace whenever it is needed."""

from dataclasses import dataclass

from slurmgate.engine.authorities import certificates
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.jobbergate.errors import UnauthorizedError
from slurmgate.jobbergate.influx import InfluxError
from slurmgate.resources.base import KeyReference
from slurmgate.resources.jobbergate import Jobbergate, JobMetrics


@dataclass(frozen=True)
class Credentials:
    """Of one SlurmCluster. Nothing is kept, so that all of it may change at any time."""

    references: References
    settings: Jobbergate

    async def secret(self) -> str:
        """The client's secret. Raises UnauthorizedError."""
        try:
            return await self._text("Secret", self.settings.client_secret_ref)
        except ReferenceProblem as problem:
            raise UnauthorizedError(0, str(problem)) from None

    async def authority(self) -> str | None:
        """Whom to trust instead of the system's authorities. Raises ReferenceProblem."""
        return await certificates(self.references, self.settings.certificate_authority)

    async def dsn(self) -> str:
        """Where InfluxDB is. Raises InfluxError."""
        try:
            return await self._text("Secret", self._metrics.dsn_secret_ref)
        except ReferenceProblem as problem:
            raise InfluxError(str(problem)) from None

    async def influx_authority(self) -> str:
        """Whom to trust about InfluxDB. Raises InfluxError."""
        try:
            return await certificates(self.references, self._metrics.certificate_authority) or ""
        except ReferenceProblem as problem:
            raise InfluxError(str(problem)) from None

    @property
    def _metrics(self) -> JobMetrics:
        if self.settings.metrics is None:
            raise InfluxError("the SlurmCluster has no spec.jobbergate.metrics")
        return self.settings.metrics

    async def _text(self, kind: str, reference: KeyReference) -> str:
        content = await self.references.of_operator(kind, reference.name, reference.key)
        return content.decode(errors="replace")  # what is no text is refused by whoever it is for
