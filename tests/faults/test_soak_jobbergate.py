"""A small soak with Jobbergate beside everything else: submissions there, and faults of its API and database."""

from dataclasses import replace

import pytest

from tests.faults.soak.course import BRIEF
from tests.faults.soak.faults.table import FAULTS
from tests.faults.soak.kinds import ROWS
from tests.faults.soaked import stays_clean

SEED = 14

pytestmark = pytest.mark.slow


def test_nothing_is_lost_or_sent_twice_or_called_what_it_is_not() -> None:
    stays_clean(SEED, replace(BRIEF, table=FAULTS, rows=ROWS))
