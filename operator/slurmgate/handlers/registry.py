"""kopf's handlers: they hand over what the API server says, and nothing else.

Only `on.event`: kopf's other handlers cost writes and tasks for each object (docs/decisions/0002-kopf-events-only.md).
What went while no watch could see it is missing from kopf's next list; those are read along (`kube/lists.py`).
"""

import kopf

from slurmgate.engine.intake import Intake
from slurmgate.kube.addresses import Address
from slurmgate.kube.lists import Lists
from slurmgate.kube.login import login_handler
from slurmgate.kube.session import ApiSession
from slurmgate.resources.base import GROUP, VERSION
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import JobSubmission


def registry(intake: Intake, api: ApiSession) -> kopf.OperatorRegistry:
    """The handlers, bound to this intake, and kopf's way to the API server."""
    handlers = kopf.OperatorRegistry()

    lists = Lists(
        {
            Address(JobSubmission.PLURAL): intake.only_submissions,
            Address(SlurmCluster.PLURAL): intake.only_clusters,
        }
    )
    kopf.on.login(registry=handlers)(login_handler(api, lists))

    @kopf.on.event(GROUP, VERSION, JobSubmission.PLURAL, registry=handlers)
    async def submission(event: kopf.RawEvent, **_: object) -> None:
        intake.submission(event["type"], event["object"])

    @kopf.on.event(GROUP, VERSION, SlurmCluster.PLURAL, registry=handlers)
    async def cluster(event: kopf.RawEvent, **_: object) -> None:
        intake.cluster(event["type"], event["object"])

    return handlers
