"""Reads the ConfigMap and Secret keys that resources name, at the moment they are needed. Nothing is kept."""

from slurmgate.core.reasons import Reason
from slurmgate.kube.addresses import Address
from slurmgate.kube.content import Content, Kind, content
from slurmgate.kube.errors import ForbiddenError, NotFoundError
from slurmgate.kube.session import ApiSession
from slurmgate.resources.base import USE_LABEL


class ReferenceProblemError(Exception):
    """A reference that cannot be used as things are; the message is for the person who wrote it."""

    reason: Reason


class ReferenceNotFoundError(ReferenceProblemError):
    """The object or the key is not there (yet)."""

    reason = Reason.REFERENCE_NOT_FOUND


class ReferenceNotAllowedError(ReferenceProblemError):
    """The operator may not read it, or its owner has not released it for submissions."""

    reason = Reason.REFERENCE_NOT_ALLOWED


class ReferenceReader:
    """Reads keys of ConfigMaps and Secrets."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api

    async def read(self, kind: Kind, namespace: str, name: str, key: str, *, require_use_label: bool = False) -> bytes:
        """The bytes under a key.

        With `require_use_label`, a Secret has to carry the label `slurmgate.dev/use: "true"`: who may create submissions but
        not read Secrets must not get at them through a job.

        Raises:
            ReferenceProblemError: it is not there or may not be used.
            ApiError: the API server cannot be asked now; try again later.
        """
        found = await self._read(kind, namespace, name)
        if require_use_label and kind is Kind.SECRET and found.labels.get(USE_LABEL) != "true":
            raise ReferenceNotAllowedError(
                f'Secret {namespace}/{name} may not be used by submissions: it does not carry the label {USE_LABEL}: "true"'
            )
        if key not in found.data:
            raise ReferenceNotFoundError(f"{kind} {namespace}/{name} has no key {key!r}")
        return found.data[key]

    async def _read(self, kind: Kind, namespace: str, name: str) -> Content:
        try:
            return content(kind, await self._api.get(Address(kind.plural, namespace, name)))
        except NotFoundError:
            raise ReferenceNotFoundError(f"{kind} {namespace}/{name} does not exist") from None
        except ForbiddenError as error:
            raise ReferenceNotAllowedError(
                f"the operator may not read {kind} {namespace}/{name}: an admin has to add the namespace to the chart value "
                f"submissionNamespaces ({error.message})"
            ) from None
