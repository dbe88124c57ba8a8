"""What people, admins and other programs write is read in little time, however it is made to be slow."""

from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core import owners
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.identity import document
from slurmgate.identity.mapping import parse as read_mapping
from slurmgate.slurm import directives, options, records, verdicts
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Host
from slurmgate.ssh.known_hosts import KnownHosts
from tests.unit.slurm.support import TOKEN

pytestmark = pytest.mark.slow

MIB = 2**20
SECONDS = 5.0
"""Of CPU for a megabyte, on a slow machine. What grows with the square of its length takes hours."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwGkVFNNDaAOqPDi7WbzJsDTfcmyaDfRX3A5J6vBGHZ"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


def key(text: str) -> None:
    with suppress(KeyUnavailable):
        PrivateKey.parse(text.encode())


def script(text: str) -> None:
    with suppress(options.NotUnderstoodError):
        directives.read(text.encode())


def words(text: str) -> None:
    with suppress(options.NotUnderstoodError):
        options.parse([options.Word(text, "here")])


def yaml(text: str) -> None:
    with suppress(document.UnreadableDocumentError):
        document.read(text)


READERS: dict[str, tuple[Callable[[str], object], list[str]]] = {
    "known_hosts": (
        lambda text: KnownHosts(text).of(Host("login")),
        [
            f"login {KEY}\n",
            "@revoked",
            "*,",
            "*" * 50 + "\n",
            "|1|" + "A" * 28 + "|",
            f"[*]:* {KEY}\n",
            "! ",
            "login ssh-rsa A\n",
        ],
    ),
    "a mapping": (
        lambda text: read_mapping(text, inline_keys=True),
        ["- mail: a@b\n", "[", "{a: ", "? ", "&a [*a,", "- - ", "users_id_mapping:\n", "a: |\n", "!!x ", "\t", "'"],
    ),
    "yaml": (yaml, ["[", "{", "- ", "&a *a ", "? ", "'", '"\\x', "#", "--- ", "%TAG "]),
    "a private key": (key, [PEM, PEM + "A" * 70 + "\n", "-----", "A", "Proc-Type: 4,ENCRYPTED\n", " "]),
    "a script": (
        script,
        [
            "#SBATCH --time=1\n",
            "#SBATCH " + '"' * 9,
            "#SBATCH \\",
            "#SBATCH 'a\\'",
            "#",
            "\n",
            "#PBS\n",
            "#SBATCH hetjob\n",
            "a",
        ],
    ),
    "a word for sbatch": (words, ["--time", "-n", "=", "-H", "--a-", " "]),
    "the annotation": (lambda text: owners.allows(text, "ada@example.com"), ["*@", ", ", "ada@example.com", " ", "é"]),
    "an owner": (lambda text: owners.allows("*@example.com", text), ["@", "a", "*@example.com", "\u212a"]),
    "words of Slurm": (
        lambda text: verdicts.refusal(text, reason=Reason.SUBMIT_REJECTED),
        ["Max", "MaxSUBMIT", "GrpAAAASubmitAAAA", "sbatch: error: ", "receive ", "exec: ", "\n", " "],
    ),
    "an origin": (Origin.parse, ["a", "a ", "-", ".", "a." * 9]),
}


@pytest.mark.parametrize(
    ("read", "piece"),
    [
        pytest.param(read, piece, id=f"{name}-{number}")
        for name, (read, all_) in READERS.items()
        for number, piece in enumerate(all_)
    ],
)
def test_a_megabyte_is_read_or_refused_in_little_time(read: Callable[[str], object], piece: str) -> None:
    text = piece * (MIB // len(piece.encode()))
    began = process_time()
    read(text)
    assert process_time() - began < SECONDS


CELL = st.text(max_size=8) | st.sampled_from(
    ["57", "57_1", "57_[1-3]", "RUNNING", "1700000000", f"slurmgate:{TOKEN}", "0:0", "1G"]
)
LINES = st.lists(st.lists(CELL, max_size=18).map("@".join) | st.text(max_size=40), max_size=5)


@given(LINES)
def test_no_line_of_slurm_makes_a_reader_fail(lines: list[str]) -> None:
    rows = [line.replace("@", "|m|") for line in lines]
    records.workplaces(rows, mark="m")
    records.exit_codes(rows, mark="m")
    records.queue(rows, mark="m", users=["kirby"])
    records.exits(lines, job_ids={TOKEN: "57"})
    records.partitions([line.replace("@", "|") for line in lines])
    told = records.tokens(lines, mark="@")
    for layout in (records.ACCOUNT_FORMAT, records.ARRAY_FORMAT):
        for tasks in records.account(lines, mark="@", layout=layout).tasks.values():
            records.examples(tasks)
            records.with_tokens(tasks, told)


@given(st.text(alphabet="0123456789.:-KMGTPXN/A ²٣", max_size=30))
def test_no_number_of_slurm_makes_a_reader_fail(text: str) -> None:
    for read in (records.time, records.duration, records.size, records.exit_code):
        read(text)


@given(st.text(max_size=12), st.text(max_size=12))
def test_nobody_is_allowed_by_an_annotation_that_does_not_say_so(annotation: str, name: str) -> None:
    """Whoever is let in stands there, or their domain does, letter for letter but for the case of ASCII."""
    owner = f"{name}@example.com"
    if owners.allows(annotation, owner):
        entries = annotation.replace(",", " ").split()
        assert any(
            entry.isascii() == owner.isascii() and entry.casefold() in {owner.casefold(), "*@example.com"} for entry in entries
        )


@given(st.text(max_size=60) | st.builds("{} {} {} {}".format, CELL, CELL, CELL, CELL))
def test_an_origin_is_read_as_it_was_written_or_not_at_all(line: str) -> None:
    origin = Origin.parse(line)
    assert origin is None or str(origin) == line
