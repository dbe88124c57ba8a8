"""The operator on this machine, run as the chart runs it in a Pod.

Everything that the chart renders is applied, and the process gets what its Deployment would give it: arguments, environment,
and the token of its ServiceAccount. A right that the chart forgets is missing here too.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bed.errors import BedError
from bed.kubernetes.binaries import binaries
from bed.life import Bed
from bed.ports import reserve
from bed.processes import tail

CHART = Path(__file__).parents[1] / "helm" / "slurmgate"
NAMESPACE = "slurmgate-system"
RELEASE = "slurmgate"
ADMISSION = "admissionregistration.k8s.io/v1"
READY_SECONDS = 60.0
HTTPS_PORT = 443

Json = dict[str, Any]

OWN_NAMESPACE: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


@dataclass(frozen=True)
class Installation:
    """The chart, applied to a bed; what its Deployment says is ready to be run."""

    bed: Bed
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log_name: str = "operator.log"

    def replica(self, number: int, **environment: str) -> "Installation":
        """The same for another Pod of the Deployment, with a name and a port of its own; `environment` replaces some of it."""
        port = reserve(self.bed.description.folder, f"operator-{number}", 1)[0]
        own = {"SLURMGATE_POD_NAME": f"{RELEASE}-{number}", "SLURMGATE_HTTP_PORT": str(port)}
        return replace(self, environment={**self.environment, **own, **environment}, log_name=f"operator-{number}.log")

    def start(self, *, command: Sequence[str] = (sys.executable, "-m", "slurmgate")) -> "Operator":
        """Start the operator and wait until it is ready. Its log is in the bed's folder."""
        log = self.bed.description.folder / self.log_name
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*command, *self.arguments],
                env={"PATH": os.environ["PATH"], **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        operator = Operator(process, log, int(self.environment["SLURMGATE_HTTP_PORT"]))
        operator.wait_until_ready()
        return operator

    def bury(self) -> None:
        """Take the Lease off one that was killed: it is known to be dead, so nobody has to wait until that runs out."""
        _kubectl(self.bed, "delete", "lease", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")

    def run(self) -> int:
        """Be the operator until it is interrupted, logs on the terminal."""
        command = [sys.executable, "-m", "slurmgate", *self.arguments]
        environment = {"PATH": os.environ["PATH"], **self.environment, "SLURMGATE_LOG_FORMAT": "console"}
        with subprocess.Popen(command, env=environment) as process:
            while True:
                with suppress(KeyboardInterrupt):  # the operator hears of it too, and stops cleanly
                    return process.wait()


@dataclass
class Operator:
    """A running operator."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def wait_until_ready(self) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BedError(f"The operator does not get ready. The end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """What /readyz says now."""
        try:
            return bool(self.get("/readyz"))
        except OSError:
            return False

    def get(self, path: str) -> str:
        """The answer of its own HTTP server; OSError for anything but success."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def stop(self) -> int:
        """Ask it to stop, as kubelet does, and wait for it."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()


def install(bed: Bed, values: Json) -> Installation:
    """Apply the chart to a bed. Applying it again changes what has changed."""
    if bed.kubectl("get", "deployment", RELEASE, f"--namespace={NAMESPACE}").returncode == 0:
        raise BedError(
            f"{bed.kubernetes.server} has Slurmgate installed already, in the namespace {NAMESPACE}: use another cluster."
        )
    port = reserve(bed.description.folder, "operator", 1)[0]
    local = {"log": {"format": "console"}, "extraEnv": [{"name": "SLURMGATE_HTTP_PORT", "value": str(port)}]}
    manifests = _rendered(bed, {**local, **values})
    others = [each for each in manifests if each["kind"] not in {"Deployment", "SlurmCluster"}]
    apply(bed, [OWN_NAMESPACE, *others])
    definitions = [each["metadata"]["name"] for each in others if each["kind"] == "CustomResourceDefinition"]
    _kubectl(bed, "wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in definitions))
    apply(bed, [each for each in manifests if each["kind"] == "SlurmCluster"])
    (deployment,) = (each for each in manifests if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    account = _mount_service_account(bed, pod["serviceAccountName"])
    server = urlsplit(bed.kubernetes.server)
    return Installation(
        bed,
        tuple(container["args"]),
        {
            **_environment(container),
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port or HTTPS_PORT),
            "SLURMGATE_SERVICE_ACCOUNT_DIRECTORY": str(account),
        },
    )


def _rendered(bed: Bed, values: Json) -> list[Json]:
    helm = binaries(["helm"]) / "helm"
    file = bed.description.folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command: list[str | Path] = [helm, "template", RELEASE, CHART, f"--namespace={NAMESPACE}", f"--values={file}"]
    command += [f"--api-versions={ADMISSION}/{kind}" for kind in _served(bed, ADMISSION)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BedError(f"helm template: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def _served(bed: Bed, version: str) -> list[str]:
    """The kinds of an API version that the server has; `helm install` would see for itself."""
    listing = json.loads(_kubectl(bed, "get", "--raw", f"/apis/{version}"))
    return [each["kind"] for each in listing["resources"]]


def _environment(container: Json) -> dict[str, str]:
    """A container's environment as kubelet fills it in."""
    fields = {"metadata.namespace": NAMESPACE, "metadata.name": f"{RELEASE}-on-this-machine"}
    return {
        variable["name"]: variable["value"] if "value" in variable else fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for variable in container["env"]
    }


def _mount_service_account(bed: Bed, name: str) -> Path:
    """What kubelet mounts into the Pod: the ServiceAccount's token and the authority of the API server."""
    folder = bed.description.folder / "serviceaccount"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "token").write_text(_kubectl(bed, "create", "token", name, f"--namespace={NAMESPACE}", "--duration=24h"))
    view = yaml.safe_load(_kubectl(bed, "config", "view", "--raw", "--minify", "--flatten"))
    authority = view["clusters"][0]["cluster"].get("certificate-authority-data")
    if authority is None:
        raise BedError(f"{bed.kubernetes.kubeconfig} has no certificate-authority for {bed.kubernetes.server}; a Pod has one.")
    (folder / "ca.crt").write_bytes(base64.b64decode(authority))
    return folder


def apply(bed: Bed, manifests: Sequence[Json]) -> None:
    """`kubectl apply` as the administrator."""
    _kubectl(bed, "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=yaml.safe_dump_all(manifests))


def _kubectl(bed: Bed, *arguments: str, stdin: str | None = None) -> str:
    done = bed.kubectl(*arguments, stdin=stdin)
    if done.returncode:
        raise BedError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
