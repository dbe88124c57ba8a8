"""The JobSubmissions that are made, stopped and removed because Jobbergate says so."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slurmgate.core.record import Record
from slurmgate.engine.jobbergate.manifests import Manifest
from slurmgate.kube.addresses import Address, Target
from slurmgate.kube.errors import ConflictError, InvalidError, NotFoundError
from slurmgate.kube.patch import encode, replace
from slurmgate.kube.session import ApiSession
from slurmgate.resources.base import FINALIZER, JOBBERGATE_CLUSTER_LABEL
from slurmgate.resources.submission import JobSubmission, JobSubmissionSpec, JobSubmissionStatus, Metadata

_PAGE = "100"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """It is there, under this uid, and we have made it just now."""

    uid: str


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Another object has the name, or it is ours from before."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """The API server takes no such object; in its words."""

    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A JobSubmission as it is in the API."""

    uid: str
    spec: JobSubmissionSpec
    status: JobSubmissionStatus

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return bool(self.status.phase and self.status.phase.ended)


@dataclass(frozen=True, slots=True)
class Finished:
    """A JobSubmission that has ended, and for which nothing is left to do."""

    namespace: str
    name: str
    uid: str
    since: datetime


class Objects:
    """What the bridge does in Kubernetes. Everything raises ApiError for what cannot be done now."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api

    async def make(self, manifest: Manifest) -> Made | InTheWay | Invalid:
        """Make the JobSubmission, and the ConfigMap with its script where there is one."""
        address = Address(JobSubmission.PLURAL, manifest.namespace)
        try:
            made = await self._api.request("POST", address, body=encode(manifest.body))
        except ConflictError:
            return InTheWay()
        except InvalidError as error:
            return Invalid(error.message)
        uid = str(made["metadata"]["uid"])
        await self.give_script(manifest, uid)
        return Made(uid)

    async def give_script(self, manifest: Manifest, uid: str) -> None:
        """Make the ConfigMap with the script, which goes when the JobSubmission does."""
        if (body := manifest.config_map) is None:
            return
        owner = {key: manifest.body[key] for key in ("apiVersion", "kind")} | {"name": manifest.name, "uid": uid}
        body = {**body, "metadata": {**body["metadata"], "ownerReferences": [owner]}}
        with suppress(ConflictError):  # made before; what it says is not believed but compared when it is used
            await self._api.request("POST", Address("configmaps", manifest.namespace), body=encode(body))

    async def look(self, namespace: str, name: str) -> Standing | None:
        """The JobSubmission of this name, None if there is none."""
        try:
            body = await self._api.get(Address(JobSubmission.PLURAL, namespace, name))
        except NotFoundError:
            return None
        there = JobSubmission.model_validate(body)
        return Standing(there.metadata.uid, there.spec, there.status)

    async def script(self, namespace: str, name: str) -> bytes | None:
        """The script that stands in the JobSubmission itself; None if it stands elsewhere, or the object is gone."""
        try:
            body = await self._api.get(Address(JobSubmission.PLURAL, namespace, name))
        except NotFoundError:
            return None
        inline = body["spec"]["script"].get("inline")
        return inline.encode() if inline else None

    async def cancel(self, record: Record) -> None:
        """Set spec.cancel, if this life of it is still there."""
        target = Target(JobSubmission.KIND, record.namespace, record.name, record.token)
        await replace(self._api, target, "/spec/cancel", b"true")

    async def delete(self, namespace: str, name: str, uid: str) -> None:
        """Delete it, if this life of it is still there."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with suppress(NotFoundError, ConflictError):
            await self._api.request("DELETE", Address(JobSubmission.PLURAL, namespace, name), body=encode(body))

    async def finished(self, cluster: str) -> AsyncIterator[Finished]:
        """All that were made for this cluster's submissions in Jobbergate and are over."""
        query = {"labelSelector": f"{JOBBERGATE_CLUSTER_LABEL}={cluster}", "limit": _PAGE}
        while True:
            listing = await self._api.get(Address(JobSubmission.PLURAL), **query)
            for item in listing["items"]:
                if finished := _finished(item):
                    yield finished
            if not (more := listing["metadata"].get("continue")):
                return
            query["continue"] = more


def _finished(item: Json) -> Finished | None:
    if "submissionId" not in (item["spec"].get("jobbergate") or {}):
        return None  # anybody may write labels
    metadata = Metadata.model_validate(item["metadata"])
    status = JobSubmissionStatus.model_validate(item.get("status") or {})
    ended = [condition.last_transition_time for condition in status.conditions if condition.type in {"Complete", "Failed"}]
    over = status.phase and status.phase.ended and FINALIZER not in metadata.finalizers
    if not over or not ended:
        return None
    return Finished(metadata.namespace or "", metadata.name, metadata.uid, max(ended))
