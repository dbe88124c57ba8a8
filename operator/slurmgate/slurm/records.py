"""Rows of squeue and sacct, read into tasks. Nothing here raises: a row that makes no sense is left out and counted.

Times are asked for as seconds since 1970 (SLURM_TIME_FORMAT=%s): in their usual form both programs print the login node's
local time without its zone. Comments and submit lines are text that people choose, also line ends and what looks like a row of
somebody else's job. So a `mark` that nobody can guess stands in every row: after the job's id in squeue's, between all cells in
sacct's.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from slurmgate.core.outcomes import Partition, Task
from slurmgate.core.states import Kind, state
from slurmgate.slurm.gateway import Workplace
from slurmgate.slurm.options import COMMENT_PREFIX

_QUEUE_FIELDS = (
    "State",
    "Reason",
    "UserName",
    "Partition",
    "NodeList",
    "SubmitTime",
    "StartTime",
    "EndTime",
    "RestartCnt",
)
_COMMENT_WIDTH = len(COMMENT_PREFIX) + 36

_ACCOUNT_FIELDS = (
    "JobID",
    "State",
    "ExitCode",
    "DerivedExitCode",
    "Submit",
    "Start",
    "End",
    "ElapsedRaw",
    "TotalCPU",
    "MaxRSS",
    "User",
    "Partition",
    "NodeList",
    "Reason",
    "WorkDir",
    "SubmitLine",
    "Comment",
)
ACCOUNT_FORMAT = ",".join(_ACCOUNT_FIELDS)
_TEXT_OF_PEOPLE = {"WorkDir", "SubmitLine", "Comment"}
ARRAY_FORMAT = ",".join(field for field in _ACCOUNT_FIELDS if field not in {"MaxRSS", "Reason", *_TEXT_OF_PEOPLE})
"""A hundred bytes for each task of a large array, none of them of anybody's choice."""
SUBMIT_LINES_FORMAT = "User,Submit,SubmitLine,Comment"

CUT_OFF = 128
"""sacct (up to 25.11) takes this off an exit code that is as large or larger."""

MOST_PARTITIONS = 500
MOST_WORD = 256
"""Characters of what is shown in a SlurmCluster's status."""

OUT_OF_MEMORY = "OUT_OF_MEMORY"
Key = tuple[str, str | None]
"""Job id and index."""
Identity = tuple[str | None, str | datetime | None]

_ID = re.compile(r"([0-9]{1,10})(?:_\[?([0-9]{1,7}|[0-9]{1,7}[,:-][0-9,:-]*)(?:%[0-9]+)?\]?|(\+[0-9]{1,7}))?")
_EXIT = re.compile(
    r"(?P<token>[0-9A-Za-z-]+) (?P<index>job|[0-9]{1,7}) (?P<code>[0-9]{1,3}) (?P<signal>[0-9]{1,2}) "
    r"(?P<start>[0-9]{1,11}) (?P<end>[0-9]{1,11})"
)
_TOKEN = re.compile(rf"{COMMENT_PREFIX}([0-9A-Za-z-]+)")
_NOT_ENDED = frozenset(
    {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
    | {"RUNNING", "CONFIGURING", "SUSPENDED", "RESIZING", "SIGNALING", "STOPPED", "COMPLETING"}
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


@dataclass(frozen=True, slots=True)
class Rows:
    """What was understood, by job id, and how many rows were not."""

    tasks: dict[str, tuple[Task, ...]]
    skipped: int = 0


def queue_format(mark: str) -> str:
    """For `squeue --Format`. A width of 0 is no limit (src/squeue/print.c, _print_str); of the comment a token is enough."""
    fields = (f"{field}:0|" for field in _QUEUE_FIELDS)
    return ",".join([f"JobArrayID:0|{mark}|", *fields, f"WorkDir:0|{mark}|", f"Comment:{_COMMENT_WIDTH}"])


def exit_code_format(mark: str) -> str:
    """For `squeue --Format`: exit codes alone."""
    return f"JobArrayID:0|{mark}|,exit_code:0"


def workplace_format(mark: str) -> str:
    """For `squeue --Format`: working directories and tokens alone."""
    return f"JobArrayID:0|{mark}|,State:0|{mark}|,WorkDir:0|{mark}|,Comment:{_COMMENT_WIDTH}"


def workplaces(lines: Iterable[str], *, mark: str) -> tuple[Workplace, ...]:
    """One for each job, from rows of `squeue --Format=workplace_format(mark)`. A job without a token has none."""
    places: dict[str, Workplace] = {}
    for line in lines:
        job, *cells = line.split(f"|{mark}|")
        match = _ID.fullmatch(job)
        if match and len(cells) == 3 and (token := _token(cells[2])):  # noqa: PLR2004 - as many as were asked for
            before = places.get(match[1])
            alive = state(cells[0].strip()).kind is not Kind.ENDED
            places[match[1]] = Workplace(match[1], token, cells[1].strip(), over=not alive and (before is None or before.over))
    return tuple(places.values())


def queue(lines: Iterable[str], *, mark: str, users: Collection[str] | None = None) -> Rows:
    """Rows of `squeue --Format=queue_format(mark)`, of these users only."""
    rows = [_queue_row(line, mark) for line in lines]
    tasks = [row for row in rows if row is not None]
    wanted = (task for task in tasks if users is None or task.user in users)
    return Rows(_by_job(wanted), len(rows) - len(tasks))


def account(lines: Iterable[str], *, mark: str, layout: str = ACCOUNT_FORMAT) -> Rows:
    """Rows of `sacct --parsable2 --duplicates --delimiter=mark --format=layout`, jobs and their steps.

    A requeued job has several records: the last one counts, and tells how many there were before it. Another job that was given
    the same id, because slurmctld began to count anew, has records of its own.
    """
    tasks: dict[tuple[Key, Identity], Task] = {}
    latest: dict[Key, tuple[Key, Identity]] = {}
    wrapped: set[Key] = set()
    skipped = 0
    fields, unasked = layout.split(","), dict.fromkeys(_ACCOUNT_FIELDS, "")
    for line in lines:
        cells = line.split(mark)
        job, _, step = cells[0].partition(".")
        match = _ID.fullmatch(job)
        if match is None or len(cells) != len(fields):
            skipped += 1
            continue
        row = unasked | dict(zip(fields, cells, strict=True))
        key = match[1], match[2] or match[3]
        if not step:
            task = _account_row(key, row)
            place = key, _identity(task)
            tasks[place] = _restarted(tasks.get(place), task)
            latest.pop(key, None)
            if not half_known(task):  # of whose steps it is the same
                latest[key] = place
            if row["SubmitLine"].endswith("/batch"):
                wrapped.add(key)
        elif key in latest:
            tasks[latest[key]] = _with_step(tasks[latest[key]], row, is_script=step == "0" and key in wrapped)
    return Rows(_by_job(tasks.values()), skipped)


def _identity(task: Task) -> Identity:
    """What two records must share to be of one job; one without a token may be anybody's who submitted just then."""
    return task.user, task.token or task.submit_time


def _restarted(before: Task | None, task: Task) -> Task:
    return task if before is None else replace(task, restarts=(before.restarts or 0) + 1 + (task.restarts or 0))


def examples(tasks: Iterable[Task]) -> list[str]:
    """Tasks of an array, as `sacct --jobs` takes them: one for each time that some of them were submitted at."""
    found = {_identity(task): f"{task.job_id}_{task.index}" for task in tasks if task.index and task.index.isdigit()}
    return list(dict.fromkeys(found.values()))


def tokens(lines: Iterable[str], *, mark: str) -> dict[Identity, str]:
    """By user and submit time, from rows of `sacct --parsable2 --duplicates --delimiter=mark --format=SUBMIT_LINES_FORMAT`."""
    found: dict[Identity, str] = {}
    for line in lines:
        cells = line.split(mark)
        if len(cells) == 4 and (token := _token(cells[2]) or _token(cells[3])):  # noqa: PLR2004 - as many as were asked for
            found[cells[0] or None, time(cells[1])] = token
    return found


def with_tokens(tasks: Iterable[Task], told: Mapping[Identity, str]) -> tuple[Task, ...]:
    """The tasks of one array with their tokens: what one user submitted at one time under one job id is one submission.

    Slurm takes a requeued task for submitted anew, so it is only now that its records are known to be of one task.
    """
    found: dict[tuple[Key, Identity], Task] = {}
    for row in tasks:
        task = replace(row, token=told.get((row.user, row.submit_time)))
        place = (task.job_id, task.index), _identity(task)
        found[place] = _restarted(found.get(place), task)
    return tuple(found.values())


def _with_step(task: Task, row: dict[str, str], *, is_script: bool) -> Task:
    memory = size(row["MaxRSS"])
    if memory is not None:
        task = replace(task, max_rss_bytes=max(memory, task.max_rss_bytes or 0))
    if is_script and row["State"].startswith(OUT_OF_MEMORY) and task.state == "FAILED":
        # Plain sbatch makes it the state of the job; with srun in between Slurm says so of the step alone.
        code, signal = exit_code(row["ExitCode"])
        task = replace(task, state=OUT_OF_MEMORY, exit_code=code, signal=signal)
    return task


def _by_job(tasks: Iterable[Task]) -> dict[str, tuple[Task, ...]]:
    jobs: dict[str, list[Task]] = {}
    for task in tasks:
        jobs.setdefault(task.job_id, []).append(task)
    return {job: tuple(rows) for job, rows in jobs.items()}


def _queue_row(line: str, mark: str) -> Task | None:
    job, *parts = line.split(f"|{mark}|")
    cells = parts[0].split("|", len(_QUEUE_FIELDS)) if parts else []
    match = _ID.fullmatch(job)
    if match is None or len(parts) != 2 or len(cells) != len(_QUEUE_FIELDS) + 1:  # noqa: PLR2004 - as many as were asked for
        return None
    row = dict(zip(_QUEUE_FIELDS, cells, strict=False))
    state, nodes = _state(row["State"]), row["NodeList"] or None
    return Task(
        job_id=match[1],
        index=match[2] or match[3],
        state=state,
        reason=row["Reason"] or None,
        user=row["UserName"] or None,
        token=_token(parts[1]),
        directory=cells[-1] or None,
        submit_time=time(row["SubmitTime"]),
        start_time=time(row["StartTime"]) if nodes else None,
        expected_start=time(row["StartTime"]) if state == "PENDING" else None,
        end_time=None if state in _NOT_ENDED else time(row["EndTime"]),
        partition=row["Partition"] or None,
        nodes=nodes,
        restarts=_number(row["RestartCnt"]),
    )


def _account_row(key: Key, row: dict[str, str]) -> Task:
    state = _state(row["State"])
    nodes = None if row["NodeList"] in {"", "None assigned"} else row["NodeList"]
    code, signal = exit_code(row["ExitCode"])
    derived, _ = exit_code(row["DerivedExitCode"])
    if code is not None and derived == code + CUT_OFF:
        code = derived  # which is the highest code of its steps, and not cut
    task = Task(
        job_id=key[0],
        index=key[1],
        state=state,
        reason=row["Reason"] or None,
        exit_code=code,
        signal=signal or None,
        user=row["User"] or None,
        token=_token(row["SubmitLine"]) or _token(row["Comment"]),
        directory=row["WorkDir"] or None,
        submit_time=time(row["Submit"]),
        start_time=time(row["Start"]) if nodes else None,
        end_time=time(row["End"]),
        partition=row["Partition"] or None,
        nodes=nodes,
        restarts=0,
        elapsed_seconds=_number(row["ElapsedRaw"]),
        cpu_seconds=duration(row["TotalCPU"]),
    )
    return replace(task, exit_code=None, signal=None, elapsed_seconds=None, cpu_seconds=None) if half_known(task) else task


def half_known(task: Task) -> bool:
    """Whether slurmdbd knows that it has ended, but not when and how: not yet, or, if it was killed just then, for ever."""
    return task.state not in _NOT_ENDED and task.end_time is None


def exits(lines: Iterable[str], *, job_ids: Mapping[str, str]) -> Rows:
    """Exit records as remote/exits.sh lists them; `job_ids` by token: users write there what they like, but of their own jobs.

    What ended the batch script is all that they know: not whether it ran out of time or memory, or who cancelled it.
    """
    matches = [_EXIT.fullmatch(line) for line in lines]
    tasks = [_exit(match, job_ids[match["token"]]) for match in matches if match and match["token"] in job_ids]
    return Rows(_by_job(tasks), len(matches) - len(tasks))


def _exit(match: re.Match[str], job_id: str) -> Task:
    code, signal = int(match["code"]), int(match["signal"])
    start, end = time(match["start"]), time(match["end"])
    return Task(
        job_id=job_id,
        index=None if match["index"] == "job" else match["index"],
        state="FAILED" if code else "COMPLETED",
        exit_code=0 if signal else code,
        signal=signal or None,
        token=match["token"],
        start_time=start,
        end_time=end,
        elapsed_seconds=int((end - start).total_seconds()) if start and end else None,
    )


def exit_codes(lines: Iterable[str], *, mark: str) -> dict[Key, int]:
    """Exit codes in full, from rows of `squeue --Format=exit_code_format(mark)`."""
    codes: dict[Key, int] = {}
    for line in lines:
        job, _, cell = line.partition(f"|{mark}|")
        match = _ID.fullmatch(job)
        code, signal = exit_code(cell.strip())
        if match is not None and code is not None and not signal:
            codes[match[1], match[2] or match[3]] = code
    return codes


def with_full_exit_code(task: Task, codes: dict[Key, int]) -> Task:
    """The task with its exit code from squeue, if sacct cut it."""
    code = codes.get((task.job_id, task.index))
    return replace(task, exit_code=code) if code is not None and code - CUT_OFF == task.exit_code else task


def exit_code(text: str) -> tuple[int | None, int | None]:
    """Exit code and signal, from `3:0`, or from a wait status as squeue of 22.05 prints it."""
    status = _number(text)
    if status is not None:
        return (status >> 8 & 0xFF, status & 0x7F)
    match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", text)
    return (int(match[1]), int(match[2])) if match else (None, None)


def _state(text: str) -> str:
    return text.split(" ", 1)[0].rstrip("+") or "UNKNOWN"


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _token(text: str) -> str | None:
    match = _TOKEN.search(text)
    return match[1] if match else None


@lru_cache(maxsize=10_000)  # the tasks of an array have many times in common
def time(text: str) -> datetime | None:
    """Seconds since 1970 as a time; None for `Unknown`, `N/A` and the like."""
    return datetime.fromtimestamp(int(text), UTC) if re.fullmatch(r"[1-9][0-9]{0,10}", text) else None


def duration(text: str) -> float | None:
    """Seconds, from `[days-[hours:]]minutes:seconds[.fraction]`."""
    match = re.fullmatch(r"(?:(?:([0-9]{1,9})-)?([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9}(?:\.[0-9]{1,9})?)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = match.groups(default="0")
    return (int(days) * 24 + int(hours)) * 3600 + int(minutes) * 60 + float(seconds)


def size(text: str) -> int | None:
    """Bytes, from `1234K`."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([KMGTP]?)", text)
    return int(float(match[1]) * _UNITS[match[2]]) if match else None


def partitions(lines: Iterable[str]) -> tuple[Partition, ...]:
    """Partitions, from rows of `sinfo -e -o '%R|%a|%D|%c|%G'`: one row for each kind of node.

    As many as a status has room for: it is somebody's login that answers.
    """
    found: dict[str, Partition] = {}
    for line in lines:
        name, *cells = line.split("|")
        if len(cells) != 4:  # noqa: PLR2004 - as many as were asked for
            continue
        state, nodes, cpus, gres = cells[0], _number(cells[1]), _number(cells[2]), cells[3]
        if nodes is None or cpus is None or max(len(name), len(state)) > MOST_WORD:
            continue
        if len(found) >= MOST_PARTITIONS and name not in found:
            continue
        gpus = sum(int(count) for count in re.findall(r"\bgpu(?::[^,:(]+)?:([0-9]{1,9})", gres))
        old = found.get(name, Partition(name, state, 0, 0, 0))
        found[name] = Partition(name, state, old.nodes + nodes, old.cpus + nodes * cpus, old.gpus + nodes * gpus)
    return tuple(found.values())
