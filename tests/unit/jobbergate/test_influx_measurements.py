import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.jobbergate.influx import Series
from slurmgate.jobbergate.measurements import MOST_ROWS, Row, Span, Task, packed, parts, rows, rows_query, spans, spans_query

NAMES = [
    *("CPUFrequency", "CPUTime", "CPUUtilization", "GPUMemMB", "GPUUtilization"),
    *("Pages", "RSS", "ReadMB", "VMSize", "WriteMB"),
]
BATCH = {"job": "42", "host": "node1", "step": "-5", "task": "0"}


def series(name: str, *values: tuple[int, object], **tags: str) -> Series:
    return Series(name=name, tags=BATCH | tags, values=values)


def test_a_row_has_what_was_measured_in_one_second_in_the_order_of_the_api() -> None:
    answer = [series(name, (1000, column + 0.5)) for column, name in reversed(list(enumerate(NAMES)))]
    (row,) = rows(answer)[42]
    assert row == Row(1000, Task("node1", -5, 0), tuple(column + 0.5 for column in range(10)))
    assert msgpack.unpackb(packed([row])) == [[1000, "node1", -5, 0, 0.5, 1.5, 2.5, 3, 4.5, 5, 6, 7, 8, 9]]


def test_what_slurm_did_not_measure_is_zero() -> None:
    (row,) = rows([series("CPUTime", (1000, 1.5))])[42]
    assert row.values == (0, 1.5, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("nothing", [17592186044415, 18446744073709551615, 1.8446744073709552e19, None, "many", True])
def test_what_is_no_value_is_zero(nothing: object) -> None:
    (row,) = rows([series("CPUTime", (1000, 1)), series("GPUMemMB", (1000, nothing))])[42]
    assert row.values[3] == 0


@pytest.mark.parametrize(("written", "step"), [("0", 0), ("-5", -5), ("4294967291", -5), ("4294967292", -4)])
def test_steps_without_a_number_are_negative_whatever_version_wrote_them(written: str, step: int) -> None:
    (row,) = rows([series("CPUTime", (1000, 1), step=written)])[42]
    assert row.task.step == step


@pytest.mark.parametrize("tags", [{"task": "Filesystem"}, {"step": "batch"}, {"task": "4294967296"}, {"host": ""}, {"job": ""}])
def test_what_belongs_to_no_task_is_left_out(tags: dict[str, str]) -> None:
    foreign = series("CPUTime", (1000, 1), **tags)
    assert rows([foreign]) == spans([foreign]) == {}


def test_other_measurements_are_left_out() -> None:
    assert rows([series("Power", (1000, 300))]) == {}


def test_a_second_that_is_there_in_part_waits_for_the_rest() -> None:
    answer = [series("CPUTime", (1000, 1)), series("RSS", (1000, 7), (1001, 8))]
    assert [row.time for row in rows(answer)[42]] == [1000]


def test_each_job_has_its_own_rows() -> None:
    answer = [series("CPUTime", (1000, 1)), series("CPUTime", (1000, 2), job="43")]
    assert {job: [row.values[1] for row in found] for job, found in rows(answer).items()} == {42: [1], 43: [2]}


def test_a_span_is_from_the_first_to_the_last() -> None:
    answer = [series("CPUTime", (1000, 1)), series("CPUTime", (1000, 1), step="0"), series("CPUTime", (1060, 2))]
    assert spans(answer) == {42: {Task("node1", -5, 0): Span(1000, 1060), Task("node1", 0, 0): Span(1000, 1000)}}


def test_two_statements_ask_for_the_spans_of_many_jobs() -> None:
    assert spans_query({43, 42}) == [
        "SELECT first(value) FROM CPUTime WHERE job = '42' OR job = '43' GROUP BY job, host, step, task",
        "SELECT last(value) FROM CPUTime WHERE job = '42' OR job = '43' GROUP BY job, host, step, task",
    ]


def test_one_statement_asks_for_the_rows_of_a_job() -> None:
    assert rows_query(42, after=1000, limit=10) == (
        "SELECT value FROM CPUFrequency, CPUTime, CPUUtilization, GPUMemMB, GPUUtilization, Pages, RSS, ReadMB, VMSize, "
        "WriteMB WHERE job = '42' AND time > 1000s GROUP BY job, host, step, task LIMIT 10"
    )


tags = st.fixed_dictionaries(
    {
        "job": st.sampled_from(["1", "2", "x", ""]),
        "host": st.sampled_from(["node1", "node2", ""]),
        "step": st.integers(-(2**33), 2**33).map(str) | st.sampled_from(["0", "-5", "4294967291", "batch"]),
        "task": st.sampled_from(["0", "1", "Filesystem"]),
    }
)
points = st.lists(st.tuples(st.integers(0, 5), st.none() | st.floats() | st.integers() | st.text(max_size=3)), max_size=5)
answers = st.lists(
    st.builds(Series, name=st.sampled_from([*NAMES, "CPUTime", "Power"]), tags=tags, values=points.map(tuple)), max_size=20
)


@given(answers)
def test_rows_are_unique_ordered_and_such_as_the_database_takes(answer: list[Series]) -> None:
    for found in rows(answer).values():
        keys = [(row.time, row.task) for row in found]
        assert keys == sorted(set(keys))
        for time, host, step, task, *values in msgpack.unpackb(packed(found)):
            assert isinstance(time, int)
            assert host
            assert -(2**31) <= step < 2**31
            assert -(2**31) <= task < 2**31
            assert all(abs(value) < 2**63 for value in values)


@given(st.integers(0, 3 * MOST_ROWS))
def test_parts_are_small_enough_and_nothing_is_lost(number: int) -> None:
    found = [Row(time, Task("node1", 0, 0), (0.0,) * 10) for time in range(number)]
    cut = list(parts(found))
    assert [row for part in cut for row in part] == found
    assert all(1 <= len(part) <= MOST_ROWS for part in cut)
