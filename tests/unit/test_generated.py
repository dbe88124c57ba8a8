from generate.files import stale


def test_what_is_generated_is_up_to_date() -> None:
    assert stale() == [], "run `make generate`"
