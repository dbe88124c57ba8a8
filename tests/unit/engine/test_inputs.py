"""Whose ConfigMaps and Secrets a submission may name, and how namespaces are read."""

import asyncio
from typing import Any, cast

import pytest

from slurmgate.core.reasons import Reason
from slurmgate.engine.inputs import KubernetesReferences
from slurmgate.engine.ports import ReferenceProblem
from slurmgate.kube.addresses import Address
from slurmgate.kube.errors import UnreachableError
from slurmgate.kube.session import ApiSession
from slurmgate.slurm.together import LOADS_AT_ONCE


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_a_submission_beside_the_operator_can_name_nothing_of_the_operators(kind: str) -> None:
    references = KubernetesReferences(None, own_namespace="slurmgate-system")  # type: ignore[arg-type]
    with pytest.raises(ReferenceProblem, match=r"^spec\.script\.configMapKeyRef: .* operator's own namespace") as raised:
        await references.of_submission(kind, "slurmgate-system", "keys", "kirby", where="spec.script.configMapKeyRef")
    assert raised.value.reason is Reason.REFERENCE_NOT_ALLOWED


class Namespaces:
    """Answers what stands there when it is asked, as late as it is told to."""

    def __init__(self) -> None:
        self.owners = "kirby@example.org"
        self.reads = 0
        self.away = False
        self.answering = asyncio.Event()
        self.asked = asyncio.Semaphore(0)

    async def get(self, _: Address) -> dict[str, Any]:
        self.reads += 1
        self.asked.release()
        owners = self.owners
        await self.answering.wait()
        if self.away:
            raise UnreachableError("nobody there")
        return {"metadata": {"annotations": {"owners": owners}}}

    def references(self) -> KubernetesReferences:
        return KubernetesReferences(cast("ApiSession", self), own_namespace="slurmgate-system")


async def test_who_asks_for_a_namespace_while_it_is_read_shares_the_next_read_and_never_that_one() -> None:
    namespaces = Namespaces()
    references = namespaces.references()

    def ask() -> asyncio.Task[str | None]:
        return asyncio.create_task(references.namespace_annotation("research", "owners"))

    first = ask()
    await namespaces.asked.acquire()
    namespaces.owners = "mario@example.org"
    later = [ask() for _ in range(10)]
    await namespaces.asked.acquire()
    namespaces.answering.set()
    assert await first == "kirby@example.org"
    assert set(await asyncio.gather(*later)) == {"mario@example.org"}
    assert namespaces.reads == 1 + LOADS_AT_ONCE


async def test_all_who_asked_hear_that_a_namespace_cannot_be_read() -> None:
    namespaces = Namespaces()
    namespaces.away = True
    namespaces.answering.set()
    references = namespaces.references()
    asked = [references.namespace_annotation("research", "owners") for _ in range(3)]
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(outcome, ReferenceProblem)
        assert "namespace research: nobody there" in str(outcome)
