"""What was told of a world's submission, and other submissions than the usual one."""

from slurmgate.resources.submission import JobSubmissionStatus
from tests.unit.core.build import (
    Draft,
)
from tests.unit.core.life import (
    shown,
    told,
)
from tests.unit.engine.world import World

FROM_CONFIG_MAP = Draft().with_spec(script={"configMapKeyRef": {"name": "scripts", "key": "run.sh"}})


def another(number: int, **spec: object) -> Draft:
    token = f"{number:08d}-0000-4000-8000-000000000000"
    return Draft().with_metadata(name=f"hello-{number}", uid=token).with_spec(**spec)


def writes(world: World) -> list[tuple[str | None, str | None, str]]:
    return [shown(JobSubmissionStatus.model_validate(status)) for status in world.object().statuses]


def events(world: World) -> list[tuple[str, str]]:
    return told(event for _, event in world.api.events)
