"""Whose jobs are they still? A slurmctld that began anew gives ids again, and its commands know jobs by their ids alone."""

from collections.abc import Iterable

from slurmgate.core.following import rows_of
from slurmgate.core.outcomes import Seen, Unavailable
from slurmgate.core.record import Record
from slurmgate.core.tasks import live
from slurmgate.engine.site import Site


async def in_queue(site: Site, user: str, records: Iterable[Record]) -> set[str] | Unavailable:
    """The tokens of those of a user's submissions whose very jobs are in the queue now."""
    queue = await site.gateway.observe(user, [user])
    if isinstance(queue, Unavailable):
        return queue
    listed = [record for record in records if record.job_id in queue.tasks]
    found = {record.token for record in listed if rows_of(record, queue)}
    doubtful = [record for record in listed if record.token not in found and _is_nameless(record, queue)]
    if doubtful and site.keeps_accounting:
        accounting = await site.gateway.account(user, [record.job_id for record in doubtful if record.job_id])
        if isinstance(accounting, Unavailable):
            return accounting
        found |= {record.token for record in doubtful if any(map(live, rows_of(record, accounting)))}
    return found


def _is_nameless(record: Record, queue: Seen) -> bool:
    """The comment that had its token may have been overwritten; the accounting has the words with which it was submitted."""
    return all(task.token is None for task in queue.tasks[record.job_id or ""])
