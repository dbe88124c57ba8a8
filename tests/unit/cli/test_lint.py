"""`slurmgate mapping lint`, as the CI of a GitOps repository runs it."""

import base64
from pathlib import Path

import asyncssh
import pytest
import yaml
from typer.testing import CliRunner, Result

from slurmgate.cli.commands import app

EXAMPLE = Path(__file__).parents[3] / "ssh_mapping.example.yaml"


def entry(name: str, **fields: object) -> dict[str, object]:
    secret = {"name": f"{name}-key", "key": "id"}
    written = {"mail": f"{name}@example.org", "mapped_user": name, "ssh_private_key_secret": secret, **fields}
    return {field: value for field, value in written.items() if value is not None}


def write(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump({"users_id_mapping": list(entries)}))
    return path


def lint(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["mapping", "lint", *map(str, arguments)])


def test_the_example_is_as_it_should_be() -> None:
    done = lint(EXAMPLE)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == "1 file, 5 people, no problems\n"


def test_what_is_wrong_is_named_with_file_place_and_line(tmp_path: Path) -> None:
    file = write(tmp_path / "team.yaml", entry("ada"), entry("eve", mapped_user="root"))
    done = lint(file)
    assert done.exit_code == 1
    assert done.stdout == (
        f"{file}: users_id_mapping[1] (eve@example.org), line 7: mapped_user: root is a system account: jobs belong to people\n"
    )
    assert done.stderr == "1 file, 1 person, 1 problem\n"


def test_what_two_files_say_differently_is_named_in_both(tmp_path: Path) -> None:
    one = write(tmp_path / "physics.yaml", entry("ada"), entry("grace"))
    other = write(tmp_path / "chemistry.yaml", entry("ada", mapped_user="eve"))
    assert (lint(one).exit_code, lint(other).exit_code) == (0, 0)
    done = lint(one, other)
    assert done.exit_code == 1
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [str(one), str(other)]
    assert done.stderr == "2 files, 1 person, 2 problems\n"


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at(tmp_path: Path) -> None:
    broken, latin = tmp_path / "broken.yaml", tmp_path / "latin.yaml"
    broken.write_text("users_id_mapping: [")
    latin.write_bytes(b"users_id_mapping: [] # \xe9")
    done = lint(broken, latin, write(tmp_path / "bad.yaml", entry("ada", shell="x")))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{broken}: line 2: not YAML: did not find expected node content",
        f"{latin}: cannot be read: not UTF-8",
        f"{tmp_path}/bad.yaml: users_id_mapping[0] (ada@example.org), line 2: unknown field shell",
    ]


def test_keys_may_stand_only_in_what_goes_into_a_secret(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
    encoded = base64.b64encode(key).decode()
    file = write(tmp_path / "team.yaml", entry("ada", ssh_private_key_secret=None, ssh_private_key_b64=encoded))
    refused = lint(file)
    assert refused.exit_code == 1
    assert "put the key into a Secret" in refused.stdout
    assert encoded not in refused.output
    assert lint("--secret", file).exit_code == 0


@pytest.mark.parametrize("content", ["a: &a [x]\n" * 10, "- " * 4000, "#" * (2**20 + 1)], ids=["no mapping", "deep", "huge"])
def test_a_bomb_is_refused_at_once(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text(content)
    assert lint(file).exit_code == 1


def test_a_file_that_is_not_there_is_named() -> None:
    done = lint("/nowhere/team.yaml")
    assert done.exit_code == 2
    assert "/nowhere/team.yaml" in done.stderr


def test_where_people_log_in_with_certificates_entries_need_no_key(tmp_path: Path) -> None:
    file = write(tmp_path / "team.yaml", entry("ada", ssh_private_key_secret=None))
    assert "give either" in lint(file).stdout
    assert lint("--certificates", file).exit_code == 0
