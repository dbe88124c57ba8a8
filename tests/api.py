"""The API server as tests talk to it: the requests of kubectl without a process for each, which is a hundredth of the price."""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bed.life import Bed
from bed.processes import launch, wait_until

Json = dict[str, Any]
OURS = "/apis/slurmgate.dev/v1alpha1"
_POLL_SECONDS = 0.1


def path(kind: str, name: str, namespace: str | None = None) -> str:
    """Where the API server keeps an object of these kinds: ours, and those of the core group."""
    group = OURS if kind in {"JobSubmission", "SlurmCluster"} else "/api/v1"
    return f"{group}{f'/namespaces/{namespace}' if namespace else ''}/{kind.lower()}s/{name}"


@dataclass(frozen=True)
class Somebody:
    """A user of Kubernetes (`kubectl --as --as-group`); requests without one are the administrator's."""

    name: str
    group: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Of requests in this name."""
        return {"Impersonate-User": self.name, **({"Impersonate-Group": self.group} if self.group else {})}


@dataclass(frozen=True)
class Api:
    """The API server of a bed."""

    bed: Bed
    timeout_seconds: float = 30.0

    def get(self, where: str) -> Json:
        """An object or a list: `kubectl get --raw`."""
        return self._ask("GET", where)

    def create(self, manifest: Json, *, who: Somebody | None = None, query: str = "") -> Json:
        """`kubectl create`; the object as the API server keeps it."""
        metadata = manifest["metadata"]
        where = path(manifest["kind"], "", metadata.get("namespace")).rstrip("/")
        return self._ask("POST", where + query, manifest, who=who)

    def refusal(self, manifest: Json, *, who: Somebody) -> str:
        """The words with which it refuses to create this for somebody; empty if it would not (`--dry-run=server`)."""
        try:
            self.create(manifest, who=who, query="?dryRun=All")
        except HTTPError as error:
            return str(json.loads(error.__notes__[0])["message"])
        return ""

    def apply(self, manifest: Json) -> None:
        """`kubectl apply --server-side --force-conflicts`."""
        metadata = manifest["metadata"]
        where = path(manifest["kind"], metadata["name"], metadata.get("namespace"))
        query = "?fieldManager=kubectl&force=true&fieldValidation=Strict"
        self._ask("PATCH", where + query, manifest, "application/apply-patch+yaml")

    def patch(self, where: str, change: Json, *, who: Somebody | None = None) -> None:
        """`kubectl patch --type=merge`."""
        self._ask("PATCH", where, change, "application/merge-patch+json", who=who)

    def delete(self, where: str, *, wait: bool) -> None:
        """`kubectl delete`."""
        self._ask("DELETE", where)
        while wait and self.has(where):
            time.sleep(_POLL_SECONDS)

    def has(self, where: str) -> bool:
        """Whether there is such an object."""
        try:
            self.get(where)
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _ask(
        self,
        method: str,
        where: str,
        body: Json | None = None,
        content_type: str = "application/json",
        *,
        who: Somebody | None = None,
    ) -> Json:
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = Request(
            self._proxy + where, content, {"Content-Type": content_type, **(who.headers if who else {})}, method=method
        )
        try:
            with urlopen(request, timeout=self.timeout_seconds) as answer:
                found: Json = json.load(answer)
                return found
        except HTTPError as error:
            error.add_note(error.read().decode())
            raise
        except HTTPException as error:  # it went in the middle of its answer
            raise ConnectionError(str(error)) from error

    @cached_property
    def _proxy(self) -> str:
        """A `kubectl proxy` that ends with this process."""
        bed, folder = self.bed.kubernetes, self.bed.description.folder
        log = folder / "kubectl-proxy.log"
        log.write_text("")
        argv = ["setpriv", "--pdeathsig=KILL", str(bed.kubectl), f"--kubeconfig={bed.kubeconfig}", "proxy", "--port=0"]
        process = launch("kubectl-proxy", argv, records=folder / "run", log=log)
        wait_until(lambda: "Starting to serve" in log.read_text(), alive=process.alive, log=log, what="kubectl proxy")
        return f"http://{log.read_text().split()[-1]}"
