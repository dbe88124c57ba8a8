"""The people of a SlurmCluster, by what its spec.identity names."""

from functools import partial

from slurmgate.engine.people.asked import AskedPeople, Oracle
from slurmgate.engine.people.directory import DirectoryOracle
from slurmgate.engine.people.mapped import MappedPeople
from slurmgate.engine.people.people import Changed, Follow, People, Residents, Show
from slurmgate.engine.people.plugged import PluginOracle
from slurmgate.engine.people.single import SinglePeople
from slurmgate.engine.ports import References
from slurmgate.identity.asked import Memory
from slurmgate.identity.ldap import Directory
from slurmgate.identity.source import ReadSecret
from slurmgate.plugins.installed import Plugins
from slurmgate.plugins.thread import PluginThread
from slurmgate.resources.identity import Identity, Ldap


def people_of(
    cluster: str,
    source: Identity,
    *,
    certified: bool,
    follow: Follow,
    references: References,
    read_secret: ReadSecret,
    plugins: Plugins,
    residents: Residents,
    show: Show,
    changed: Changed,
) -> People:
    """Who is who on this cluster. `certified`: people log in with certificates, and need no key."""
    if source.mapping:
        return MappedPeople(
            cluster,
            source.mapping,
            certified=certified,
            follow=follow,
            read_secret=read_secret,
            show=show,
            changed=changed,
        )
    if source.single_user:
        return SinglePeople(source.single_user, read_secret=read_secret, show=show, changed=changed)
    oracle: Oracle
    if source.ldap:
        oracle, memory = _directory(cluster, source.ldap, references, plugins), _memory(source.ldap)
    elif source.plugin:
        plugin = plugins.identity(source.plugin.name, source.plugin.parameters)
        oracle, memory = PluginOracle(plugin, certified=certified), Memory()
    else:
        raise AssertionError("the schema asks for one source")
    return AskedPeople(oracle, memory=memory, residents=residents, read_secret=read_secret, show=show, changed=changed)


def _directory(cluster: str, source: Ldap, references: References, plugins: Plugins) -> DirectoryOracle:
    calls = plugins.metrics.directory_calls
    thread = PluginThread(cluster, partial(Directory, source), calls, kind="the directory of SlurmCluster")
    return DirectoryOracle(source, thread, references)


def _memory(source: Ldap) -> Memory:
    cache = source.cache
    return Memory(known=cache.known_seconds, unknown=cache.unknown_seconds, stale=cache.stale_seconds)
