"""Somebody who attacks: with a kubeconfig of his own, and no more rights than the chart's edit role in one namespace."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.api import Json
from tests.world import World

ROLES = ("slurmgate-view", "slurmgate-edit")
"""What Kubernetes' own role `edit` is made to have by the chart."""


@dataclass(frozen=True)
class Person:
    """A real user of the API server."""

    world: World
    namespace: str
    kubeconfig: Path

    @classmethod
    def settle(cls, world: World, namespace: str) -> "Person":
        """A user who may edit submissions in this namespace, with a token in a kubeconfig."""
        account = f"--serviceaccount={namespace}:attacker"
        world.kubectl("create", "serviceaccount", "attacker", f"--namespace={namespace}")
        for role in ROLES:
            world.kubectl(
                "create", "rolebinding", f"attacker-{role}", f"--namespace={namespace}", f"--clusterrole={role}", account
            )
        view = yaml.safe_load(world.bed.kubernetes.kubeconfig.read_text())
        token = world.kubectl("create", "token", "attacker", f"--namespace={namespace}", "--duration=10h")
        view["users"] = [{"name": view["users"][0]["name"], "user": {"token": token}}]
        kubeconfig = world.bed.description.folder / f"attacker-{namespace}.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(yaml.safe_dump(view))
        return cls(world, namespace, kubeconfig)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """What comes of kubectl in his hands."""
        bed = self.world.bed
        common = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={bed.description.folder / 'kubectl'}"]
        return subprocess.run(
            [bed.kubernetes.kubectl, *common, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def create(self, body: Json) -> str:
        """`kubectl create`; the words with which the API server refuses, empty if it does not."""
        return self.kubectl("create", "--filename=-", stdin=self.world.yaml(body)).stderr
