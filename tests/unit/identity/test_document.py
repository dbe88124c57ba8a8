import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.identity.document import Fields, Foreign, Items, Text, UnreadableDocumentError, read


def test_words_stay_as_written() -> None:
    assert read("a: 007\nb: no\nc: '~'\nd: ~\ne:\n") == Fields(
        (("a", Text("007", 1)), ("b", Text("no", 2)), ("c", Text("~", 3)), ("d", Text("", 4)), ("e", Text("", 5))), 1
    )


def test_lists_and_repeated_keys_stay_as_written() -> None:
    assert read("- a: 1\n  a: 2\n- [x]\n") == Items(
        (Fields((("a", Text("1", 1)), ("a", Text("2", 2))), 1), Items((Text("x", 3),), 3)), 1
    )


def test_aliases_and_tags_are_not_followed() -> None:
    assert read("- &a word\n- *a\n- !!binary AA==\n- !!str 1\n") == Items(
        (Text("word", 1), Foreign(2), Foreign(3), Text("1", 4)), 1
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_nothing_is_null(text: str) -> None:
    root = read(text)
    assert isinstance(root, Text)
    assert root.value == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: b: c", "line 1: not YAML: mapping values are not allowed in this context", id="syntax"),
        pytest.param("a: 1\n---\nb: 2\n", "line 2: a second document begins; only one is read", id="two documents"),
        pytest.param("a: \x00", "not YAML: it has control characters or is not Unicode", id="NUL"),
        pytest.param("a: \ud800", "not YAML: it has control characters or is not Unicode", id="half a surrogate"),
        pytest.param("#" * 1024 * 1024 + "\n", "larger than 1048576 bytes", id="size"),
        pytest.param("- " * 30 + "x", "line 1: more than 20 levels deep", id="depth"),
    ],
)
def test_unreadable(text: str, message: str) -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("bomb", ["[" * (1 << 20), "{a: " * (1 << 18), "? " * (1 << 19), "- " * (1 << 19)])
def test_depth_costs_no_time(bomb: str) -> None:
    started = time.process_time()
    with pytest.raises(UnreadableDocumentError):
        read(bomb)
    assert time.process_time() - started < 2


def test_an_alias_bomb_stays_small() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    root = read("\n".join(lines))
    assert isinstance(root, Fields)
    assert root.pairs[9][1] == Items((Foreign(10),) * 9, 10)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("-:[]{}&*!|>'\"%@`#, \n\t"))))
def test_any_text_is_read_or_unreadable(text: str) -> None:
    with suppress(UnreadableDocumentError):
        read(text)
