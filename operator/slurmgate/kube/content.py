"""ConfigMaps and Secrets as we see them: bytes by key."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from slurmgate.kube.session import Json


class Kind(StrEnum):
    """What can be read."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105  # a kind, not a secret

    @property
    def plural(self) -> str:
        """Its name in URLs."""
        return f"{self.lower()}s"


@dataclass(frozen=True, slots=True)
class Content:
    """A ConfigMap or Secret. Its data never shows in a repr; equal ones contain the same."""

    data: Mapping[str, bytes] = field(repr=False)
    labels: Mapping[str, str]
    resource_version: str = field(compare=False)


def content(kind: Kind, body: Json) -> Content:
    """Read the object that the API server sent."""
    data = body.get("data") or {}
    if kind is Kind.SECRET:
        values = {key: b64decode(value or "") for key, value in data.items()}
    else:
        values = {key: value.encode() for key, value in data.items()}
        values |= {key: b64decode(value) for key, value in (body.get("binaryData") or {}).items()}
    metadata = body["metadata"]
    return Content(
        data=values,
        labels=metadata.get("labels") or {},
        resource_version=metadata["resourceVersion"],
    )
