"""What a soak has shown, for people."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.soak.course import Failure, Result
from tests.faults.soak.history import lines_about
from tests.faults.soak.judge import Verdict

_REPORT = "report.txt"


def show(result: Result, console: Console) -> None:
    """The table of faults, the totals, and the history of what went wrong."""
    console.print(_table(result))
    verdicts = Counter(wrong.verdict for failure in result.failures for wrong in failure.wrongs)
    totals = ", ".join(f"{verdict} {verdicts[verdict]}" for verdict in Verdict)
    console.print(
        f"{result.injections} injections, {result.submissions} submissions, {result.seconds:.0f} s, seed {result.seed}"
    )
    console.print(totals)
    for failure in result.failures:
        console.print("\n".join(shrunken(result, failure)), markup=False, highlight=False, soft_wrap=True)


def told(result: Result) -> str:
    """The same as text; everything about it is kept in the folder that it names."""
    folder = keep(result)
    return f"{(folder / _REPORT).read_text()}\nEverything about it is in {folder}"


def _table(result: Result) -> Table:
    injected = Counter(entry.about for entry in result.history.injections)
    fatal = Counter(
        entry.about for entry in result.history.injections if any(entry.overlaps(*failure.life) for failure in result.failures)
    )
    table = Table("fault", "injected", "survived")
    for name, count in sorted(injected.items()):
        table.add_row(name, str(count), str(count - fatal[name]), style="red" if fatal[name] else None)
    return table


def shrunken(result: Result, failure: Failure) -> Iterator[str]:
    """What is wrong with one submission, and only what overlapped its life."""
    errand = failure.errand
    yield ""
    yield f"{errand.name} ({errand.uid}), {errand.kind.name}, {errand.user} on {errand.cluster}"
    yield from (f"  WRONG: {wrong.verdict}: {wrong.words}" for wrong in failure.wrongs)
    yield from (f"  {entry}" for entry in result.history.of_life(errand.name, *failure.life))
    yield from (f"  log: {line}" for line in lines_about(result.log, errand.uid, f"/{errand.name} "))


def keep(result: Result) -> Path:
    """Everything about it, in a folder of its own."""
    folder = Path(tempfile.gettempdir()) / f"slurmgate-soak-{result.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    result.history.store(folder / "history.jsonl")
    (folder / "operator.log").write_text("\n".join(result.log))
    (folder / "slurm.txt").write_text(result.evidence.text)
    with (folder / _REPORT).open("w") as file:
        show(result, Console(file=file, width=160))
    return folder
