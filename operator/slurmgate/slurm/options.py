"""sbatch's options: what a person may ask for, where it was asked for, and which of several wishes wins.

sbatch takes options from its command line and from `#SBATCH` lines. Both are read here exactly as sbatch reads them (getopt_long;
the tokenizer of src/sbatch/opt.c), because an option that slips past this module slips past the policy as well: what is not
understood is refused. The first that sets an option wins: the typed fields and `sbatchArguments` of spec, the script's
`#SBATCH` lines, the defaults of the SlurmCluster.

A typed field for another option: the field in resources/submission.py and one row in `TYPED`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.cluster import Defaults
from slurmgate.resources.submission import JobSubmissionSpec

TYPED = {
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

_OPTIONS = """
account|A=  acctg-freq=  array|a=  autocomplete=  batch=  bb=  bbf=  begin|b=  chdir|D=  cluster-constraint=  clusters|cluster|M=
comment=  consolidate-segments  constraint|C=  container=  container-id=  container-type=  context=  contiguous  core-spec|S=
cores-per-socket=  cpu-freq=  cpus-per-gpu=  cpus-per-task|c=  deadline=  delay-boot=  dependency|d=  distribution|m=  error|e=
exclude|x=  exclusive=?  export=  export-file=  external  extra=  extra-node-info|B=  get-user-env=?  gid=  gpu-bind=  gpu-freq=
gpus|G=  gpus-per-node=  gpus-per-socket=  gpus-per-task=  gres=  gres-flags=  help|h  hint=  hold|H  ignore-pbs  input|i=
job-name|J=  kill-on-invalid-dep=  licenses|L=  mail-type=  mail-user=  mcs-label=  mem=  mem-bind=  mem-per-cpu=  mem-per-gpu=
mem-update=  mincpus=  network=  nice=?  no-kill|k=?  no-requeue  nodefile|F=  nodelist|w=  nodes|N=  ntasks|n=  ntasks-per-core=
ntasks-per-gpu=  ntasks-per-node|tasks-per-node=  ntasks-per-socket=  ntasks-per-tres=  oom-kill-step=?  open-mode=  output|o=
overcommit|O  oversubscribe|s  parsable  partition|p=  power=  prefer=  priority=  profile=  propagate=?  qos|q=  quiet|Q  reboot
requeue=?  reservation=  resources=  resv-ports=?  segment=  signal=  sockets-per-node=  spread-job  spread-segments  stepmgr
switches=  test-only  thread-spec=  threads-per-core=  time|t=  time-min=  tmp=  tres-bind=  tres-per-task=  uid=  usage
use-min-nodes  verbose|v  version|V  wait|W  wait-all-nodes=  wckey=  wrap=
"""
"""Union of 22.05, 24.11 and 26.05 (src/common/slurm_opt.c): names, the short one as `|A`, `=` takes a value, `=?` may take one."""

_NEVER = {
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
_UNLESS_ALLOWED = {
    "chdir": "use spec.executionDirectory",
    "hold": "use spec.suspend",
    "cluster-constraint": "another cluster of the federation could take the job",
    "context": "it changes the job's security context",
}
TOKEN_PREFIX = "slurmgate:"
MAX_COMMENT = 1024
_SPACE = " \t\n\v\f\r"


class Takes(Enum):
    """Whether an option takes a value."""

    NOTHING = ""
    VALUE = "="
    OPTIONAL = "=?"


def _table() -> tuple[dict[str, str], dict[str, str], dict[str, Takes]]:
    long, short, takes = {}, {}, {}
    for names, kind in re.findall(r"([a-zA-Z|-]+)(=?\??)", _OPTIONS):
        first, *others = names.split("|")
        takes[first] = Takes(kind)
        long.update({name: first for name in (first, *others) if len(name) > 1})
        short.update({name: first for name in others if len(name) == 1})
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

    def __str__(self) -> str:
        return f"--{self.name}" if self.value is None else f"--{self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Directives:
    """What the `#SBATCH` lines of a script ask for."""

    options: tuple[Option, ...]
    het: bool
    """The lines describe several components (`#SBATCH hetjob`)."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What sbatch is told, and what follows from it together with the script's own lines."""

    arguments: tuple[str, ...]
    job_name: str
    array: str | None
    output: str
    """Pattern of the standard output's path (man sbatch, filename pattern)."""
    error: str | None
    """Pattern of the standard error's path; None: the same file as the output."""
    chdir: str | None
    names: frozenset[str]
    """Names of all options that are set anywhere."""


def parse(words: Iterable[Word], *, allowed: Collection[str] = ()) -> tuple[Option, ...]:
    """Read words as getopt_long does. Options that are not Slurm's own (SPANK) must be in `allowed`, and be `--name[=value]`.

    Raises:
        NotUnderstoodError: naming the word and its place.
    """
    return tuple(_options(iter(words), frozenset(allowed)))


def _options(words: Iterator[Word], allowed: frozenset[str]) -> Iterator[Option]:
    for word in words:
        if word.text.startswith("--") and len(word.text) > 2:  # noqa: PLR2004
            yield _long(word, words, allowed)
        elif word.text.startswith("-") and word.text not in {"-", "--"}:
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
            return Option(full, _value_of(full, word.where, rest), word.where)
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
                yield Option(full, letters or _value_of(full, word.where, rest), word.where)
                return


def _value_of(name: str, where: str, rest: Iterator[Word]) -> str:
    following = next(rest, None)
    # sbatch drops a word ":" before it reads the others, wherever it stands
    if following is None or following.text == ":":
        raise NotUnderstoodError(f"{where}: --{name} needs a value")
    return following.text


def head(script: bytes) -> bytes:
    """The comment and blank lines before the first command: the part in which sbatch looks for `#SBATCH`."""
    end = 0
    for line in _lines(script):
        text = line.strip(_SPACE.encode())
        if text and not text.startswith(b"#"):
            break
        end += len(line)
    return script[:end]


def _lines(script: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+", script)


def directives(script: bytes, *, allowed: Collection[str] = ()) -> Directives:
    """Read the `#SBATCH` lines of a script.

    Raises:
        NotUnderstoodError: naming the word and its line.
    """
    components: list[list[Word]] = [[]]
    for number, line in enumerate(_lines(head(script)), start=1):
        match = re.match(rb"#(?:SBATCH|SLURM)", line)
        if match is None:
            continue
        text = line[match.end() :].decode("utf-8", "surrogateescape").rstrip("\n")
        if re.match(rf"[{_SPACE}]*(het|pack)job(?![^{_SPACE}])", text, re.IGNORECASE):
            components.append([])
        components[-1].extend(Word(word, f"line {number} of the script") for word in _split(text, number))
    options = tuple(option for component in components for option in parse(component, allowed=allowed))
    if not any(option.name == "ignore-pbs" for option in options):
        _refuse_foreign_directives(script)
    return Directives(options, het=len(components) > 1)


def _split(text: str, number: int) -> Iterator[str]:
    """The words of one line, by the rules of sbatch's get_argument()."""
    where = f"line {number} of the script"
    position = 0
    while True:
        while position < len(text) and text[position] in _SPACE:
            position += 1
        separator = re.compile(rf"(het|pack)job(?![^{_SPACE}])", re.IGNORECASE).match(text, position)
        if separator:
            position = separator.end()
        word, quote = "", ""
        while position < len(text) and (quote or text[position] not in _SPACE):
            character = text[position]
            position += 1
            if character == "\\":
                if text[position : position + 1].strip(_SPACE) == "":
                    raise NotUnderstoodError(f"{where}: write spaces in quotes; versions of sbatch differ on '\\ '")
                word += text[position]
                position += 1
            elif quote:
                quote, word = ("", word) if character == quote else (quote, word + character)
            elif character in "\"'":
                quote = character
            elif character == "#":
                position = len(text)
            else:
                word += character
        if quote:
            raise NotUnderstoodError(f"{where}: {quote} is not closed")
        if not word:  # the end, a comment, or '' which ends the line for sbatch, too
            return
        yield word


def _refuse_foreign_directives(script: bytes) -> None:
    """Lines of PBS and LSF are translated by sbatch, which looks for them also among the first hundred commands."""
    commands = 0
    for number, line in enumerate(_lines(script), start=1):
        commands += not line.startswith(b"#")
        if commands > 100:  # noqa: PLR2004
            return
        if line.startswith((b"#PBS", b"#BSUB")):
            raise NotUnderstoodError(
                f"line {number} of the script: #PBS and #BSUB lines are not understood; write them as #SBATCH lines, "
                "or add a line '#SBATCH --ignore-pbs'"
            )


def resolve(
    spec: JobSubmissionSpec,
    script: Directives,
    *,
    token: str,
    name: str,
    held: bool,
    defaults: Defaults,
    allow: Collection[str] = (),
    deny: Collection[str] = (),
) -> Resolved | Refused:
    """Apply the policy and the precedence. `name` is the job's name where nobody gave it one."""
    try:
        free = parse(
            [Word(text, f"spec.sbatchArguments[{index}]") for index, text in enumerate(spec.sbatch_arguments)],
            allowed=allow,
        )
    except NotUnderstoodError as error:
        return Refused(Reason.OPTION_NOT_ALLOWED, str(error))
    typed = tuple(_typed(spec))
    for option in (*free, *script.options):
        if refusal := _policy(option, allow, deny):
            return refusal
    for option in free:
        for field in typed:
            if field.name == option.name:
                return Refused(Reason.INVALID_SPEC, f"{option.where}: --{option.name} is also set by {field.where}")
    export = [variable.name for variable in spec.environment]
    return _merge((*typed, *free), script, export=export, token=token, name=name, held=held, defaults=defaults)


def _typed(fields: JobSubmissionSpec | Defaults) -> Iterator[Option]:
    for field, option in TYPED.items():
        value = getattr(fields, field, None)
        if value is not None:
            yield Option(option, str(value), f"spec.{type(fields).model_fields[field].alias}")


def _policy(option: Option, allow: Collection[str], deny: Collection[str]) -> Refused | None:
    why = _NEVER.get(option.name)
    if why is None and option.name not in {_LONG.get(name, name) for name in allow}:
        why = _UNLESS_ALLOWED.get(option.name)
    if why is None and option.name in {_LONG.get(name, name) for name in deny}:
        why = "the cluster does not allow it"
    return Refused(Reason.OPTION_NOT_ALLOWED, f"{option.where}: --{option.name} is refused: {why}") if why else None


def _merge(
    wanted: Sequence[Option],
    script: Directives,
    *,
    export: Sequence[str],
    token: str,
    name: str,
    held: bool,
    defaults: Defaults,
) -> Resolved | Refused:
    everything = {option.name: option.value for option in (*script.options, *wanted)}
    fallback = [option for option in _typed(defaults) if option.name not in everything]
    comment = f"{TOKEN_PREFIX}{token} {everything.get('comment') or ''}".rstrip()
    if len(comment.encode("utf-8", "surrogateescape")) > MAX_COMMENT:
        return Refused(Reason.INVALID_SPEC, f"--comment is longer than {MAX_COMMENT - len(TOKEN_PREFIX) - 37} bytes")
    arguments = ["--parsable", f"--comment={comment}"]
    if "job-name" not in everything:
        arguments.append(f"--job-name={name}")
    if held:
        arguments.append("--hold")
    if exported := _export(everything.get("export"), export):
        arguments.append(f"--export={exported}")
        wanted = [option for option in wanted if option.name != "export"]
    arguments += [str(option) for option in (*wanted, *fallback) if option.name != "comment"]
    array = everything.get("array")
    return Resolved(
        arguments=tuple(arguments),
        job_name=everything.get("job-name") or name,
        array=array,
        output=everything.get("output") or ("slurm-%A_%a.out" if array else "slurm-%j.out"),
        error=everything.get("error"),
        chdir=everything.get("chdir"),
        names=frozenset(everything),
    )


def _export(wish: str | None, names: Sequence[str]) -> str | None:
    """spec.environment reaches the job even where `--export=NONE` or a list was asked for."""
    if wish is None or not names:
        return None
    parts = wish.split(",")
    if any(part.upper() == "ALL" for part in parts):
        return None
    return ",".join([part for part in parts if part.upper() not in {"NONE", "NIL"}] + list(names))


def output_path(pattern: str, *, name: str, user: str, chdir: str | None) -> str:
    """What is known of an output path before the job has an id: name and user filled in, `%j`, `%A` and what differs
    between tasks or nodes left as it is. Relative to the working directory, or absolute.
    """
    values = {"x": name, "u": user}
    if "\\" in pattern:  # man sbatch: a backslash turns the replacement off
        path = pattern.replace("\\", "")
    else:
        path = re.sub(r"%[0-9]*([a-zA-Z%])", lambda match: values.get(match[1], match[0]), pattern)
    return path if chdir is None or path.startswith("/") else f"{chdir.rstrip('/')}/{path}"
