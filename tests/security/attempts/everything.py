"""All attempts, by theme."""

from tests.security.attempt import Attempt
from tests.security.attempts import environment, files, jobs, login_nodes, mapping, options, spoofed, text, whose_owner

THEMES = (whose_owner, spoofed, options, text, environment, files, jobs, mapping, login_nodes)
ATTEMPTS: tuple[Attempt, ...] = tuple(attempt for theme in THEMES for attempt in theme.ATTEMPTS)
