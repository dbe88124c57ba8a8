"""The Lease of those operators who could lead."""

from bed.operator import NAMESPACE, RELEASE
from tests.api import Json
from tests.world import World

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{RELEASE}"


def lease(world: World) -> Json:
    """Its spec."""
    found: Json = world.api.get(LEASE)["spec"]
    return found


def await_renewal(world: World) -> None:
    """It is as fresh as can be."""
    before = lease(world)["renewTime"]
    world.eventually(lambda: lease(world)["renewTime"] != before, bool)
