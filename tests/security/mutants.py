"""Versions of Slurmgate with a defence taken out: each shows that an attempt which is refused would otherwise have succeeded.

A mistake is made in the operator's process before it starts; what the API server enforces is weakened in the chart's objects.
"""

import asyncio
import re
import unicodedata
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import asyncssh
import yaml
from pydantic_core import SchemaValidator
from yarl import URL

from slurmgate.core import following
from slurmgate.core.outcomes import Observation, Refused, Seen, Task
from slurmgate.core.record import Record
from slurmgate.engine import admission
from slurmgate.engine.adopting import Adoption
from slurmgate.engine.inputs import KubernetesReferences
from slurmgate.engine.tracking import Tracker
from slurmgate.identity import document, entry, mapping, source
from slurmgate.kube import addresses, session
from slurmgate.kube.content import Kind
from slurmgate.resources.submission import JobSubmission, Launch
from slurmgate.slurm import directives, login, options, package, person, reading, records, remote, sending
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import Package
from slurmgate.slurm.reading import Reader
from slurmgate.ssh import visit
from slurmgate.ssh.runner import Runner
from tests.api import Json
from tests.world import World

AGENT = "/tmp/slurmgate-attacked-agent"
"""A socket of an agent that the operator's host might have."""
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/jobsubmissions.slurmgate.dev"
DOOR = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/slurmgate-owners"
EVERYWHERE, EVERYBODY = "attackers-everywhere", "system:serviceaccounts:research"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/slurmgate-edit"

Weakening = Callable[[Json], None]


def take(place: object, **names: object) -> None:
    """Put something else in the place of what these names stand for there."""
    for name, value in names.items():
        assert hasattr(place, name), f"{place} has no {name} any more"
        setattr(place, name, value)


def nothing() -> None:
    """The operator is as it is."""


@dataclass(frozen=True)
class Mutant:
    """Slurmgate without one of its defences."""

    title: str
    mistake: Callable[[], None] = nothing
    weakening: Weakening | None = None
    """What is changed in the CustomResourceDefinition of JobSubmissions."""
    doorless: bool = False
    """The API server asks nobody whom a namespace may name."""
    almighty: bool = False
    """The chart's edit role may do everything, everywhere."""

    @contextmanager
    def weakened(self, world: World) -> Iterator[None]:
        """While the API server enforces less."""
        paths = [CRD] * bool(self.weakening) + [ROLE] * self.almighty + [DOOR] * self.doorless
        before = {path: world.api.get(path) for path in paths}
        if self.almighty:
            world.kubectl("create", "clusterrolebinding", EVERYWHERE, "--clusterrole=slurmgate-edit", f"--group={EVERYBODY}")
        for path, manifest in before.items():
            weak: Json = yaml.safe_load(yaml.safe_dump(manifest))
            if path == CRD and self.weakening:
                self.weakening(weak)
            elif path == DOOR:
                weak["spec"]["validationActions"] = ["Audit"]
            else:
                weak["rules"] = [
                    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                    {"nonResourceURLs": ["*"], "verbs": ["*"]},
                ]
            put(world, weak)
        try:
            yield
        finally:
            world.kubectl("delete", "clusterrolebinding", EVERYWHERE, "--ignore-not-found")
            for manifest in before.values():
                put(world, manifest)


def put(world: World, manifest: Json) -> None:
    """`kubectl replace`, whatever has become of it meanwhile."""
    manifest["metadata"].pop("resourceVersion", None)
    manifest["metadata"].pop("managedFields", None)
    world.kubectl("replace", "--filename=-", stdin=world.yaml(manifest))


# What the API server enforces ----------------------------------------------------------------------------------------


def _each_schema(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _each_schema(value)
    elif isinstance(node, list):
        for value in node:
            yield from _each_schema(value)


def without_rules(definition: Json) -> None:
    """No CEL."""
    for schema in _each_schema(definition["spec"]["versions"][0]["schema"]):
        schema.pop("x-kubernetes-validations", None)


def without_patterns(definition: Json) -> None:
    """No patterns."""
    for schema in _each_schema(definition["spec"]["versions"][0]["schema"]):
        if isinstance(schema.get("pattern"), str):
            del schema["pattern"]


def without_status_subresource(definition: Json) -> None:
    """Who may write a submission writes its status."""
    del definition["spec"]["versions"][0]["subresources"]


# Whose owner ---------------------------------------------------------------------------------------------------------


def ownerless() -> None:
    """It does not ask whom a namespace may name."""
    take(admission, allows=lambda annotation, owner: True)


_LOOK_ALIKES = str.maketrans({"і": "i", "\u200d": None, "\u00ad": None})


def _look(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(_LOOK_ALIKES)).casefold()


def generous() -> None:
    """It takes an owner for whom he looks like, a domain for what it ends with, and `*` for anybody."""

    def allows(annotation: str | None, owner: str) -> bool:
        endings = (_look(listed).removeprefix("*@") for listed in re.split(r"[\s,]+", annotation or "") if listed)
        return any(_look(owner).endswith(ending) for ending in endings)

    def resolve(self: mapping.Mapping, owner: str) -> mapping.Identity | mapping.NotMapped:
        wanted = _look(owner).partition(")")[0]
        for known in self.entries:
            same_name = known.mail.partition("@")[0] == wanted.partition("@")[0]
            if same_name or fnmatchcase(known.mail, wanted) or fnmatchcase(wanted, known.mail):
                return mapping.Identity(known.mapped_user)
        return mapping.NotMapped(f"{owner} is not in the user mapping")

    def anything(value: str) -> str:
        return value.strip().lower()

    take(admission, allows=allows)
    take(mapping.Mapping, resolve=resolve)
    entry.mail_address.__code__ = anything.__code__


# Options -------------------------------------------------------------------------------------------------------------


def permissive() -> None:
    """It has no policy about options."""
    take(options, _refused=lambda option, *, allow, deny: None)


def oblivious() -> None:
    """It does not read the script's `#SBATCH` lines."""
    take(directives, read=lambda script, *, allowed=(): directives.Directives(()))


def literal() -> None:
    """It does not know that options can be abbreviated."""
    take(
        options,
        _complete=lambda name, where: options._LONG.get(name, name),
        _TAKES=defaultdict(lambda: options.Takes.OPTIONAL, options._TAKES),
    )


def talkative() -> None:
    """It puts the person's comment before its own token."""
    resolve = options.resolve

    def resolved(*arguments: Any, **named: Any) -> options.Resolved | Refused:
        found = resolve(*arguments, **named)
        if isinstance(found, Refused) or not (wish := found.values.get("comment")):
            return found
        mine = f"--comment={options.COMMENT_PREFIX}{named['token']}"
        words = [f"--comment={wish} {mine.partition('=')[2]}" if word.startswith(mine) else word for word in found.arguments]
        return replace(found, arguments=tuple(words))

    take(options, resolve=resolved)


# Text and files ------------------------------------------------------------------------------------------------------


def _edited(**changes: Sequence[tuple[str, str]]) -> None:
    """Programs of the login node with other words in them."""
    original = remote.text
    for name, words in changes.items():
        assert all(before in original(name) for before, _ in words), name

    def edited(name: str) -> str:
        text = original(name)
        for before, after in changes.get(name, ()):
            text = text.replace(before, after)
        return text

    take(remote, text=edited)
    remote._encoded.cache_clear()


def unquoted() -> None:
    """A shell reads the words for sbatch, and the values of variables."""
    words = ('    set -- "$@" "$_slurmgate"\n', '    eval "set -- \\"\\$@\\" $_slurmgate"\n')
    variable = ('export "${_slurmgate%%=*}=${_slurmgate#*=}"', 'eval "export ${_slurmgate%%=*}=\\"${_slurmgate#*=}\\""')
    _edited(submit=[words, variable])


def evaluating() -> None:
    """A shell reads the names of directories and files."""
    _edited(
        common=[('home_for "$_directory"\n', 'eval "_directory=$_directory"\n')],
        stage=[("target=$_directory rest=$2\n", 'eval "set -- \\"$1\\" $2"\n    target=$_directory rest=$2\n')],
    )


def unpatterned() -> None:
    """It takes every string for a string of the right kind."""

    def without(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: without(value) for key, value in node.items() if key != "pattern" or not isinstance(value, str)}
        return type(node)(map(without, node)) if isinstance(node, list | tuple) else node

    def as_lines(lines: Iterable[str]) -> bytes:
        return "".join(f"{line}\n" for line in lines).encode()

    for model in (JobSubmission, Launch):
        schema = without(model.__pydantic_core_schema__)
        take(model, __pydantic_validator__=SchemaValidator(schema, _use_prebuilt=False))
    for place in (login, sending):
        take(place, as_lines=as_lines)
    take(package, _environment=lambda variables: None, _files=lambda files, *, kept: None)


def steered() -> None:
    """It lets variables through that steer Slurm, the shell or the loader."""
    take(package, _STEERING=re.compile("(?!)"))
    _edited(submit=[("SLURM_* | SBATCH_* | LD_* | BASH_* | ENV | IFS | GCONV_PATH)", "GCONV_PATH)")])


def careless() -> None:
    """It puts files wherever their names, or links that lie there, point to."""
    take(package, _files=lambda files, *, kept: None)
    _edited(
        stage=[
            ("tar -xmf -", "tar -xPmf -"),
            ('[ ! -L "$target" ] || undo', ": || undo"),
            ('mv -fT -- "$1"', 'cp -- "$1"'),
        ]
    )


def forgetful() -> None:
    """It reads the script again when it sends it."""
    read, stage = KubernetesReferences.of_submission, CliGateway.stage
    again: dict[str, Callable[[], Awaitable[bytes]]] = {}

    async def reading_once(self: KubernetesReferences, kind: str, namespace: str, name: str, key: str, *, where: str) -> bytes:
        again[namespace] = lambda: read(self, kind, namespace, name, key, where=where)
        return await read(self, kind, namespace, name, key, where=where)

    async def staging_another(self: CliGateway, user: str, sent: Package) -> Any:
        await asyncio.sleep(3)
        (once_more,) = again.values()
        return await stage(self, user, replace(sent, script=await once_more(), batch=None))

    take(KubernetesReferences, of_submission=reading_once)
    take(CliGateway, stage=staging_another)


def bottomless() -> None:
    """It takes as much as there is."""
    take(directives, _MOST_BYTES=2**40)
    take(options, MOST_VALUE_BYTES=2**40)
    take(records, MOST_PARTITIONS=2**40)
    take(admission, MAX_ENVIRONMENT_BYTES=2**40, MAX_VALUE_BYTES=2**40)


# Secrets -------------------------------------------------------------------------------------------------------------


def openhanded() -> None:
    """It reads whatever a submission names."""

    async def reading_all(self: KubernetesReferences, kind: str, namespace: str, name: str, key: str, *, where: str) -> bytes:
        return await self._references.read(Kind(kind), namespace, name, key)

    take(KubernetesReferences, of_submission=reading_all)
    take(addresses, quote=lambda text, safe: text)
    take(session, URL=lambda text, encoded: URL(text))
    unpatterned()


# Who logs in, and whose job it is ------------------------------------------------------------------------------------


def one_for_all() -> None:
    """It logs in as the same person for everybody."""
    run = Runner.run

    async def as_mario(self: Runner, user: str, argv: Sequence[str], **how: Any) -> Any:
        return await run(self, "mario", argv, **how)

    async def of_mario(self: Reader, user: str, users: Collection[str] | None) -> Observation:
        seen = await observe(self, user, ["mario"])
        if not isinstance(seen, Seen):
            return seen
        return replace(seen, tasks={job: tuple(replace(row, user=user) for row in rows) for job, rows in seen.tasks.items()})

    observe = Reader.observe
    take(Runner, run=as_mario)
    take(person, lines=lambda rules, user: ("mario", "0"))  # nor does it ask the login node who he is
    take(Reader, observe=of_mario)
    take(Tracker, _as_concerns=lambda self, record, answer: answer)  # nor whether the job is another submission's


def greedy() -> None:
    """It lets a submission take any job over, whoever has it."""

    async def take_over(self: Adoption, site: Any, record: Record, token: str, job: Any) -> Any:
        return job

    take(Adoption, refusal=lambda self, token: None, take_over=take_over)


def gullible() -> None:
    """It believes whoever answers, about everybody's jobs, and takes a token for a proof."""
    take(reading, secrets=SimpleNamespace(token_hex=lambda _: "00000000"))
    rows_of, observe, look = following.rows_of, Reader.observe, Tracker._tell

    def by_token(record: Record, seen: Seen) -> tuple[Task, ...]:
        rows = [row for rows in seen.tasks.values() for row in rows]
        claimed = [row for row in rows if row.token == record.token and (row.user, row.job_id) != (record.user, record.job_id)]
        return tuple(replace(row, job_id=record.job_id or "") for row in claimed[:1]) or rows_of(record, seen)[::-1]

    async def everybody(self: Reader, user: str, users: Collection[str] | None) -> Observation:
        return await observe(self, user, None)

    async def tell_all(self: Tracker, records: Any, decide: Any, answer: Any) -> None:
        await look(self, self._known(), decide, answer)

    take(following, rows_of=by_token)
    take(Reader, observe=everybody)
    take(Tracker, _tell=tell_all)


# The login node ------------------------------------------------------------------------------------------------------


def naive() -> None:
    """It logs in wherever somebody answers, lends its agent, and listens to the end."""
    connect = asyncssh.connect

    async def connecting(*where: Any, **how: Any) -> Any:
        return await connect(*where, **how | {"known_hosts": None, "agent_forwarding": AGENT, "connect_timeout": None})

    take(visit, asyncssh=SimpleNamespace(**vars(asyncssh) | {"connect": connecting}))
    take(asyncssh.connection, _MAX_BANNER_LINES=2**40)
    take(login, _ANSWER_BYTES=2**40, _LONG_ANSWERS={})


# The mapping ---------------------------------------------------------------------------------------------------------


def hospitable() -> None:
    """It takes the mapping's word for whoever is in it, the last one if there are several."""
    parse = mapping.parse

    def parse_all(text: str, *, inline_keys: bool, **how: Any) -> mapping.File:
        items, _ = mapping._items(document.read(text))
        people: dict[str, entry.Entry] = {}
        for item in items:
            known = entry.read_entry("", item, inline_keys=True)
            people[known.mail] = known
        return mapping.File(tuple(people.values())) if people else parse(text, inline_keys=inline_keys, **how)

    def anybody(value: str) -> str:
        return value

    entry._user_name.__code__ = anybody.__code__
    take(source, parse=parse_all)


def loading() -> None:
    """It has YAML make objects."""

    def node(value: Any) -> document.Node:
        match value:
            case dict():
                return document.Fields(tuple((str(name), node(each)) for name, each in value.items()), 1)
            case list():
                return document.Items(tuple(map(node, value)), 1)
            case _:
                return document.Text("" if value is None else str(value), 1)

    take(mapping, read=lambda text: node(yaml.load(text, yaml.UnsafeLoader)))


OWNERLESS = Mutant("asks nobody whom a namespace may name", ownerless, doorless=True)
GENEROUS = Mutant("takes owners for whom they look like", generous, doorless=True)
ALMIGHTY = Mutant("gives its users every right", almighty=True)
UNGUARDED = Mutant("lets people write statuses", weakening=without_status_subresource)
UNRULED = Mutant("lets people change what defines a job", weakening=without_rules)
PERMISSIVE = Mutant("allows every option", permissive)
OBLIVIOUS = Mutant("does not read directives", oblivious)
LITERAL = Mutant("does not know abbreviations", literal)
TALKATIVE = Mutant("puts people's words before its token", talkative)
UNQUOTED = Mutant("quotes nothing", unquoted)
EVALUATING = Mutant("lets a shell read paths", evaluating)
UNPATTERNED = Mutant("takes any text for any field", unpatterned, without_patterns, doorless=True)
STEERED = Mutant("lets variables steer", steered, without_rules)
CARELESS = Mutant("puts files anywhere", careless, without_rules)
FORGETFUL = Mutant("reads scripts twice", forgetful)
BOTTOMLESS = Mutant("has no limits", bottomless)
OPENHANDED = Mutant("reads what people may not", openhanded, without_patterns)
ONE_FOR_ALL = Mutant("logs in as one for all", one_for_all)
GREEDY = Mutant("gives jobs to whoever asks", greedy)
GULLIBLE = Mutant("believes what it is told of others", gullible)
NAIVE = Mutant("trusts every login node", naive)
HOSPITABLE = Mutant("believes the mapping", hospitable)
LOADING = Mutant("loads the mapping as YAML objects", loading)
EXPANDING = Mutant("writes out what aliases in the mapping stand for", loading)
MUTANTS = tuple(each for each in list(vars().values()) if isinstance(each, Mutant))
