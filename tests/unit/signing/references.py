"""What is in the operator's namespace."""

from dataclasses import dataclass, field

from slurmgate.core.reasons import Reason
from slurmgate.engine.ports import Existing, ReferenceProblem


@dataclass
class Secrets:
    """Some ConfigMaps and Secrets, by kind, name and key, and how often each was read."""

    content: dict[tuple[str, str, str], bytes]
    problem: ReferenceProblem | None = None
    reads: list[tuple[str, str]] = field(default_factory=list)

    async def of_operator(self, kind: str, name: str, key: str) -> bytes:
        self.reads.append((name, key))
        if self.problem:
            raise self.problem
        if (kind, name, key) not in self.content:
            raise ReferenceProblem(Reason.REFERENCE_NOT_FOUND, f"{kind} {name} has no key {key}")
        return self.content[kind, name, key]

    async def installation(self) -> str:
        return "this-installation"

    async def of_submission(self, kind: str, namespace: str, name: str, key: str, *, where: str) -> bytes:
        raise NotImplementedError

    async def namespace_annotation(self, namespace: str, annotation: str) -> str | None:
        raise NotImplementedError

    async def submission(self, namespace: str, name: str) -> Existing | None:
        raise NotImplementedError
