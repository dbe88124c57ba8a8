"""The plugins that may run: those of the installed packages that `SLURMGATE_PLUGINS` names."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from slurmgate.plugins.api import Hook, HookPlugin, Identities, IdentityPlugin, Task
from slurmgate.plugins.thread import PluginFailed, PluginThread
from slurmgate.telemetry.metrics import Metrics

IDENTITY: Final = "slurmgate.identity"
HOOKS: Final = "slurmgate.hooks"
TASKS: Final = "slurmgate.tasks"


class NotInstalledError(Exception):
    """A plugin that may run cannot be found. Without it nothing may run: it may be what has to be asked first."""


@dataclass(frozen=True, slots=True)
class Plugins:
    """What may run, by group and name. Nothing of it is imported before it is asked something, in its own thread."""

    metrics: Metrics
    groups: Mapping[str, Mapping[str, EntryPoint]] = field(default_factory=dict)

    def identity(self, name: str, parameters: Mapping[str, str]) -> PluginThread[Identities]:
        """The plugin of this name. If it may not run, that is what it answers."""

        def make() -> Identities:
            entry = self._of(IDENTITY).get(name)
            if entry is None:
                raise PluginFailed(
                    f"plugin {name} of spec.identity.plugin may not run: no {IDENTITY} of that name is in SLURMGATE_PLUGINS "
                    "(chart value plugins)"
                )
            plugin: IdentityPlugin = entry.load()
            return plugin(parameters)

        return PluginThread(name, make, self.metrics.plugin_calls)

    def hooks(self) -> tuple[PluginThread[Hook], ...]:
        """All hooks, in the order in which the setting names them."""
        return tuple(PluginThread(name, _maker(entry), self.metrics.plugin_calls) for name, entry in self._of(HOOKS).items())

    def tasks(self) -> tuple[PluginThread[Task], ...]:
        """All tasks."""
        return tuple(PluginThread(name, entry.load, self.metrics.plugin_calls) for name, entry in self._of(TASKS).items())

    def _of(self, group: str) -> Mapping[str, EntryPoint]:
        return self.groups.get(group, {})


def find(allowed: Collection[str], metrics: Metrics) -> Plugins:
    """The plugins of these names. Nothing is imported.

    Raises:
        NotInstalledError: there is none of a name, or several of the same kind.
    """
    groups = {group: {name: found for name in allowed if (found := _only(group, name))} for group in (IDENTITY, HOOKS, TASKS)}
    for name in allowed:
        if not any(name in group for group in groups.values()):
            kinds = f"{IDENTITY}, {HOOKS} or {TASKS}"
            raise NotInstalledError(f"SLURMGATE_PLUGINS: no installed package has an entry point {name} of {kinds}")
    return Plugins(metrics, groups)


def _only(group: str, name: str) -> EntryPoint | None:
    found = {entry.value: entry for entry in entry_points(group=group, name=name)}
    if len(found) > 1:
        raise NotInstalledError(f"SLURMGATE_PLUGINS: there are several {group} {name}: {', '.join(sorted(found))}")
    return next(iter(found.values()), None)


def _maker(entry: EntryPoint) -> Callable[[], Hook]:
    def make() -> Hook:
        plugin: HookPlugin = entry.load()
        return plugin()

    return make
