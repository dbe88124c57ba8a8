"""Reading what programs on login nodes answer, whatever start files print around it."""

import tracemalloc

import pytest

from slurmgate.slurm import remote
from slurmgate.slurm.remote import Answer

MIB = 1024 * 1024
BEGIN, END = b"\nSLURMGATE-BEGIN\n", b"SLURMGATE-END\n"
ANSWER = BEGIN + b"7|m|RUNNING\n\n8|m|PENDING\nSLURMGATE-STATUS=1\nSLURMGATE-STATUS=0\n" + END


def rows(answer: Answer | None) -> list[str]:
    assert answer is not None
    assert answer.get(remote.STATUS) == "0"
    return list(answer.rows("|m|"))


NOISE = [b"", b"Welcome!\n", b"\xff\r\n", b"no line end", END, b"SLURMGATE-BEGIN", b"SLURMGATE-STATUS=2\n"]


@pytest.mark.parametrize("noise", NOISE)
def test_what_is_printed_around_an_answer_is_no_part_of_it(noise: bytes) -> None:
    assert rows(remote.answer(noise + ANSWER)) == ["7|m|RUNNING", "8|m|PENDING"]
    if noise != END:
        assert rows(remote.answer(ANSWER + noise)) == ["7|m|RUNNING", "8|m|PENDING"]


def test_text_of_people_neither_begins_nor_ends_an_answer() -> None:
    text = BEGIN + END + b"SLURMGATE-STATUS=2\n\xff|m|\r"
    assert rows(remote.answer(BEGIN + b"6|m|\n7\n" + text + ANSWER)) == ["6|m|", "\ufffd|m|\r", "7|m|RUNNING", "8|m|PENDING"]


@pytest.mark.parametrize("stdout", [b"", b"noise", ANSWER[: -len(END)], ANSWER[:-1], END, END + BEGIN])
def test_without_its_end_it_is_no_answer(stdout: bytes) -> None:
    assert remote.answer(stdout) is None


def test_nothing_is_an_answer_too() -> None:
    answer = remote.answer(BEGIN + END)
    assert answer is not None
    assert list(answer.rows("|m|")) == list(answer.all("x")) == []
    assert answer.get("x") == ""


@pytest.mark.parametrize("line", [b"\n", b"abc\n", b"x=\n", b"x" * 99 + b"\n"])
@pytest.mark.parametrize("place", ["before", "inside", "after"])
def test_reading_takes_little_more_room_than_what_is_read(line: bytes, place: str) -> None:
    flood = line * (4 * MIB // len(line))
    match place:
        case "before":
            stdout = flood + ANSWER
        case "inside":
            stdout = BEGIN + flood + ANSWER
        case _:
            stdout = ANSWER + flood
    tracemalloc.start()
    answer = remote.answer(stdout)
    assert answer is not None
    assert answer.get(remote.STATUS) == "0"
    assert list(answer.rows("|m|")) == ["7|m|RUNNING", "8|m|PENDING"]
    assert not any(answer.all("x"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * len(stdout)
