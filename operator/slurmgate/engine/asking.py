"""A look at the queue, by whoever of those who may ask can log in."""

from slurmgate.core.askers import Question
from slurmgate.core.health import LOGIN_REASONS
from slurmgate.core.outcomes import Observation, Unavailable
from slurmgate.engine.site import Site


async def look(site: Site, question: Question) -> tuple[str, Observation]:
    """Who asked in the end, and what the queue said. The next one asks only where the one before could not log in at all."""
    *earlier, last = question.askers
    for asker in earlier:
        answer = await _ask(site, asker, question)
        if not (isinstance(answer, Unavailable) and answer.reason in LOGIN_REASONS):
            return asker, answer
    return last, await _ask(site, last, question)


async def _ask(site: Site, asker: str, question: Question) -> Observation:
    answer = await site.gateway.observe(asker, question.users)
    site.note(asker, answer)
    return answer
