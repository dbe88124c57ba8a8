from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.jobbergate.dsn import Dsn, UnusableDsnError


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("influxdb://u:p@influx.example.org:8087/slurm", "http://influx.example.org:8087"),
        ("https+influxdb://u:p@influx.example.org:8087/slurm", "https://influx.example.org:8087"),
        ("https+influxdb://u:p@influx.example.org/slurm", "https://influx.example.org:8086"),
        ("INFLUXDB://u:p@[::1]:8087/slurm\n", "http://[::1]:8087"),
    ],
)
def test_a_dsn_says_where_influxdb_is(text: str, server: str) -> None:
    dsn = Dsn.parse(text)
    assert (str(dsn.server), dsn.database, dsn.user, dsn.password) == (server, "slurm", "u", "p")


def test_nobody_has_to_have_a_name() -> None:
    dsn = Dsn.parse("influxdb://localhost/slurm")
    assert (dsn.user, dsn.password) == ("", "")


@given(user=st.text(min_size=1).filter(lambda user: ":" not in user), password=st.text())
def test_whatever_is_special_in_user_and_password_is_percent_encoded(user: str, password: str) -> None:
    dsn = Dsn.parse(f"https+influxdb://{quote(user, safe='')}:{quote(password, safe='')}@host/slurm")
    assert (dsn.user, dsn.password) == (user, password)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with neither"),
        ("influx.example.org:8086", "begins with neither"),
        ("https://u:s3cret@host/slurm", "begins with neither"),
        ("udp+influxdb://u:s3cret@host:4444/slurm", "not read from"),
        ("influxdb://u:s3cret@/slurm", "names no host"),
        ("influxdb://u:s3cret@host", "does not end in the name of a database"),
        ("influxdb://u:s3cret@host/", "does not end in the name of a database"),
        ("influxdb://u:s3cret@host/slurm/autogen", "does not end in the name of a database"),
        ("influxdb://u:s3cret@host/slurm?ssl=true", r"has a \? or a # in it"),
        ("influxdb://u:s3/cret@host/slurm", "is no address"),
        ("influxdb://u:s3#cret@host/slurm", "is no address"),
        ("influxdb://u:s3cret@host:99999/slurm", "is no address"),
        ("influxdb://u:s3cret@[::1/slurm", "is no address"),
        ("influxdb://u:s3%ffcret@host/slurm", "is no address"),
        ("influxdb://u%3Av:s3cret@host/slurm", "a user with a colon"),
        ("influxdb://u:s3 cret@host/slurm", "spaces or control characters"),
        ("influxdb://u:s3cret\t@host/slurm", "spaces or control characters"),
    ],
)
def test_a_dsn_that_cannot_be_used_is_refused_in_words_without_the_password(text: str, why: str) -> None:
    with pytest.raises(UnusableDsnError, match=why) as refused:
        Dsn.parse(text)
    assert "cret" not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.text() | st.builds("{}://{}".format, st.sampled_from(["influxdb", "https+influxdb"]), st.text()))
def test_any_text_is_a_dsn_or_is_refused(text: str) -> None:
    try:
        dsn = Dsn.parse(text)
    except UnusableDsnError:
        return
    assert dsn.server.host
    assert dsn.database


def test_a_password_is_not_shown() -> None:
    assert "s3cret" not in repr(Dsn.parse("influxdb://u:s3cret@host/slurm"))
