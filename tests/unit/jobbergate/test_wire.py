import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.jobbergate.errors import NonsenseError
from slurmgate.jobbergate.wire import Malformed, Page, Pending, Row, page, parsed, read, storable

FILE = {"parent_id": 1, "filename": "hello.sh", "file_type": "ENTRYPOINT", "created_at": "2026-11-21T20:53:19.116499Z"}
PENDING: dict[str, Any] = {
    "id": 1,
    "name": "sub",
    "owner_email": "alice@example.com",
    "execution_directory": "/tmp",
    "execution_parameters": {},
    "job_script": {"id": 1, "name": "hello", "owner_email": "alice@example.com", "is_archived": False, "files": [FILE]},
    "sbatch_arguments": ["--partition=debug"],
}
ROW: dict[str, Any] = {
    "id": 4,
    "name": "sub",
    "owner_email": "alice@example.com",
    "created_at": "2026-11-21T21:37:31.836971Z",
    "updated_at": "2026-11-21T21:37:31.836984Z",
    "is_archived": False,
    "description": "",
    "job_script_id": 2,
    "slurm_job_id": None,
    "client_id": "local-slurm",
    "status": "CREATED",
    "slurm_job_state": None,
    "cloned_from_id": None,
}
"""As lists have it."""


def enveloped(*items: object, total: int | None = None, number: int = 1, **more: object) -> dict[str, object]:
    return {"items": list(items), "total": len(items) if total is None else total, "page": number, "size": 100, **more}


def without(item: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in fields}


def test_a_pending_submission_is_read() -> None:
    found = read(Pending, PENDING)
    assert (found.id, found.execution_directory, found.sbatch_arguments) == (1, "/tmp", ("--partition=debug",))
    assert [(file.filename, file.file_type) for file in found.job_script.files] == [("hello.sh", "ENTRYPOINT")]


def test_what_is_null_and_what_is_left_out_is_the_same() -> None:
    fields = ("execution_directory", "sbatch_arguments")
    absent, null = without(PENDING, *fields), PENDING | dict.fromkeys(fields)
    assert read(Pending, absent) == read(Pending, null)


def test_a_script_may_have_no_files_and_a_template() -> None:
    script = PENDING["job_script"] | {"files": None, "parent_template_id": 7}
    found = read(Pending, PENDING | {"job_script": script}).job_script
    assert (found.files, found.parent_template_id) == ((), 7)


def test_a_row_of_a_list_has_empty_what_lists_leave_out() -> None:
    found = read(Row, ROW)
    assert (found.report_message, found.execution_directory, found.sbatch_arguments) == (None, None, ())
    assert found.updated_at == datetime(2026, 11, 21, 21, 37, 31, 836984, tzinfo=UTC)


def test_a_time_without_a_zone_was_utc() -> None:
    assert read(Row, ROW | {"updated_at": "2026-11-21T21:37:31"}).updated_at == datetime(2026, 11, 21, 21, 37, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("COMPLETE", "DONE"),
        ("COMPLETED", "DONE"),
        ("FAILED", "ABORTED"),
        ("UNKNOWN", "ABORTED"),
        *((word, word) for word in ("CREATED", "SUBMITTED", "REJECTED", "DONE", "ABORTED", "CANCELLED", "YET_TO_COME")),
    ],
)
def test_older_words_are_said_in_todays(word: str, status: str) -> None:
    assert read(Row, ROW | {"status": word}).status == status


@pytest.mark.parametrize(
    ("item", "malformed"),
    [
        (PENDING | {"owner_email": None}, Malformed(1, "owner_email: Input should be a valid string")),
        (without(PENDING, "job_script"), Malformed(1, "job_script: Field required")),
        (
            PENDING | {"id": "seven"},
            Malformed(None, "id: Input should be a valid integer, unable to parse string as an integer"),
        ),
        (PENDING | {"sbatch_arguments": ["a", 5]}, Malformed(1, "sbatch_arguments.1: Input should be a valid string")),
        ({}, Malformed(None, "id: Field required; name: Field required; owner_email: Field required; and 1 more")),
        (None, Malformed(None, "it: Input should be a valid dictionary or instance of Pending")),
        ({"id": True}, Malformed(None, "name: Field required; owner_email: Field required; job_script: Field required")),
    ],
)
def test_a_bad_item_is_named_and_the_others_are_read(item: object, malformed: Malformed) -> None:
    found = page(Pending, enveloped(PENDING, item, PENDING | {"id": 2}))
    assert [each.id for each in found.items] == [1, 2]
    assert found.malformed == (malformed,)


@pytest.mark.parametrize("name", ["\ud800", "\0"])
def test_text_that_is_none_spoils_its_own_item_only(name: str) -> None:
    content = json.dumps(enveloped(PENDING | {"name": name}, PENDING))
    found = page(Pending, parsed(content.encode()))
    assert (len(found.items), [each.id for each in found.malformed]) == (1, [1])


@pytest.mark.parametrize(
    ("total", "number", "pages", "last"),
    [(0, 1, 0, True), (1, 1, 1, True), (100, 1, 1, True), (101, 1, 2, False), (101, 2, 2, True)],
)
def test_a_page_knows_whether_it_is_the_last(total: int, number: int, pages: int, *, last: bool) -> None:
    found: Page[Row] = page(Row, enveloped(total=total, number=number))
    assert (found.pages, found.last) == (pages, last)


@pytest.mark.parametrize("answer", [None, [], {}, {"detail": "x"}, enveloped() | {"items": None}, enveloped() | {"size": 0}])
def test_what_is_no_page_is_said_to_be_none(answer: object) -> None:
    with pytest.raises(NonsenseError) as error:
        page(Row, answer)
    assert error.value.retryable


@pytest.mark.parametrize("content", [b"", b"\xff", b"<html>", b"[" * 1_000_000, b"{"])
def test_what_is_no_json_is_nonsense(content: bytes) -> None:
    with pytest.raises(NonsenseError, match="no JSON"):
        parsed(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ROW, *PENDING]), inner, max_size=8),
)


@st.composite
def spoilt(draw: st.DrawFn, item: dict[str, Any]) -> dict[str, Any]:
    """A good item but for a field or two."""
    return item | draw(st.dictionaries(st.sampled_from([*item]), JSON, min_size=1, max_size=2))


@given(st.lists(JSON | spoilt(PENDING) | spoilt(ROW), max_size=5))
def test_whatever_stands_in_a_list_the_good_items_are_read(garbage: list[object]) -> None:
    for model, good in ((Pending, PENDING), (Row, ROW)):
        answer = enveloped(good | {"id": -1}, *garbage, good | {"id": -2})
        found = page(model, parsed(json.dumps(answer).encode()))
        assert {-1, -2} <= {each.id for each in found.items}  # type: ignore[attr-defined]
        assert len(found.items) + len(found.malformed) == len(garbage) + 2
        assert all(len(each.problem) < 1000 for each in found.malformed)


@given(JSON)
def test_what_is_no_page_is_nonsense_and_nothing_worse(answer: object) -> None:
    for value in (answer, enveloped() | {"items": answer}, enveloped() | {"total": answer}):
        with suppress(NonsenseError):
            page(Row, value)


@given(st.text(st.characters(codec=None) | st.characters(categories=["Cs", "Cc"])))
def test_any_text_becomes_one_that_can_be_kept(text: str) -> None:
    kept = storable(text)
    assert "\0" not in kept
    assert kept.encode().decode() == kept
    assert storable(kept) == kept
    if "\0" not in text and text.isprintable():
        assert kept == text
