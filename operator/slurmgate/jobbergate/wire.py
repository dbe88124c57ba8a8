"""What Jobbergate's API says, as far as we listen. Newer ones say more, older ones less or in other words.

Source: jobbergate_api/apps/job_submissions/schemas.py and job_scripts/schemas.py of 4.4 to 5.11.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from slurmgate.jobbergate.errors import NonsenseError

_OLDER_STATUSES: Final[Mapping[str, str]] = {
    "COMPLETE": "DONE",
    "COMPLETED": "DONE",
    "FAILED": "ABORTED",
    "UNKNOWN": "ABORTED",
}
"""What they were called before API 4.3. CREATED, SUBMITTED, REJECTED and CANCELLED are what they were."""

_PROBLEMS_NAMED = 3


class Model(BaseModel):
    """Base of everything that the API says."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def _status(word: Any) -> Any:
    return _OLDER_STATUSES.get(word, word) if isinstance(word, str) else word


def _listed(items: Any) -> Any:
    return () if items is None else items


def _whole(text: str) -> str:
    if text != storable(text):
        raise ValueError("Text should have no NUL and no half of a surrogate pair in it")
    return text


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Text = Annotated[str, AfterValidator(_whole)]
"""What can be said on: to Kubernetes, in an address, in a log."""

Status = Annotated[Text, BeforeValidator(_status)]
"""CREATED, SUBMITTED, REJECTED, DONE, ABORTED or CANCELLED; or a word that no version we know has."""

Moment = Annotated[datetime, AfterValidator(_aware)]
"""With a time zone; without one it was UTC."""

Arguments = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
"""Of sbatch. The API says null, or nothing, where there are none."""


class ScriptFile(Model):
    """A file of a job script."""

    filename: Text
    """May have slashes in it, and whatever else people type."""
    file_type: Text
    """ENTRYPOINT or SUPPORT."""


class JobScript(Model):
    """What was to be submitted."""

    id: int
    name: Text
    owner_email: Text
    parent_template_id: int | None = None
    files: Annotated[tuple[ScriptFile, ...], BeforeValidator(_listed)] = ()


class Pending(Model):
    """A submission that waits for its cluster."""

    id: int
    name: Text
    owner_email: Text
    execution_directory: Text | None = None
    sbatch_arguments: Arguments = ()
    job_script: JobScript


class Row(Model):
    """A submission at any status. Lists leave out some fields, which then are as if they were empty."""

    id: int
    name: Text
    owner_email: Text
    client_id: Text
    """The cluster."""
    status: Status
    slurm_job_id: int | None = None
    slurm_job_state: Text | None = None
    report_message: Text | None = None
    """Not in lists."""
    job_script_id: int | None = None
    """None also if the script was deleted."""
    execution_directory: Text | None = None
    """Not in lists."""
    sbatch_arguments: Arguments = ()
    """Not in lists."""
    updated_at: Moment
    is_archived: bool = False


class MaxTime(Model):
    """Up to when the API has the metrics of a task."""

    max_time: int
    """Seconds since 1970."""
    node_host: Text
    step: int
    task: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """An item of a list that is not what it should be."""

    id: int | None
    problem: str


M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """A part of a list."""

    items: tuple[M, ...]
    malformed: tuple[Malformed, ...]
    """What else stood among them."""
    total: int
    """Of all pages."""
    number: int
    """From 1 on."""
    pages: int
    """How many there are; 0 if the list is empty."""

    @property
    def last(self) -> bool:
        """Whether no other page follows."""
        return self.number >= self.pages


class _Envelope(Model):
    items: list[Any]
    total: int = Field(ge=0)
    page: int = Field(ge=1)
    size: int = Field(ge=1)


def parsed(content: bytes) -> Any:
    """The JSON of an answer. Raises NonsenseError."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise NonsenseError("the answer is no JSON") from None


def read(model: type[M], value: Any) -> M:
    """A model of what an answer says. Raises NonsenseError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise NonsenseError(_problems(error)) from None


def page(model: type[M], value: Any) -> Page[M]:
    """A page of a list; its items are looked at one by one, so that a bad one does no harm to others. Raises NonsenseError."""
    envelope = read(_Envelope, value)
    items: list[M] = []
    malformed: list[Malformed] = []
    for each in envelope.items:
        try:
            items.append(read(model, each))
        except NonsenseError as error:
            malformed.append(Malformed(_id(each), str(error)))
    pages = -(-envelope.total // envelope.size)  # API 4 does not say it
    return Page(tuple(items), tuple(malformed), envelope.total, envelope.page, pages)


def storable(text: str) -> str:
    """A text as PostgreSQL can keep it: for a NUL or half a surrogate pair the API has a 500, each time."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _id(item: Any) -> int | None:
    match item:
        case {"id": int(number)} if not isinstance(number, bool):
            return number
        case _:
            return None


def _problems(error: ValidationError) -> str:
    """What is wrong, by field; the first few."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{'.'.join(str(each) for each in problem['loc']) or 'it'}: {problem['msg']}" for problem in found]
    more = len(named) - _PROBLEMS_NAMED
    return "; ".join([*named[:_PROBLEMS_NAMED], *([f"and {more} more"] if more > 0 else [])])
