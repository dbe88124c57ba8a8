"""kopf's handlers: they hand over what the API server says, and nothing else.

Only `on.event`: kopf's other handlers cost writes and tasks for each object (docs/decisions/0002-kopf-events-only.md).
"""

from collections.abc import Awaitable, Callable

import kopf

from slurmgate.engine.intake import Intake
from slurmgate.resources.base import GROUP, VERSION
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import JobSubmission

Login = Callable[..., Awaitable[kopf.AiohttpSession]]


def registry(intake: Intake, login: Login) -> kopf.OperatorRegistry:
    """The handlers, bound to this intake."""
    handlers = kopf.OperatorRegistry()

    kopf.on.login(registry=handlers)(login)

    @kopf.on.event(GROUP, VERSION, JobSubmission.PLURAL, registry=handlers)
    async def submission(event: kopf.RawEvent, **_: object) -> None:
        intake.submission(event["type"], event["object"])

    @kopf.on.event(GROUP, VERSION, SlurmCluster.PLURAL, registry=handlers)
    async def cluster(event: kopf.RawEvent, **_: object) -> None:
        intake.cluster(event["type"], event["object"])

    return handlers
