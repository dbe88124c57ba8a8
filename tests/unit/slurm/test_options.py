"""sbatch's options, the policy about them, and which wish wins."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.cluster import Defaults
from slurmgate.slurm import options
from slurmgate.slurm.options import NotUnderstoodError, Option, Resolved, Takes, Word, output_path, parse, resolve
from tests.unit.slurm.support import TOKEN, spec

COMMENT = f"--comment=slurmgate:{TOKEN}"


def read(*words: str, allowed: tuple[str, ...] = ()) -> list[str]:
    return [option.word for option in parse([Word(word, "here") for word in words], allowed=allowed)]


SPELLINGS = {
    "long with =": (["--nodes=2"], ["--nodes=2"]),
    "long and another word": (["--nodes", "2"], ["--nodes=2"]),
    "short and another word": (["-N", "2"], ["--nodes=2"]),
    "short in one word": (["-N2"], ["--nodes=2"]),
    "short with =, which is part of the value": (["-N=2"], ["--nodes==2"]),
    "flags together": (["-HO"], ["--hold", "--overcommit"]),
    "flags and a value together": (["-HOn4"], ["--hold", "--overcommit", "--ntasks=4"]),
    "an unambiguous beginning": (["--part=x", "--excl"], None),
    "an unambiguous beginning alone": (["--part=x"], ["--partition=x"]),
    "a name that is the beginning of another": (["--mem=1G"], ["--mem=1G"]),
    "an empty value": (["--comment="], ["--comment="]),
    "a value that looks like an option": (["--comment", "--hold"], ["--comment=--hold"]),
    "an optional value": (["--nice=5"], ["--nice=5"]),
    "an optional value left out": (["--nice", "-H"], ["--nice", "--hold"]),
    "a short option with an optional value": (["-koff", "-k"], ["--no-kill=off", "--no-kill"]),
    "an alias": (["--tasks-per-node=2"], ["--ntasks-per-node=2"]),
    "a value with everything in it": (["--comment=a 'b' \"c\" $d `e` !"], ["--comment=a 'b' \"c\" $d `e` !"]),
}


@pytest.mark.parametrize(("words", "expected"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_all_spellings_of_sbatch_are_understood(words: list[str], expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(NotUnderstoodError, match="--excl could be any of exclude, exclusive"):
            read(*words)
    else:
        assert read(*words) == expected


NOT_UNDERSTOOD = {
    "a path": (["run.sh"], "'run.sh' is not an option"),
    "the value of an optional value as another word": (["--nice", "5"], "'5' is not an option"),
    "a single dash": (["-"], "'-' is not an option"),
    "the end of options": (["--", "x"], "'--' is not an option"),
    "a name that is missing": (["--=x"], "'--=x' is not an option"),
    "the het separator": ([":"], "':' is not an option"),
    "the het separator as a value": (["--comment", ":"], "--comment needs a value"),
    "a value that is missing": (["--nodes"], "--nodes needs a value"),
    "a value that is missing after flags": (["-HN"], "--nodes needs a value"),
    "a value where none belongs": (["--hold=yes"], "--hold takes no value"),
    "an unknown option": (["--frobnicate"], "--frobnicate is no option of sbatch"),
    "an unknown short option": (["-Z"], "-Z is no option of sbatch"),
    "an unknown letter among flags": (["-HZ"], "-Z is no option of sbatch"),
    "a beginning of several": (["--clus"], "--clus could be any of cluster-constraint, clusters"),
}


@pytest.mark.parametrize(("words", "message"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD.keys())
def test_what_is_not_understood_is_named(words: list[str], message: str) -> None:
    with pytest.raises(NotUnderstoodError) as problem:
        read(*words)
    assert str(problem.value).startswith(f"here: {message}")


def test_a_sites_own_option_is_known_if_the_cluster_says_so() -> None:
    assert read("--tmpfs=5G", "--fast", allowed=("tmpfs", "fast")) == ["--tmpfs=5G", "--fast"]
    with pytest.raises(NotUnderstoodError):
        read("--tmpfs", "5G", allowed=("tmpfs",))


OPTION_NAMES = st.sampled_from(sorted(options._TAKES))
VALUES = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=20).filter(
    lambda text: text != ":"
)


@given(st.lists(st.tuples(OPTION_NAMES, VALUES, st.integers(0, 3)), max_size=8))
def test_every_option_is_read_back_whatever_its_spelling(wishes: list[tuple[str, str, int]]) -> None:
    words, expected = [], []
    short = {name: letter for letter, name in options._SHORT.items()}
    for name, value, spelling in wishes:
        takes = options._TAKES[name]
        if takes is Takes.NOTHING or (takes is Takes.OPTIONAL and spelling % 2):
            words.append(f"-{short[name]}" if name in short and spelling > 1 else f"--{name}")
            expected.append(f"--{name}")
            continue
        expected.append(f"--{name}={value}")
        if takes is Takes.VALUE and spelling == 1:
            words += [f"--{name}", value]
        elif name in short and spelling == 2 and value:
            words.append(f"-{short[name]}{value}")
        elif takes is Takes.VALUE and name in short and spelling == 3:
            words += [f"-{short[name]}", value]
        else:
            words.append(f"--{name}={value}")
    assert read(*words) == expected
    assert read(*expected) == expected


def asked(*script: str, **fields: Any) -> Resolved | Refused:
    defaults = Defaults.model_validate(fields.pop("defaults", {}))
    more = {key: fields.pop(key) for key in ("allow", "deny", "held") if key in fields}
    lines = parse([Word(word, "line 2 of the script") for word in script], allowed=more.get("allow", ()))
    return resolve(spec(**fields), lines, token=TOKEN, name="job", defaults=defaults, **{"held": False, **more})


def arguments(*script: str, **fields: Any) -> list[str]:
    resolved = asked(*script, **fields)
    assert isinstance(resolved, Resolved), resolved
    return list(resolved.arguments)


PRECEDENCE: dict[str, tuple[list[str], dict[str, Any], list[str]]] = {
    "nothing asked for": ([], {}, ["--parsable", COMMENT, "--job-name=job"]),
    "a name in spec": ([], {"sbatchArguments": ["-J", "mine"]}, ["--parsable", COMMENT, "--job-name=mine"]),
    "a name in the script": (["--job-name=mine"], {}, ["--parsable", COMMENT]),
    "a comment in spec goes behind the token": (
        [],
        {"sbatchArguments": ["--comment=more words"]},
        ["--parsable", f"{COMMENT} more words", "--job-name=job"],
    ),
    "a comment in the script as well": (["--comment=mine"], {}, ["--parsable", f"{COMMENT} mine", "--job-name=job"]),
    "spec's comment over the script's": (
        ["--comment=script"],
        {"sbatchArguments": ["--comment=spec"]},
        ["--parsable", f"{COMMENT} spec", "--job-name=job"],
    ),
    "on hold": ([], {"held": True}, ["--parsable", COMMENT, "--job-name=job", "--hold"]),
    "a default": ([], {"defaults": {"partition": "batch"}}, ["--parsable", COMMENT, "--job-name=job", "--partition=batch"]),
    "the script over a default": (
        ["-p", "gpu"],
        {"defaults": {"partition": "batch"}},
        ["--parsable", COMMENT, "--job-name=job"],
    ),
    "a field over a default": (
        [],
        {"partition": "gpu", "defaults": {"partition": "batch"}},
        ["--parsable", COMMENT, "--job-name=job", "--partition=gpu"],
    ),
    "a field over the script": (
        ["-p", "x"],
        {"partition": "gpu"},
        ["--parsable", COMMENT, "--job-name=job", "--partition=gpu"],
    ),
    "an argument over the script": (
        ["-t", "5"],
        {"sbatchArguments": ["--time=9"]},
        ["--parsable", COMMENT, "--job-name=job", "--time=9"],
    ),
    "all typed fields": (
        [],
        {
            "partition": "a",
            "account": "b",
            "qos": "c",
            "nodes": "2-4",
            "tasks": 5,
            "cpusPerTask": 6,
            "memory": "7G",
            "gpus": "a100:2",
            "timeLimit": "1:00",
            "array": "0-9%2",
        },
        [
            "--parsable",
            COMMENT,
            "--job-name=job",
            "--partition=a",
            "--account=b",
            "--qos=c",
            "--nodes=2-4",
            "--ntasks=5",
            "--cpus-per-task=6",
            "--mem=7G",
            "--gpus=a100:2",
            "--time=1:00",
            "--array=0-9%2",
        ],
    ),
}


@pytest.mark.parametrize(("script", "fields", "expected"), PRECEDENCE.values(), ids=PRECEDENCE.keys())
def test_the_first_that_sets_an_option_wins(script: list[str], fields: dict[str, Any], expected: list[str]) -> None:
    assert arguments(*script, **fields) == expected


REFUSED: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "another user": ([], {"sbatchArguments": ["--uid=root"]}, "spec.sbatchArguments[0]: --uid is refused"),
    "another user, shortened": ([], {"sbatchArguments": ["-O", "--ui", "root"]}, "spec.sbatchArguments[1]: --uid is refused"),
    "another user in the script": (["--gid=0"], {}, "line 2 of the script: --gid is refused"),
    "even where allowed": (
        [],
        {"sbatchArguments": ["--wrap=id"], "allow": ["wrap"]},
        "spec.sbatchArguments[0]: --wrap is refused",
    ),
    "another cluster": (["-Mother"], {}, "line 2 of the script: --clusters is refused: the cluster is spec.clusterRef"),
    "another cluster by an alias": (["--cluster=other"], {}, "line 2 of the script: --clusters is refused"),
    "another directory": (
        [],
        {"sbatchArguments": ["-D/"]},
        "spec.sbatchArguments[0]: --chdir is refused: use spec.executionDirectory",
    ),
    "hold": (["--hold"], {}, "line 2 of the script: --hold is refused: use spec.suspend"),
    "waiting": ([], {"sbatchArguments": ["-W"]}, "spec.sbatchArguments[0]: --wait is refused"),
    "what the cluster denies": (
        ["--exclusive"],
        {"deny": ["exclusive"]},
        "line 2 of the script: --exclusive is refused: the cluster",
    ),
    "what it denies by another name": (["--ntasks-per-node=2"], {"deny": ["tasks-per-node"]}, "line 2 of the script"),
    "denied and allowed": (
        ["-D/"],
        {"deny": ["chdir"], "allow": ["chdir"]},
        "line 2 of the script: --chdir is refused: the cluster",
    ),
    "a path": ([], {"sbatchArguments": ["/bin/sh"]}, "spec.sbatchArguments[0]: '/bin/sh' is not an option"),
}


@pytest.mark.parametrize(("script", "fields", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_the_policy_names_option_and_place(script: list[str], fields: dict[str, Any], message: str) -> None:
    refused = asked(*script, **fields)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.OPTION_NOT_ALLOWED
    assert refused.message.startswith(message)


def test_an_admin_may_allow_a_directory() -> None:
    assert "--chdir=/scratch" in arguments(sbatchArguments=["-D", "/scratch"], allow=("chdir",))


def test_a_typed_field_and_the_same_argument_contradict_each_other() -> None:
    assert asked(timeLimit="5", sbatchArguments=["-N1", "-t", "9"]) == Refused(
        Reason.INVALID_SPEC, "spec.sbatchArguments[1]: --time is also set by spec.timeLimit"
    )


def test_a_comment_that_slurm_would_refuse_is_refused_here() -> None:
    assert isinstance(asked(sbatchArguments=["--comment=" + "x" * 900]), Resolved)
    refused = asked(sbatchArguments=["--comment=" + "é" * 490])
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INVALID_SPEC


EXPORTS = {
    "nothing said: everything is exported": ([], None),
    "everything, and more": (["--export=ALL,A=1"], None),
    "nothing": (["--export=NONE"], "--export=X,Y"),
    "a list": (["--export=A=1,B"], "--export=A=1,B,X,Y"),
    "nil": (["--export=nil"], "--export=X,Y"),
}


@pytest.mark.parametrize(("script", "expected"), EXPORTS.values(), ids=EXPORTS.keys())
def test_the_environment_of_spec_reaches_the_job_whatever_is_exported(script: list[str], expected: str | None) -> None:
    environment = [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]
    last = arguments(*script, environment=environment)[-1]
    assert last == (expected or "--job-name=job")


def test_without_an_environment_the_wish_stays_as_it_is() -> None:
    assert arguments("--export=NONE")[-1] == "--job-name=job"


PATHS = {
    "the default": ("slurm-%j.out", "slurm-%j.out"),
    "name and user": ("%x-%u-%A_%a.log", "my job-kirby-%A_%a.log"),
    "absolute": ("/scratch/%u/%j", "/scratch/kirby/%j"),
    "what differs between tasks": ("%t.%N.%n.%s.%J.%4j", "%t.%N.%n.%s.%J.%4j"),
    "a percent sign": ("100%%u", "100%%u"),
    "a backslash turns it off": (r"\%u-%j", "%%u-%%j"),
}


@pytest.mark.parametrize(("pattern", "path"), PATHS.values(), ids=PATHS.keys())
def test_output_paths_are_filled_in_as_far_as_is_known(pattern: str, path: str) -> None:
    assert output_path(pattern, name="my job", user="kirby", chdir=None) == path


def test_a_value_without_end_is_refused() -> None:
    endless = Option("output", "%x" * 2500, "line 2 of the script")
    refused = resolve(spec(), (endless,), token=TOKEN, name="job", held=False, defaults=Defaults())
    assert isinstance(refused, Refused)
    assert refused.message.endswith("--output is refused: its value is longer than 4096 bytes")


def test_what_the_cluster_denies_is_denied_to_typed_fields_too() -> None:
    refused = resolve(spec(qos="expensive"), (), token=TOKEN, name="job", held=False, defaults=Defaults(), deny=("qos",))
    assert isinstance(refused, Refused)
    assert refused.message.startswith("spec.qos: --qos is refused")


def test_a_percent_sign_in_the_name_of_the_job_is_no_pattern() -> None:
    assert output_path("%x", name="100%j", user="kirby", chdir=None) == "100%%j"


def test_output_paths_follow_a_change_of_directory() -> None:
    assert output_path("x", name="n", user="u", chdir="/scratch/") == "/scratch/x"
    assert output_path("/x", name="n", user="u", chdir="/scratch/") == "/x"


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_words_are_understood_or_refused(words: list[str]) -> None:
    with contextlib.suppress(NotUnderstoodError):
        assert all(isinstance(option, Option) for option in parse([Word(word, "x") for word in words]))
