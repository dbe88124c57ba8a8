"""sbatch's options: what a person may ask for, and which of several wishes wins.

Words are read as getopt_long reads them for sbatch, because an option that slips past this module slips past the policy as
well: what is not understood is refused. The first that sets an option wins: the hooks of this installation, the typed fields
and `sbatchArguments` of spec, the script's `#SBATCH` lines, the defaults of the SlurmCluster.

A typed field for another option: the field in resources/submission.py and one row in `TYPED`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.cluster import Defaults
from slurmgate.resources.submission import JobSubmissionSpec

TYPED: Final = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "nodes": "nodes",
    "tasks": "ntasks",
    "cpus_per_task": "cpus-per-task",
    "memory": "mem",
    "gpus": "gpus",
    "time_limit": "time",
    "array": "array",
}
"""Typed fields of spec (and of the cluster's defaults) and the options they stand for."""

# Union of 22.05, 24.11 and 26.05 (src/common/slurm_opt.c). Names, the short one as `|A`; `=` takes a value, `=?` may take one.
_OPTIONS: Final = """
account|A=  acctg-freq=  array|a=  autocomplete=  batch=  bb=  bbf=  begin|b=  chdir|D=  cluster-constraint=
clusters|cluster|M=  comment=  consolidate-segments  constraint|C=  container=  container-id=  container-type=  context=
contiguous  core-spec|S=  cores-per-socket=  cpu-freq=  cpus-per-gpu=  cpus-per-task|c=  deadline=  delay-boot=  dependency|d=
distribution|m=  error|e=  exclude|x=  exclusive=?  export=  export-file=  external  extra=  extra-node-info|B=
get-user-env=?  gid=  gpu-bind=  gpu-freq=  gpus|G=  gpus-per-node=  gpus-per-socket=  gpus-per-task=  gres=  gres-flags=
help|h  hint=  hold|H  ignore-pbs  input|i=  job-name|J=  kill-on-invalid-dep=  licenses|L=  mail-type=  mail-user=
mcs-label=  mem=  mem-bind=  mem-per-cpu=  mem-per-gpu=  mem-update=  mincpus=  network=  nice=?  no-kill|k=?  no-requeue
nodefile|F=  nodelist|w=  nodes|N=  ntasks|n=  ntasks-per-core=  ntasks-per-gpu=  ntasks-per-node|tasks-per-node=
ntasks-per-socket=  ntasks-per-tres=  oom-kill-step=?  open-mode=  output|o=  overcommit|O  oversubscribe|s  parsable
partition|p=  power=  prefer=  priority=  profile=  propagate=?  qos|q=  quiet|Q  reboot  requeue=?  reservation=
resources=  resv-ports=?  segment=  signal=  sockets-per-node=  spread-job  spread-segments  stepmgr  switches=  test-only
thread-spec=  threads-per-core=  time|t=  time-min=  tmp=  tres-bind=  tres-per-task=  uid=  usage  use-min-nodes
verbose|v  version|V  wait|W  wait-all-nodes=  wckey=  wrap=
"""

_NEVER: Final = {
    "uid": "the user comes from the cluster's user mapping",
    "gid": "the group comes from the user mapped on the cluster",
    "wrap": "the script is spec.script",
    "parsable": "Slurmgate sets it itself",
    "autocomplete": "no job would come of it",
    "help": "no job would come of it",
    "usage": "no job would come of it",
    "version": "no job would come of it",
    "test-only": "no job would come of it",
    "external": "the script would never run",
    "wait": "sbatch would not return; wait for the submission's condition Complete",
    "quiet": "it would hide Slurm's words",
    "clusters": "the cluster is spec.clusterRef",
    "export-file": "use spec.environment",
}
_UNLESS_ALLOWED: Final = {
    "chdir": "use spec.executionDirectory",
    "hold": "use spec.suspend",
    "cluster-constraint": "another cluster of the federation could take the job",
    "context": "it changes the job's security context",
}
COMMENT_PREFIX: Final = "slurmgate:"
MOST_COMMENT_BYTES: Final = 1024
"""Slurm's own limit."""
MOST_VALUE_BYTES: Final = 4096


class Takes(Enum):
    """Whether an option takes a value."""

    NOTHING = ""
    VALUE = "="
    OPTIONAL = "=?"


def _table() -> tuple[dict[str, str], dict[str, str], dict[str, Takes]]:
    long, short, takes = {}, {}, {}
    for names, kind in re.findall(r"([a-zA-Z|-]+)(=?\??)", _OPTIONS):
        full, *others = names.split("|")
        takes[full] = Takes(kind)
        long.update({name: full for name in (full, *others) if len(name) > 1})
        short.update({name: full for name in others if len(name) == 1})
    return long, short, takes


_LONG, _SHORT, _TAKES = _table()


class NotUnderstoodError(Exception):
    """Something that cannot be passed to sbatch; the text names it and where it stands."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word for sbatch and where it was written."""

    text: str
    where: str


@dataclass(frozen=True, slots=True)
class Option:
    """One option that somebody set, by its full name."""

    name: str
    value: str | None
    where: str

    @property
    def word(self) -> str:
        """As one word of a command line."""
        return f"--{self.name}" if self.value is None else f"--{self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What sbatch is told, and what is set anywhere."""

    arguments: tuple[str, ...]
    values: dict[str, str | None]
    """All options that count, the script's own among them; the job's name always."""
    counted: dict[str, Option]
    """The options that somebody set and that count, by name."""


def parse(words: Iterable[Word], *, allowed: Collection[str] = ()) -> tuple[Option, ...]:
    """Read words as getopt_long does. Options that are not Slurm's own (SPANK) must be in `allowed`, and be `--name[=value]`.

    Raises:
        NotUnderstoodError: naming the word and its place.
    """
    return tuple(_options(iter(words), frozenset(allowed)))


def _options(words: Iterator[Word], allowed: frozenset[str]) -> Iterator[Option]:
    for word in words:
        if re.match(r"--[^=]", word.text):
            yield _long(word, words, allowed)
        elif re.match(r"-[^-]", word.text):
            yield from _short(word, words)
        else:
            raise NotUnderstoodError(f"{word.where}: '{word.text}' is not an option (write --option=value as one word)")


def _long(word: Word, rest: Iterator[Word], allowed: frozenset[str]) -> Option:
    name, equals, value = word.text[2:].partition("=")
    if name not in _LONG and name in allowed:
        return Option(name, value if equals else None, word.where)
    full = _complete(name, word.where)
    match _TAKES[full]:
        case Takes.VALUE if not equals:
            return Option(full, _next(full, word.where, rest), word.where)
        case Takes.NOTHING if equals:
            raise NotUnderstoodError(f"{word.where}: --{full} takes no value")
        case _:
            return Option(full, value if equals else None, word.where)


def _complete(name: str, where: str) -> str:
    if name in _LONG:
        return _LONG[name]
    candidates = {full for known, full in _LONG.items() if known.startswith(name)}
    if len(candidates) != 1:
        problem = f"could be any of {', '.join(sorted(candidates))}" if candidates else "is no option of sbatch"
        raise NotUnderstoodError(f"{where}: --{name} {problem}")
    return candidates.pop()


def _short(word: Word, rest: Iterator[Word]) -> Iterator[Option]:
    letters = word.text[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in _SHORT:
            raise NotUnderstoodError(f"{word.where}: -{letter} is no option of sbatch")
        full = _SHORT[letter]
        match _TAKES[full]:
            case Takes.NOTHING:
                yield Option(full, None, word.where)
            case Takes.OPTIONAL:
                yield Option(full, letters or None, word.where)
                return
            case Takes.VALUE:
                yield Option(full, letters or _next(full, word.where, rest), word.where)
                return


def _next(name: str, where: str, rest: Iterator[Word]) -> str:
    following = next(rest, None)
    # sbatch drops a word ":" before it reads the others, wherever it stands
    if following is None or following.text == ":":
        raise NotUnderstoodError(f"{where}: --{name} needs a value")
    return following.text


def resolve(
    spec: JobSubmissionSpec,
    script: Sequence[Option],
    *,
    token: str,
    name: str,
    held: bool,
    defaults: Defaults,
    allow: Collection[str] = (),
    deny: Collection[str] = (),
    added: Sequence[Option] = (),
) -> Resolved | Refused:
    """Apply the policy and the precedence. `name` is the job's name where nobody gave it one; `added` is from hooks."""
    words = [Word(text, f"spec.sbatchArguments[{index}]") for index, text in enumerate(spec.sbatch_arguments)]
    try:
        free = parse(words, allowed=allow)
    except NotUnderstoodError as problem:
        return Refused(Reason.OPTION_NOT_ALLOWED, str(problem))
    typed = {option.name: option for option in _typed(spec)}
    for option in (*typed.values(), *free, *script):
        if why := _refused(option, allow=allow, deny=deny):
            return Refused(Reason.OPTION_NOT_ALLOWED, f"{option.where}: --{option.name} is refused: {why}")
    for option in free:
        if option.name in typed:
            where = typed[option.name].where
            return Refused(Reason.INVALID_SPEC, f"{option.where}: --{option.name} is also set by {where}")
    wanted = (*typed.values(), *free, *added)
    counted = {option.name: option for option in (*script, *wanted)}
    fallback = tuple(option for option in _typed(defaults) if option.name not in counted)
    counted |= {option.name: option for option in fallback}
    values = {name: option.value for name, option in counted.items()}
    comment = f"{COMMENT_PREFIX}{token} {values.get('comment') or ''}".rstrip()
    if len(comment.encode("utf-8", "surrogateescape")) > MOST_COMMENT_BYTES:
        return Refused(Reason.INVALID_SPEC, f"--comment is longer than Slurm allows with {COMMENT_PREFIX}{token} before it")
    arguments = ["--parsable", f"--comment={comment}"]
    if "job-name" not in values:
        arguments.append(f"--job-name={name}")
    if held:
        arguments.append("--hold")
    arguments += [option.word for option in (*wanted, *fallback) if option.name != "comment"]
    if exported := _exported(values.get("export"), [variable.name for variable in spec.environment]):
        arguments.append(f"--export={exported}")  # the last one counts
    values.setdefault("job-name", name)
    return Resolved(tuple(arguments), values, counted)


def from_hook(arguments: Iterable[str], *, hook: str, allow: Collection[str]) -> tuple[Option, ...]:
    """What a hook has sbatch be given. What a cluster denies, it denies to people.

    Raises:
        NotUnderstoodError: naming the argument that cannot be, and why.
    """
    added = parse([Word(text, f"hook {hook}") for text in arguments], allowed=allow)
    for option in added:
        if why := _refused(option, allow=allow, deny=()):
            raise NotUnderstoodError(f"{option.where}: --{option.name} is refused: {why}")
    return added


def _typed(fields: JobSubmissionSpec | Defaults) -> Iterator[Option]:
    for field, option in TYPED.items():
        value = getattr(fields, field, None)
        if value is not None:
            of = "spec" if isinstance(fields, JobSubmissionSpec) else "spec.defaults"
            yield Option(option, str(value), f"{of}.{type(fields).model_fields[field].alias}")


def _refused(option: Option, *, allow: Collection[str], deny: Collection[str]) -> str | None:
    """Why the policy refuses an option; None if it does not."""
    name = option.name
    if len((option.value or "").encode("utf-8", "surrogateescape")) > MOST_VALUE_BYTES:
        return f"its value is longer than {MOST_VALUE_BYTES} bytes"
    if name in _NEVER:
        return _NEVER[name]
    if name in {_LONG.get(other, other) for other in deny}:
        return "the cluster does not allow it"
    if name in {_LONG.get(other, other) for other in allow}:
        return None
    return _UNLESS_ALLOWED.get(name)


def _exported(wish: str | None, names: Sequence[str]) -> str | None:
    """What to export so that spec.environment reaches the job although `--export=NONE` or a list was asked for."""
    parts = wish.split(",") if wish else []
    if not parts or not names or any(part.upper() == "ALL" for part in parts):
        return None
    return ",".join([*(part for part in parts if part.upper() not in {"NONE", "NIL"}), *names])


def output_path(pattern: str, *, name: str, user: str, chdir: str | None) -> str:
    """What is known of an output path before the job has an id: the names of job and user are filled in.

    `%j`, `%A`, `%%` and what differs between tasks or nodes is left. Absolute, or relative to the working directory.
    """
    values = {"x": name.replace("%", "%%"), "u": user}
    if "\\" in pattern:  # man sbatch: a backslash turns the replacement off
        path = pattern.replace("\\", "").replace("%", "%%")
    else:
        path = re.sub(r"%[0-9]*([a-zA-Z%])", lambda match: values.get(match[1], match[0]), pattern)
    return path if chdir is None or path.startswith("/") else f"{chdir.rstrip('/')}/{path}"
