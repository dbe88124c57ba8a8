"""Whose jobs are they still? A slurmctld that began anew gives ids again, and its commands know jobs by their ids alone."""

from collections.abc import Collection, Mapping

from slurmgate.core.following import rows_of
from slurmgate.core.health import LOGIN_REASONS
from slurmgate.core.outcomes import Absent, NotNow, Seen, Task, Unavailable
from slurmgate.core.record import Record
from slurmgate.core.tasks import live
from slurmgate.engine.site import Site


async def still_ours(site: Site, user: str, records: Collection[Record]) -> tuple[str, Mapping[str, bool | Unavailable]]:
    """Who may do something to the jobs of these submissions of a user, and whether they are still the very jobs, by token.

    That is the user, and where the user cannot log in the service user, if there is one.
    """
    *earlier, last = site.agents(user)
    for agent in earlier:
        answers = await _ask(site, agent, user, records)
        if not all(isinstance(answer, Unavailable) and answer.reason in LOGIN_REASONS for answer in answers.values()):
            return agent, answers
    return last, await _ask(site, last, user, records)


async def _ask(site: Site, agent: str, user: str, records: Collection[Record]) -> Mapping[str, bool | Unavailable]:
    """Whether the queue, as the agent sees it, has the very jobs of these submissions; or why that cannot be told."""
    down = site.controller_down
    queue = Unavailable(down.reason, down.message) if down else await site.gateway.observe(agent, [user])
    if isinstance(queue, Unavailable):
        return dict.fromkeys((record.token for record in records), queue)
    answers: dict[str, bool | Unavailable] = {record.token: bool(rows_of(record, queue)) for record in records}
    doubtful = [record for record in records if not answers[record.token] and _is_nameless(record, queue)]
    return {**answers, **await _accounted_as_ours(site, agent, doubtful, queue)} if doubtful else answers


def untouched(answer: bool | Unavailable) -> Absent | NotNow | None:
    """What comes of something that was to be done to such a job; None if it is ours and can be done."""
    if isinstance(answer, Unavailable):
        return NotNow(answer.reason, answer.message)
    return None if answer else Absent()


def _is_nameless(record: Record, queue: Seen) -> bool:
    """The comment that had its token may have been overwritten; the accounting has the words with which it was submitted."""
    rows = _listed(record, queue)
    return bool(rows) and all(task.token is None for task in rows)


async def _accounted_as_ours(
    site: Site, agent: str, records: Collection[Record], queue: Seen
) -> Mapping[str, bool | Unavailable]:
    if not site.keeps_accounting:
        return {}
    accounting = await site.gateway.account(agent, [record.job_id for record in records if record.job_id])
    if isinstance(accounting, Unavailable):
        return dict.fromkeys((record.token for record in records), accounting)
    return {
        record.token: accounting.unanswered.get(record.job_id or "") or _is_the_same(record, queue, accounting)
        for record in records
    }


def _is_the_same(record: Record, queue: Seen, accounting: Seen) -> bool:
    """Whether ours, alive by the accounting, is what the queue shows: what slurmctld forgot stays alive there for ever."""
    submitted = {task.submit_time for task in _listed(record, queue)}
    return any(live(task) and task.submit_time in submitted for task in rows_of(record, accounting))


def _listed(record: Record, seen: Seen) -> tuple[Task, ...]:
    return seen.tasks.get(record.job_id or "", ())
