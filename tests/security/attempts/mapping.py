"""What somebody writes into a user mapping who may edit it, and is to run as nobody but people."""

import json
from dataclasses import dataclass

from typing_extensions import override

from bed.operator import NAMESPACE
from tests.api import Json
from tests.security.attempt import LAB, Attempt, Ground
from tests.security.mutants import EXPANDING, GENEROUS, HOSPITABLE, LOADING
from tests.world import Cluster, Submission

SECRET = "ssh_private_key_secret: {name: kirby-ssh-key, key: ssh-privatekey}"
KEY = {"ssh_private_key_secret": {"name": "kirby-ssh-key", "key": "ssh-privatekey"}}
HONEST = {"mail": "kirby@example.org", "mapped_user": "kirby", **KEY}


@dataclass(frozen=True)
class Mapping(Attempt):
    """A mapping with a forged entry beside an honest one, for a cluster of its own."""

    entries: tuple[Json, ...] | str = ()
    owner: str = "mario@example.org"
    """Who then submits."""
    user: str = ""
    """As whom he would."""

    def names(self, ground: Ground) -> tuple[Cluster, Submission, Submission]:
        """The cluster, what is submitted there, and a neighbour's."""
        name = f"{self.slug[:40].strip('-')}-{ground.round}"
        return (
            Cluster(ground.world, name),
            Submission(ground.world, LAB, name),
            Submission(ground.world, LAB, f"{name}-neighbour"),
        )

    @override
    def set_out(self, ground: Ground) -> None:
        cluster, submission, neighbour = self.names(ground)
        text = (
            self.entries.replace("CANARY", f"{ground.world.bed.description.folder}/{cluster.name}")
            if isinstance(self.entries, str)
            else json.dumps({"users_id_mapping": [HONEST, *self.entries]})
        )
        ground.world.make("ConfigMap", cluster.name, namespace=NAMESPACE, data={"ssh_mapping.yaml": text})
        cluster.describe(identity={"mapping": {"configMap": cluster.name}})
        for each, owner in ((submission, self.owner), (neighbour, HONEST["mail"])):
            ground.world.submit("true", name=each.name, namespace=LAB, owner=owner, clusterRef={"name": cluster.name})

    @override
    def refusal(self, ground: Ground) -> str:
        cluster, submission, neighbour = self.names(ground)
        submission.wait_for(lambda status: bool(status.get("phase") == "Rejected"))
        neighbour.wait_for_phase("Done")
        return f"{submission.condition('Ready')['message']} {cluster.condition('MappingValid')['message']}"

    @override
    def got_in(self, ground: Ground) -> bool:
        cluster, submission, _ = self.names(ground)
        if (ground.world.bed.description.folder / cluster.name).exists():
            return True
        return bool(submission.status().get("user") == self.user)

    @override
    def clean_up(self, ground: Ground) -> None:
        cluster, submission, neighbour = self.names(ground)
        for each in (submission, neighbour):
            if not each.is_gone():
                each.delete(wait=False)
        ground.world.kubectl("delete", "slurmcluster", cluster.name)


def forged(mapped_user: str, mail: str = "mario@example.org") -> Json:
    """An entry with kirby's key."""
    return {"mail": mail, "mapped_user": mapped_user, **KEY}


ALIASED = f"""\
users_id_mapping:
  - &honest {json.dumps(HONEST)}
"""

BOMB = f"{ALIASED}  - {{mail: mario@example.org, mapped_user: kirby, user: &l0 [x, x, x, x, x, x, x, x, x, x]}}\n" + "".join(
    f"  - {{mail: m{level}@example.org, mapped_user: kirby, user: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]}}\n"
    for level in range(1, 6)
)
"""Ten lines, a million words."""


@dataclass(frozen=True)
class Bomb(Mapping):
    """A mapping that is to keep the operator busy."""

    @override
    def got_in(self, ground: Ground) -> bool:
        return not ground.answers()


ATTEMPTS = (
    *(
        Mapping(f"mapped to {what}", HOSPITABLE, "is a system account", (forged(user),), user=user)
        for what, user in {"root": "root", "slurm": "slurm", "a unit of systemd": "systemd-network"}.items()
    ),
    *(
        Mapping(f"mapped to {what}", HOSPITABLE, "is not a user name", (forged(user),), user=user)
        for what, user in {
            "an option": "-oProxyCommand=id",
            "a path": "../mario",
            "a command": "mario;id",
            "capital letters": "ROOT",
            "root in other letters": "ｒｏｏｔ",
            "a number": "0",
        }.items()
    ),
    Mapping(
        "a second entry for somebody",
        HOSPITABLE,
        "is written 2 times and none of them is used",
        (forged("mario"), forged("kirby")),
        user="kirby",
    ),
    Mapping(
        "a mail for everybody",
        GENEROUS,
        "peach@example.org is not in the user mapping",
        (forged("kirby", mail="*@example.org"),),
        owner="peach@example.org",
        user="kirby",
    ),
    Mapping(
        "an alias",
        LOADING,
        "aliases and tags are not used",
        f"{ALIASED}  - {{mail: mario@example.org, mapped_user: &user kirby, {SECRET}}}\n"
        f"  - {{mail: peach@example.org, mapped_user: *user, {SECRET}}}\n",
        owner="peach@example.org",
        user="kirby",
    ),
    Mapping(
        "a merge of another entry",
        LOADING,
        "aliases and tags are not used|unknown field",
        ALIASED + "  - {<<: *honest, mail: mario@example.org}\n",
        user="kirby",
    ),
    Mapping(
        "a python object",
        LOADING,
        "mapped_user: Input should be a valid string",
        ALIASED + "  - {mail: mario@example.org, mapped_user: !!python/object/apply:os.mkdir [CANARY]}\n",
    ),
    Bomb("a bomb of aliases", EXPANDING, "user: Input should be a valid string", BOMB),
)
