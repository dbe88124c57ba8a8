"""What becomes of samples: data, a table, a plot, and a comparison."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from benchmarks.measuring import table
from benchmarks.measuring.__main__ import app, changes
from benchmarks.measuring.goals import Goal
from benchmarks.measuring.plot import Panel, chart
from benchmarks.measuring.publishing import image, publish
from benchmarks.measuring.samples import Run, Sample

BURST = "1000 submissions at once, 20 users"
HALF = Goal("half of his", "1000 submissions .*", "jobs/s", least=0.5, beside="asyncssh")
RUN = Run(
    "load",
    {"machine": "2 cores", "Slurmgate": "abc"},
    [
        Sample(BURST, "asyncssh, 8 sessions", {"jobs/s": 200}),
        Sample(BURST, "Slurmgate", {"jobs/s": 150, "API writes": 0}),
        Sample(BURST, "Slurmgate", {"jobs/s": 170, "API writes": 0}),
        Sample("start to ready", "Slurmgate", {"ready s": 1.5}),
    ],
)


def test_a_page_has_its_data_and_a_plot_of_each_measure_with_a_goal_beside_it(tmp_path: Path) -> None:
    publish(RUN, lambda run: image(run, BURST, [HALF]), [HALF], to=tmp_path / "new" / "page.md")
    assert Run.load(tmp_path / "new" / "page.json") == RUN
    plot = "load/1000-submissions-at-once-20-users.svg"
    assert (tmp_path / "new" / "page.md").read_text() == f"![{BURST}]({plot})"
    assert [str(file.relative_to(tmp_path / "new")) for file in tmp_path.glob("new/*/*")] == [plot]


def test_a_table_has_medians_with_the_least_and_the_most() -> None:
    assert list(table.figures(RUN, BURST))[2:] == ["| jobs/s | 200 | 160 (150 to 170) |", "| API writes |  | 0 |"]


@pytest.mark.parametrize(("least", "met"), [(0.8, True), (0.81, False)])
def test_a_goal_beside_somebody_is_a_share_of_his(least: float, met: bool) -> None:
    goal, of = replace(HALF, least=least), RUN.medians(BURST)
    value = goal.value(of, "Slurmgate")
    assert value == 0.8
    assert (goal.met(value), goal.line(of)) == (met, 200 * least)


def test_a_goal_for_what_was_not_measured_is_neither_met_nor_missed() -> None:
    alone = Run("load", {}, RUN.samples[1:]).medians(BURST)
    assert (HALF.value(alone, "Slurmgate"), HALF.line(alone)) == (None, None)
    assert not HALF.concerns("start to ready")


def test_a_plot_says_who_how_much_of_what_and_what_the_goal_is_and_is_the_same_each_time() -> None:
    panel = Panel("jobs/s", {"a < b": [1234.5], "Slurmgate": [1, 2, 3]}, goal=2.5)
    drawn = chart("1,000 & more", [panel, Panel("nothing", {"all": [0]})])
    assert drawn == chart("1,000 & more", [panel, Panel("nothing", {"all": [0]})])
    root = ET.fromstring(drawn)
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [
        word for word in ("1,000 & more", "jobs/s", "a < b", "1,234", "Slurmgate", "2", "goal 2.5") if word not in words
    ] == []
    width = float(root.attrib["width"])
    assert all(0 <= float(each.attrib["x"]) <= width for each in root.iter() if "x" in each.attrib)


def test_a_later_run_is_compared_figure_by_figure() -> None:
    later = [replace(sample, figures={name: 2 * value for name, value in sample.figures.items()}) for sample in RUN.samples[:3]]
    told = list(changes(RUN, Run("load", {"machine": "2 cores", "Slurmgate": "def"}, later)))
    assert told[:2] == ["machine: 2 cores", "Slurmgate: abc → def"]
    assert told[5:] == [
        f"| {BURST} | asyncssh, 8 sessions | jobs/s | 200 | 400 | 2.00 |",
        f"| {BURST} | Slurmgate | jobs/s | 160 | 320 | 2.00 |",
        f"| {BURST} | Slurmgate | API writes | 0 | 0 |  |",
    ]


def test_two_files_are_compared_by_a_command(tmp_path: Path) -> None:
    RUN.save(tmp_path / "old.json")
    told = CliRunner().invoke(app, [str(tmp_path / "old.json"), str(tmp_path / "old.json")])
    assert told.exit_code == 0, told.output
    assert "| start to ready | Slurmgate | ready s | 1.5 | 1.5 | 1.00 |" in told.output
