"""Whose ConfigMaps and Secrets a submission may name."""

import pytest

from slurmgate.core.reasons import Reason
from slurmgate.engine.inputs import KubernetesReferences
from slurmgate.engine.ports import ReferenceProblem


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_a_submission_beside_the_operator_can_name_nothing_of_the_operators(kind: str) -> None:
    references = KubernetesReferences(None, own_namespace="slurmgate-system")  # type: ignore[arg-type]
    with pytest.raises(ReferenceProblem, match=r"^spec\.script\.configMapKeyRef: .* operator's own namespace") as raised:
        await references.of_submission(kind, "slurmgate-system", "keys", "kirby", where="spec.script.configMapKeyRef")
    assert raised.value.reason is Reason.REFERENCE_NOT_ALLOWED
