"""Reads what resources name: the engine's References over the API server."""

from collections.abc import Sequence

from slurmgate.core.reasons import Reason
from slurmgate.engine.ports import Existing, ReferenceProblem
from slurmgate.kube.addresses import Address
from slurmgate.kube.content import Kind
from slurmgate.kube.errors import ApiError, NotFoundError
from slurmgate.kube.references import ReferenceProblemError, ReferenceReader
from slurmgate.kube.session import ApiSession, Json
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import JobSubmission, JobSubmissionStatus, Metadata
from slurmgate.slurm.together import Together

_OLDEST_NAMESPACE = "kube-system"


class KubernetesReferences:
    """Nothing is cached that can change: what is read is as it is now. Who asks meanwhile shares the next read."""

    def __init__(self, api: ApiSession, *, own_namespace: str) -> None:
        self._installation: str | None = None
        self._api = api
        self._references = ReferenceReader(api)
        self._own_namespace = own_namespace
        self._namespaces: Together[str, None, Json] = Together(self._read_namespace)

    async def of_submission(self, kind: str, namespace: str, name: str, key: str, *, where: str) -> bytes:
        """A key of a ConfigMap or Secret that a submission names; a Secret only with the label slurmgate.dev/use."""
        if namespace == self._own_namespace:
            raise ReferenceProblem(
                Reason.REFERENCE_NOT_ALLOWED,
                f"{where}: submissions in the operator's own namespace can name no {kind}: the operator's are there",
            )
        try:
            return await self._references.read(Kind(kind), namespace, name, key, require_use_label=True)
        except ReferenceProblemError as problem:
            raise ReferenceProblem(problem.reason, f"{where}: {problem}") from None
        except ApiError as error:
            raise ReferenceProblem(Reason.REFERENCE_UNREADABLE, f"{where}: {error}") from None

    async def of_operator(self, kind: str, name: str, key: str) -> bytes:
        """A key of a ConfigMap or Secret in the operator's own namespace."""
        try:
            return await self._references.read(Kind(kind), self._own_namespace, name, key)
        except ReferenceProblemError as problem:
            raise ReferenceProblem(problem.reason, str(problem)) from None
        except ApiError as error:
            raise ReferenceProblem(Reason.REFERENCE_UNREADABLE, f"{kind} {name}: {error}") from None

    async def namespace_annotation(self, namespace: str, annotation: str) -> str | None:
        """An annotation of a namespace, None where it has none."""
        try:
            body = await self._namespaces.do(namespace, None)
        except ApiError as error:
            raise ReferenceProblem(Reason.REFERENCE_UNREADABLE, f"namespace {namespace}: {error}") from None
        value = (body["metadata"].get("annotations") or {}).get(annotation)
        return None if value is None else str(value)

    async def _read_namespace(self, namespace: str, askers: Sequence[None]) -> Sequence[Json]:
        body = await self._api.get(Address("namespaces", None, namespace))
        return [body for _ in askers]

    async def installation(self) -> str:
        """Which Kubernetes cluster this is: by custom, the uid of its namespace kube-system."""
        if self._installation is None:
            try:
                body = await self._api.get(Address("namespaces", None, _OLDEST_NAMESPACE))
            except ApiError as error:
                raise ReferenceProblem(Reason.REFERENCE_UNREADABLE, f"namespace {_OLDEST_NAMESPACE}: {error}") from None
            self._installation = str(body["metadata"]["uid"])
        return self._installation

    async def submission(self, namespace: str, name: str) -> Existing | None:
        """The JobSubmission of this name, None if there is none."""
        try:
            body = await self._api.get(Address(JobSubmission.PLURAL, namespace, name))
        except NotFoundError:
            return None
        except ApiError as error:
            raise ReferenceProblem(Reason.REFERENCE_UNREADABLE, f"JobSubmission {namespace}/{name}: {error}") from None
        metadata = Metadata.model_validate(body["metadata"])
        phase = JobSubmissionStatus.model_validate(body.get("status") or {}).phase
        return Existing(metadata.uid, over=bool(phase and phase.ended) and FINALIZER not in metadata.finalizers)
