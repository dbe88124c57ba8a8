"""What the API's log says, and what is made of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.jobbergate.counting import PENDING, SCRIPT, SUBMITTED, UPDATE, Call, Tail, calls, kinds, span, work
from benchmarks.measuring.processes import Program

LOG = """\
2026-12-01 00:25:34.012 | WARNING  | jobbergate_api.security:extract_organization:103 - Invalid organization payload: None
100.000 127.0.0.1:1 - "GET /jobbergate/job-submissions/agent/pending?page=1&size=100 HTTP/1.1" 200 OK
103.000 127.0.0.1:1 - "GET /jobbergate/job-submissions/agent/pending?page=1&size=100 HTTP/1.1" 200 OK
103.125 127.0.0.1:1 - "GET /jobbergate/job-submissions/agent/pending?page=2&size=100 HTTP/1.1" 200 OK
103.250 127.0.0.1:1 - "GET /jobbergate/job-scripts/7/upload/a%2Fb%20c.sh HTTP/1.1" 200 OK
103.500 127.0.0.1:1 - "PUT /jobbergate/job-submissions/agent/12 HTTP/1.1" 202 Accepted
104.500 127.0.0.1:1 - "POST /jobbergate/job-submissions/agent/submitted HTTP/1.1" 202 Accepted
106.000 127.0.0.1:1 - "GET /jobbergate/job-submissions/agent/pending?page=1&size=100 HTTP/1.1" 200 OK
"""


@pytest.fixture
def made() -> list[Call]:
    return calls(LOG.splitlines())


def test_calls_are_told_apart_by_what_they_are_for(made: list[Call]) -> None:
    assert kinds(made) == {PENDING: 4, SCRIPT: 1, UPDATE: 1, SUBMITTED: 1}
    assert [call.first_page for call in made if call.kind == PENDING] == [True, True, False, True]
    assert (made[0].at, made[-2].status) == (100.0, 202)


def test_the_work_begins_with_the_look_that_led_to_it_and_ends_with_the_last_deed(made: list[Call]) -> None:
    submitting = work(made, SUBMITTED, after=PENDING)
    assert (span(submitting), kinds(submitting)[PENDING]) == (1.5, 2)


def test_work_that_no_look_led_to_begins_with_the_first_deed(made: list[Call]) -> None:
    assert kinds(work(made, UPDATE)) == {UPDATE: 1}


def test_a_log_is_read_from_the_moment_on_at_which_it_was_opened(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert Tail.of(log).lines() == []
    log.write_text("before\n")
    tail = Tail.of(log)
    with log.open("a") as more:
        more.write("after\n")
    assert tail.lines() == ["after"]


def test_cpu_time_is_that_of_children_too_dead_or_alive() -> None:
    burn = "import time\nwhile time.process_time() < 0.35: pass\n"  # the kernel counts in hundredths, and rounds
    dead_and_alive = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
    dead_and_alive += f"subprocess.Popen([sys.executable, '-c', {burn!r} + 'print(1, flush=True); time.sleep(60)']).wait()"
    with subprocess.Popen([sys.executable, "-c", dead_and_alive], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = Program(process.pid).cpu_seconds()
        os.killpg(process.pid, 9)
    assert 0.6 <= used < 3
    assert Program(process.pid).cpu_seconds() == 0
