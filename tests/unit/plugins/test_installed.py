"""Which plugins may run: those that are named, and nothing of any other is imported."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from slurmgate.plugins.installed import NotInstalledError, Plugins, find
from slurmgate.plugins.thread import PluginFailed
from slurmgate.telemetry.metrics import Metrics

ENTRY_POINTS = """\
[slurmgate.identity]
staff = {module}:Staff

[slurmgate.hooks]
staff = {module}:Rules
rules = {module}:Rules

[slurmgate.tasks]
tick = {module}:tick
"""
MODULE = """\
from slurmgate.plugins.api import Account, Hook, Refuse


class Staff:
    def __init__(self, parameters):
        self.prefix = parameters["prefix"]

    async def account_of(self, owner):
        return Account(self.prefix + owner, "key")


class Rules(Hook):
    async def before_submission(self, submission):
        return Refuse("no")


async def tick():
    return None
"""


def package(folder: Path, name: str) -> None:
    """Install a package of this name."""
    (folder / f"{name}.py").write_text(MODULE)
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS.format(module=name))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package(tmp_path, "plugins_of_a_test")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugins_of_a_test", raising=False)
    return tmp_path


def found(*names: str) -> Plugins:
    return find(names, Metrics(version="0"))


@pytest.mark.usefixtures("installed")
async def test_nothing_is_imported_before_it_is_asked() -> None:
    plugins = found("staff", "tick")
    staff, (hook,), (task,) = plugins.identity("staff", {"prefix": "x-"}), plugins.hooks(), plugins.tasks()
    assert "plugins_of_a_test" not in sys.modules
    account = await staff.call(lambda it: it.account_of("kirby"), seconds=30)
    assert account is not None
    assert account.user == "x-kirby"
    assert isinstance(sys.modules["plugins_of_a_test"], ModuleType)
    assert (hook.name, task.name) == ("staff", "tick")
    staff.close()


@pytest.mark.usefixtures("installed")
async def test_one_that_is_not_named_may_not_run() -> None:
    staff = found("rules").identity("staff", {})
    with pytest.raises(
        PluginFailed, match=r"plugin staff of spec\.identity\.plugin may not run: no slurmgate\.identity of that"
    ):
        await staff.call(lambda it: it.account_of("kirby"), seconds=30)
    assert "plugins_of_a_test" not in sys.modules
    staff.close()


@pytest.mark.usefixtures("installed")
def test_hooks_are_in_the_order_in_which_they_are_named() -> None:
    assert [hook.name for hook in found("rules", "staff").hooks()] == ["rules", "staff"]
    assert [hook.name for hook in found("staff", "rules").hooks()] == ["staff", "rules"]


def test_one_that_is_not_installed_is_named() -> None:
    with pytest.raises(NotInstalledError, match=r"no installed package has an entry point gone of slurmgate\.identity, "):
        found("gone")


def test_which_of_two_is_meant_is_not_guessed(installed: Path) -> None:
    package(installed, "plugins_of_another_test")
    with pytest.raises(NotInstalledError) as caught:
        found("tick")
    two = "plugins_of_a_test:tick, plugins_of_another_test:tick"
    assert str(caught.value) == f"SLURMGATE_PLUGINS: there are several slurmgate.tasks tick: {two}"
