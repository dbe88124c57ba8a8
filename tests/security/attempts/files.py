"""Files and directories where they do not belong, other people's files, and scripts that change between check and use."""

from dataclasses import dataclass

from typing_extensions import override

from bed import valhalla
from bed.operator import NAMESPACE
from tests.api import Json
from tests.security.attempt import Ground, Loot, Preparation, Submitting, reached_sbatch, wrote
from tests.security.mutants import BOTTOMLESS, CARELESS, FORGETFUL, ONE_FOR_ALL, OPENHANDED
from tests.world import Submission

SECRET = "a secret of mario's"


def at(path: str) -> Loot:
    """A file of this path is there."""
    return lambda ground, submission: ground.exists(path.replace("ROUND", ground.round))


def beside(name: str) -> Loot:
    """A file of this name is in its directory."""
    return lambda ground, submission: ground.exists(f"{submission.status().get('workingDirectory', '/no')}/{name}")


def as_kirby(program: str) -> Preparation:
    """Something that kirby has done on the cluster before."""
    return lambda ground: ground.world.slurm("sh", "-c", program.replace("ROUND", ground.round), user="kirby")


def marios_secret(ground: Ground) -> None:
    """A script that mario alone may read, and a link of kirby's to it."""
    path = f"/home/mario/private-{ground.round}.sh"
    ground.world.write(f"{path}.new", f"#!/bin/sh\necho {SECRET!r}\n", user="mario")
    ground.world.slurm("mv", f"{path}.new", path, user="mario")  # another attempt may be reading it
    ground.world.slurm("ln", "-sfn", path, f"/home/kirby/link-{ground.round}.sh", user="kirby")


def overwritten(ground: Ground, _: Submission) -> bool:
    """What a link points to is not what it was."""
    return "precious" not in ground.inside("cat", f"/home/kirby/precious-{ground.round}")


def labelled_secret(**labels: str) -> Preparation:
    """A Secret of his namespace that he may not read."""
    return lambda ground: ground.world.make(
        "Secret", f"hidden-{ground.round}", labels=labels, stringData={"it": "what is hidden"}
    )


def big_values(ground: Ground) -> None:
    """A ConfigMap with a value that is too large, and one of which there can be too many."""
    ground.world.make("ConfigMap", f"big-{ground.round}", data={"large": "x" * 700 * 1024, "small": "x" * 100 * 1024})


BIG: Json = {"configMapKeyRef": {"name": "big-ROUND", "key": "large"}}
MANY: Json = {"configMapKeyRef": {"name": "big-ROUND", "key": "small"}}


@dataclass(frozen=True)
class Swapping(Submitting):
    """The script is another one as soon as it was looked at."""

    @override
    def set_out(self, ground: Ground) -> None:
        name = f"swapped-{ground.round}"
        ground.world.make("ConfigMap", name, data={"it": "#!/bin/sh\necho harmless\n"})
        super().set_out(ground)
        ground.world.eventually(self.submission(ground).status, lambda status: "user" in status)
        ground.world.make("ConfigMap", name, data={"it": "#!/bin/sh\n#SBATCH --hold\necho evil\n"})

    @override
    def got_in(self, ground: Ground) -> bool:
        status = self.submission(ground).status()
        script = ground.inside("sh", "-c", f"cat {status.get('workingDirectory', '/no')}/*.sh")
        return "evil" in script


ATTEMPTS = (
    Submitting(
        "a file above the directory",
        CARELESS,
        "must be a relative path without empty parts, '.' or '..'",
        at("/home/kirby/slurmgate/research/escaped-ROUND"),
        {"files": [{"name": "../../../../escaped-ROUND", "inline": "1"}]},
    ),
    Submitting(
        "a file among the operator's",
        CARELESS,
        "the folder .slurmgate belongs to the operator",
        beside(".slurmgate/forged"),
        {"files": [{"name": ".slurmgate/forged", "inline": "1"}]},
    ),
    Submitting(
        "a file behind a linked directory",
        CARELESS,
        "DirectoryNotWritable: .*in: is a symbolic link, files are not placed through it",
        at("/home/kirby/elsewhere-ROUND/file"),
        {"executionDirectory": "~/linked-ROUND", "files": [{"name": "in/file", "inline": "1"}]},
        prepare=as_kirby("mkdir -p elsewhere-ROUND linked-ROUND && ln -sfn ../elsewhere-ROUND linked-ROUND/in"),
    ),
    Submitting(
        "a file in the place of a link",
        CARELESS,
        "Completed",
        overwritten,
        {"executionDirectory": "~/links-ROUND", "files": [{"name": "result", "inline": "1"}]},
        prepare=as_kirby(
            "mkdir -p links-ROUND && echo precious >precious-ROUND && ln -sfn ../precious-ROUND links-ROUND/result"
        ),
    ),
    Submitting(
        "a directory in somebody's home",
        ONE_FOR_ALL,
        "DirectoryNotWritable: .*Permission denied",
        at("/home/mario/taken-ROUND"),
        {"executionDirectory": "/home/mario/taken-ROUND"},
    ),
    Submitting(
        "a directory by a link to somebody's home",
        ONE_FOR_ALL,
        "DirectoryNotWritable: .*Permission denied",
        at("/home/mario/linked-ROUND"),
        {"executionDirectory": "/home/kirby/to-mario-ROUND/linked-ROUND"},
        prepare=as_kirby("ln -sfn /home/mario to-mario-ROUND"),
    ),
    Submitting(
        "somebody's private script",
        ONE_FOR_ALL,
        "ScriptInvalid: spec.script.remotePath: .*Permission denied",
        wrote(SECRET),
        script={"remotePath": "/home/mario/private-ROUND.sh"},
        prepare=marios_secret,
    ),
    Submitting(
        "a link to somebody's private script",
        ONE_FOR_ALL,
        "ScriptInvalid: spec.script.remotePath: .*Permission denied",
        wrote(SECRET),
        script={"remotePath": "/home/kirby/link-ROUND.sh"},
        prepare=marios_secret,
    ),
    Swapping(
        "another script between check and use",
        FORGETFUL,
        "Completed",
        reached_sbatch,
        script={"configMapKeyRef": {"name": "swapped-ROUND", "key": "it"}},
    ),
    Submitting(
        "a secret in a variable",
        OPENHANDED,
        "ReferenceNotAllowed: .*does not carry the label slurmgate.dev/use",
        wrote("what is hidden"),
        {"environment": [{"name": "A0", "valueFrom": {"secretKeyRef": {"name": "hidden-ROUND", "key": "it"}}}]},
        script='echo "$A0"',
        prepare=labelled_secret(),
    ),
    Submitting(
        "a secret in a file",
        OPENHANDED,
        "ReferenceNotAllowed: .*does not carry the label slurmgate.dev/use",
        wrote("what is hidden"),
        {"files": [{"name": "it", "secretKeyRef": {"name": "hidden-ROUND", "key": "it"}}]},
        script="cat it",
        prepare=labelled_secret(**{"slurmgate.dev/use": "yes"}),
    ),
    Submitting(
        "the user mapping in a file",
        OPENHANDED,
        "ReferenceNotAllowed: .*operator's own namespace",
        wrote("users_id_mapping"),
        {"files": [{"name": "it", "configMapKeyRef": {"name": valhalla.MAPPING, "key": "ssh_mapping.yaml"}}]},
        namespace=NAMESPACE,
        script="cat it",
    ),
    Submitting(
        "somebody's private key in a file",
        OPENHANDED,
        "ReferenceNotAllowed: .*operator's own namespace",
        wrote("PRIVATE KEY"),
        {"files": [{"name": "it", "secretKeyRef": {"name": "mario-ssh-key", "key": "ssh-privatekey"}}]},
        namespace=NAMESPACE,
        script="cat it",
    ),
    Submitting(
        "a path to another namespace as the name of a secret",
        OPENHANDED,
        "is invalid: .*secretKeyRef.name",
        wrote("PRIVATE KEY"),
        {
            "files": [
                {
                    "name": "it",
                    "secretKeyRef": {"name": f"../../{NAMESPACE}/secrets/mario-ssh-key", "key": "ssh-privatekey"},
                }
            ]
        },
        script="cat it",
    ),
    Submitting(
        "many megabytes of variables",
        BOTTOMLESS,
        "InvalidSpec: spec.environment: .* bytes in all; the most is",
        reached_sbatch,
        {"environment": [{"name": f"A{number}", "valueFrom": MANY} for number in range(40)]},
        prepare=big_values,
    ),
    Submitting(
        "a variable that no program can be given",
        BOTTOMLESS,
        "InvalidSpec: spec.environment: A1 has 716800 bytes; the most is",
        reached_sbatch,
        {"environment": [{"name": "A0", "value": "1"}, {"name": "A1", "valueFrom": BIG}]},
        prepare=big_values,
    ),
    Submitting(
        "an option of five thousand letters",
        BOTTOMLESS,
        "OptionNotAllowed: .*longer than 4096 bytes",
        reached_sbatch,
        script=f"#SBATCH --mail-user={'x' * 5000}\ntrue",
    ),
    Submitting(
        "a hundred thousand bytes of directives",
        BOTTOMLESS,
        "OptionNotAllowed: .*more than 64 KiB of #SBATCH lines",
        reached_sbatch,
        script="#SBATCH --comment=abcdefghij\n" * 4000,
    ),
)
