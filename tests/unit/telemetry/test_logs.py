import asyncio
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import kopf
import pytest

from slurmgate.telemetry import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in logs._QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_says_when_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    logging.getLogger("slurmgate.engine").info("Slurm has job %s", 7, extra={"job": 7})
    logging.getLogger("slurmgate.engine").debug("too fine")
    (line,) = lines(capsys)
    time = str(line.pop("time"))
    assert time.endswith("Z")
    assert len(time) == len("2026-01-01T00:00:00.000Z")
    assert line == {"level": "info", "logger": "slurmgate.engine", "message": "Slurm has job 7", "job": 7}


def test_everything_inside_a_scope_carries_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    log = logging.getLogger("slurmgate")
    with logs.bind(cluster="c"):
        with logs.bind(submission="team/run", token="uid-1"):
            log.info("inner")
        log.info("outer")
    log.info("outside")
    scopes = [{name: line[name] for name in line if name in {"submission", "cluster", "token"}} for line in lines(capsys)]
    assert scopes == [{"cluster": "c", "submission": "team/run", "token": "uid-1"}, {"cluster": "c"}, {}]


async def test_tasks_keep_their_scopes_apart(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")

    async def work(token: str) -> None:
        with logs.bind(token=token):
            await asyncio.sleep(0)
            logging.getLogger("slurmgate").info(token)

    await asyncio.gather(*(work(str(number)) for number in range(10)))
    assert all(line["token"] == line["message"] for line in lines(capsys))


def test_a_scope_ends_with_an_error() -> None:
    with pytest.raises(ValueError, match="x"), logs.bind(token="t"):
        raise ValueError("x")
    assert logs._scope.get() == {}


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    try:
        int("bad")
    except ValueError:
        logging.getLogger("slurmgate").exception("failed")
    (line,) = lines(capsys)
    assert "ValueError: invalid literal" in str(line["exception"])


def test_kopf_says_which_object_and_not_much(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    reference = {"k8s_ref": {"namespace": "team", "name": "run", "uid": "u"}, "settings": settings}
    logging.getLogger("kopf.objects").info("Handler succeeded", extra=reference)
    logging.getLogger("kopf.objects").warning("Odd", extra=reference)
    logging.getLogger("aiohttp.access").info("GET /healthz")
    (line,) = lines(capsys)
    assert line["object"] == "team/run"
    assert "settings" not in line


def test_debug_does_not_wake_the_quiet_ones(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "DEBUG")
    logging.getLogger("kopf.objects").debug("a whole body")
    assert lines(capsys) == []


def test_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1)
    (line,) = lines(capsys)
    assert line["logger"] == "py.warnings"


def test_people_get_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console", "INFO")
    with logs.bind(submission="team/run", cluster="c"):
        logging.getLogger("slurmgate.engine").warning("no answer")
    line = capsys.readouterr().err
    assert line.endswith(" WARNING slurmgate.engine: no answer submission=team/run cluster=c\n")


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_people_wrote_is_neither_a_line_nor_a_command_to_the_terminal(
    capsys: pytest.CaptureFixture[str], form: Literal["console", "json"]
) -> None:
    logs.configure(form, "INFO")
    with logs.bind(submission="team/run\x1b[2J"):
        logging.getLogger("slurmgate").warning("refused: %s", "a\n12:00:00 INFO slurmgate: all is well\x9b2J\u2028b")
    line = capsys.readouterr().err
    assert line.count("\n") == len(line.splitlines()) == 1
    assert not {"\x1b", "\x9b"} & set(line)


def test_an_uncaught_exception_is_one_json_line() -> None:
    program = "from slurmgate.telemetry import logs; logs.configure('json', 'INFO'); raise ValueError('bad')"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert ended.returncode == 1
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert (line["level"], line["message"]) == ("critical", "uncaught: bad")
    assert "ValueError: bad" in line["exception"]
