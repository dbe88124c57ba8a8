"""Where things are in the Kubernetes API."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from slurmgate.resources.base import GROUP, VERSION
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import JobSubmission

API_VERSION = f"{GROUP}/{VERSION}"
_PLURALS = {JobSubmission.KIND: JobSubmission.PLURAL, SlurmCluster.KIND: SlurmCluster.PLURAL}
_GROUPS = {**dict.fromkeys(_PLURALS.values(), API_VERSION), "leases": "coordination.k8s.io/v1"}


@dataclass(frozen=True, slots=True)
class Address:
    """A collection (no name), an object, or a subresource of one."""

    plural: str
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None

    @property
    def path(self) -> str:
        """Path of its URL."""
        root = f"/apis/{_GROUPS[self.plural]}" if self.plural in _GROUPS else "/api/v1"
        scope = f"/namespaces/{quote(self.namespace, safe='')}" if self.namespace else ""
        name = f"/{quote(self.name, safe='')}" if self.name else ""
        return f"{root}{scope}/{self.plural}{name}" + (f"/{self.subresource}" if self.subresource else "")

    @property
    def resource(self) -> str:
        """What RBAC calls it, for example `jobsubmissions/status`."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


@dataclass(frozen=True, slots=True)
class Target:
    """One life of one of our resources: an object made again under the same name is another target."""

    kind: str
    namespace: str | None
    name: str
    uid: str

    @classmethod
    def of(cls, resource: JobSubmission | SlurmCluster) -> Self:
        """The target that a resource is."""
        metadata = resource.metadata
        return cls(kind=resource.KIND, namespace=metadata.namespace, name=metadata.name, uid=metadata.uid)

    def address(self, subresource: str | None = None) -> Address:
        """Where it is."""
        return Address(_PLURALS[self.kind], self.namespace, self.name, subresource)

    @property
    def title(self) -> str:
        """How it is called in messages."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
