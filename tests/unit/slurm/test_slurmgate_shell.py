"""login-node/slurmgate-shell: our own commands come through it, and nothing else. Run by dash and by bash."""

import asyncio
import io
import re
import shlex
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from generate.login_node import SHELL
from slurmgate.core.outcomes import ClusterFacts, NeverSent, NotNow, Refused, Seen, Staged, Submitted, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import STEERING_VARIABLES
from slurmgate.slurm import remote
from slurmgate.slurm.gateway import Workplace
from slurmgate.ssh.outcome import Outcome, Ran
from tests.unit.slurm.escapes import CANARY, ESCAPES, ours
from tests.unit.slurm.support import TOKEN, LoginNode, Shell, files, package


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class RestrictedShell(Shell):
    """A runner whose commands go through slurmgate-shell, as sshd starts it."""

    guard: Path = SHELL

    @override
    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        del user, output_limit
        done = await asyncio.to_thread(self.send, shlex.join(argv), stdin)
        return Ran(done.returncode, done.stdout, done.stderr)

    def send(self, command: str | None, stdin: bytes = b"", words: Sequence[str] = ()) -> subprocess.CompletedProcess[bytes]:
        original: Mapping[str, str] = {} if command is None else {"SSH_ORIGINAL_COMMAND": command}
        environment = {"HOME": str(self.home), "PATH": f"{self.programs}:/usr/bin:/bin", **original, **self.exported}
        return subprocess.run(
            [self.path, self.guard, *words], input=stdin, capture_output=True, env=environment, cwd="/", timeout=20, check=False
        )


@pytest.fixture
def restricted(login: LoginNode) -> RestrictedShell:
    """A login node behind slurmgate-shell, which allows the commands of this folder."""
    text = SHELL.read_text()
    for name in ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo"):
        text = text.replace(f"slurmgate_{name}=/usr/bin/{name}\n", f"slurmgate_{name}={login.folder}/{name}\n")
    guard = login.folder / "slurmgate-shell"
    guard.write_text(text)
    runner = RestrictedShell(login.shell.path, login.home, login.shell.programs, guard=guard)
    login.shell = runner
    login.gateway._login._runner = runner
    return runner


async def test_a_whole_life_comes_through(login: LoginNode, restricted: RestrictedShell) -> None:
    del restricted
    login.says("scontrol", "SLURM_VERSION = 22.05.8\nClusterName = valhalla\n")
    assert isinstance(await login.gateway.describe("kirby"), ClusterFacts)
    sent = package("~/slurmgate/x", files=files(a=b"1"), environment=(("A", "it's"),))
    directory = str(login.home / "slurmgate/x")
    assert await login.gateway.stage("kirby", sent) == Staged(directory)
    login.says("sbatch", "7\n")
    assert await login.gateway.submit("kirby", TOKEN, directory) == Submitted("7", directory=directory)
    assert login.environment("sbatch")["A"] == "it's"
    login.queue()
    seen = await login.gateway.observe("kirby", ["kirby"])
    assert isinstance(seen, Seen)
    assert list(seen.tasks) == ["7"]
    login.accounting()
    recorded = await login.gateway.account("kirby", ["7"])
    assert isinstance(recorded, Seen)
    assert list(recorded.tasks) == ["7"]
    assert await login.gateway.find("kirby", TOKEN, directory) == Submitted("7", directory=directory)
    place = Workplace("7", TOKEN, directory)
    assert isinstance(await login.gateway.exits("kirby", [place]), Seen)
    assert isinstance(await login.gateway.workplaces("kirby", ["7"]), list)
    assert await login.gateway.origins("kirby", [place]) == {}
    assert await login.gateway.belong("kirby", TOKEN, directory, None) is None
    assert await login.gateway.read_script("kirby", f"{directory}/job.sh") == b"#!/bin/sh\ntrue\n"
    assert await login.gateway.hold("kirby", "7") is None
    assert await login.gateway.release("kirby", "7") is None
    assert await login.gateway.cancel("kirby", ["7", "8_1"]) == {}
    assert login.argv("scancel") == ["7", "8_1"]
    assert await login.gateway.tidy("kirby", TOKEN, directory) is None
    login.says("squeue")
    login.says("sacct")
    assert isinstance(await login.gateway.find("kirby", "another", "~/slurmgate/y"), NeverSent)


@pytest.mark.parametrize("command", ESCAPES.values(), ids=ESCAPES.keys())
def test_nothing_else_comes_through(restricted: RestrictedShell, command: str) -> None:
    restricted.guard = SHELL
    done = restricted.send(command, b"x\n~\n1\n5\nx\n")
    assert (done.returncode, done.stdout) == (126, b"")
    assert done.stderr.startswith(b"slurmgate-shell: ")
    assert not (restricted.home / CANARY).exists()


def test_there_is_no_shell(restricted: RestrictedShell) -> None:
    for command, words in ((None, ()), ("", ()), (None, ("-c",)), (None, ("-i",)), (None, ("-c", "sh"))):
        done = restricted.send(command, b"touch ~/escaped\n", words)
        assert (done.returncode, done.stdout) == (126, b"")
    assert not (restricted.home / CANARY).exists()


def test_it_can_be_a_login_shell(restricted: RestrictedShell) -> None:
    done = restricted.send(None, f"{TOKEN}\n~/slurmgate/x\n".encode(), ("-c", ours("find")))
    answer = remote.answer(done.stdout)
    assert answer is not None
    assert answer.get("attempt") == "0"


async def test_a_version_that_is_not_known_there_is_waited_for_and_named(login: LoginNode, restricted: RestrictedShell) -> None:
    restricted.guard.write_text(restricted.guard.read_text().replace("_program=describe", "_program="))
    answer = await login.gateway.describe("kirby")
    assert isinstance(answer, Unavailable)
    assert answer.reason is Reason.LOGIN_SHELL_FAILED
    assert "is slurmgate-shell as new as the operator?" in answer.message


OUTSIDE = ["~/.ssh", "~", "/tmp/elsewhere", "~/slurmgate/../.ssh", "~/slurmgate", "~/link", "~/slurmgate/link/x"]


@pytest.mark.parametrize("directory", OUTSIDE)
async def test_nothing_is_staged_or_read_outside_of_its_folders(
    login: LoginNode, restricted: RestrictedShell, directory: str
) -> None:
    del restricted
    (login.home / ".ssh").mkdir()
    (login.home / ".ssh" / "id").write_text("private")
    (login.home / "slurmgate").mkdir()
    (login.home / "link").symlink_to(".ssh")
    (login.home / "slurmgate" / "link").symlink_to("../.ssh")
    refused = await login.gateway.stage("kirby", package(directory, files=files(authorized_keys=b"mine")))
    if directory == "~/slurmgate":
        assert isinstance(refused, Staged), "the folder itself is allowed"
        return
    assert isinstance(refused, Refused)
    assert "slurmgate-shell on the login node allows only" in refused.message
    assert [path.name for path in (login.home / ".ssh").iterdir()] == ["id"]
    for name in ("id", "../.ssh/id"):
        script = await login.gateway.read_script("kirby", f"{directory}/{name}")
        assert isinstance(script, Refused | NotNow)
        assert "slurmgate-shell on the login node" in script.message


def archive(*members: tarfile.TarInfo) -> bytes:
    """What stage.sh reads, with these members instead of ours."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for member in (*members, _file("complete", b"x")):
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    package = f"{TOKEN}\n~/slurmgate/x\njob\nyes\nx\n".encode() + content.getvalue()
    return b"kirby\n1000\n%d\n%b" % (len(package), package)


def _file(name: str, content: bytes = b"x") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o700
    return member


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = _file(name, b"")
    member.type, member.linkname = kind, target
    return member


ARCHIVES = {
    "a link to a file": [_link("script", "../../../../.ssh/id")],
    "a link to a folder, and a file in it": [_link("files", "../../../../.ssh"), _file("files/authorized_keys")],
    "a link inside": [_link("files/a", "../script"), _file("script")],
    "a hard link": [_link("script", "../../../../.ssh/id", tarfile.LNKTYPE)],
    "a file above": [_file("../../../../.ssh/authorized_keys")],
    "a pipe": [_link("script", "", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("members", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_an_archive_reaches_nothing_else(restricted: RestrictedShell, members: list[tarfile.TarInfo]) -> None:
    keys = restricted.home / ".ssh"
    keys.mkdir()
    (keys / "id").write_text("private")
    answer = remote.answer(restricted.send(ours("stage"), archive(*members)).stdout)
    assert answer is not None
    assert answer.words("trouble")
    assert [path.name for path in keys.iterdir()] == ["id"]
    assert not list((restricted.home / "slurmgate/x/.slurmgate").iterdir())
    assert not (restricted.home / "slurmgate/x/job.sh").exists()


async def test_no_program_of_a_package_is_run(login: LoginNode, restricted: RestrictedShell) -> None:
    login.says("sbatch", "7\n")
    attack = f"x$(touch ~/{CANARY})`touch ~/{CANARY}`';touch ~/{CANARY};'"
    sent = package(
        "~/slurmgate/x", arguments=(attack,), environment=(("A", attack),), script=f"#!/bin/sh\ntouch ~/{CANARY}\n".encode()
    )
    staged = await login.gateway.stage("kirby", sent)
    assert isinstance(staged, Staged)
    (login.home / "slurmgate/x/.slurmgate" / TOKEN / "submit").write_text(f"touch ~/{CANARY}")
    await login.gateway.submit("kirby", TOKEN, staged.directory)
    assert login.argv("sbatch")[0] == attack
    assert not (restricted.home / CANARY).exists()


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "SLURM_CONF", "SBATCH_WAIT", "BASH_ENV", "ENV", "IFS", "GCONV_PATH", "A B", "A;B", "1"]
)
async def test_no_variable_steers_sbatch(login: LoginNode, restricted: RestrictedShell, name: str) -> None:
    del restricted
    assert re.match(STEERING_VARIABLES, name) or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name), "refused before, too"
    login.says("sbatch", "7\n")
    staged = await login.gateway.stage("kirby", package("~/slurmgate/x", environment=((name, "x"),)))
    assert isinstance(staged, Staged)
    refused = await login.gateway.submit("kirby", TOKEN, staged.directory)
    assert isinstance(refused, Refused)
    assert "steers Slurm, the shell or the loader" in refused.message
    assert login.runs("sbatch") == 0


def test_it_is_an_executable_that_can_be_installed_as_it_is() -> None:
    assert SHELL.read_text().startswith("#!/bin/sh\n")
    assert SHELL.stat().st_mode & 0o111 == 0o111
    assert all(f"_program={name} ;;" in SHELL.read_text() for name in remote.PROGRAMS)


def test_every_program_is_named() -> None:
    folder = Path(remote.__file__).parent / "remote"
    assert {path.stem for path in folder.glob("*.sh")} == {*remote.PROGRAMS, "common", "batch"}
