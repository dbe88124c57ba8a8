"""Logs: one line for each event, as JSON for machines or plain for people, on stderr.

`bind` says what is being worked on; every line written inside it carries that, also from tasks started there. Secrets need no
filter here, because they are never put into messages.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal

from typing_extensions import override

_QUIET: Final = {
    "kopf.objects": logging.WARNING,  # one line for each handled event, and whole bodies at DEBUG
    "aiohttp.access": logging.WARNING,
    "asyncssh": logging.WARNING,  # several lines for each connection
}
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_KOPF: Final = frozenset({"k8s_ref", "k8s_skip", "settings"})

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_scope: ContextVar[Mapping[str, str]] = ContextVar("slurmgate_log_scope", default={})  # noqa: B039  # never changed in place


@contextmanager
def bind(*, submission: str | None = None, cluster: str | None = None, token: str | None = None) -> Iterator[None]:
    """Name what is being worked on. Inner values win; what is not given stays as it was outside."""
    given = {"submission": submission, "cluster": cluster, "token": token}
    reset = _scope.set({**_scope.get(), **{name: value for name, value in given.items() if value is not None}})
    try:
        yield
    finally:
        _scope.reset(reset)


def configure(form: Literal["json", "console"], level: str) -> None:
    """Send everything that is logged, warned about or not caught to stderr in this form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level)))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_details(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and what is known beside it, in one line.

    What people and login nodes say can neither begin a line that looks like another event nor command the terminal.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = _time(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        details = "".join(f" {name}={value}" for name, value in _details(record).items())
        text = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}{details}"
        line = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _details(record: logging.LogRecord) -> dict[str, object]:
    """The scope of the line and its `extra`. kopf says in its own way which object it speaks of."""
    details: dict[str, object] = dict(_scope.get())
    if isinstance(reference := getattr(record, "k8s_ref", None), Mapping) and reference.get("name"):
        details["object"] = f"{reference.get('namespace') or ''}/{reference['name']}".lstrip("/")
    return details | {name: value for name, value in vars(record).items() if name not in _STANDARD | _KOPF}


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("slurmgate").critical("uncaught: %s", error, exc_info=(kind, error, trace))
