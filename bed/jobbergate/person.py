"""Jobbergate as its people use it, by the requests of its web pages and its command line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen
from uuid import uuid4

from pydantic import BaseModel

from bed.jobbergate.deployment import Deployment

Json = dict[str, Any]
_BOUNDARY = "the-end-of-a-part"


class Submission(BaseModel):
    """A job submission as the API shows it to people."""

    id: int
    name: str
    owner_email: str
    client_id: str
    """The cluster."""
    status: str
    report_message: str | None
    job_script_id: int | None
    execution_directory: str | None
    sbatch_arguments: list[str] | None
    slurm_job_id: int | None
    slurm_job_state: str | None
    slurm_job_info: str | None
    is_archived: bool
    cloned_from_id: int | None


@dataclass(frozen=True)
class Person:
    """Somebody who has logged in to Jobbergate."""

    jobbergate: Deployment
    email: str
    timeout_seconds: float = 30.0

    def script(
        self, text: str = "#!/bin/bash\ntrue\n", *, name: str = "job.sh", files: Mapping[str, bytes] | None = None
    ) -> int:
        """Make a job script; its id. Further `files`, under whatever names, go with it."""
        script = int(self._ask("POST", "/job-scripts", {"name": name})["id"])
        self.upload(script, name, text.encode(), kind="ENTRYPOINT")
        for each, content in (files or {}).items():
            self.upload(script, each, content)
        return script

    def upload(self, script: int, name: str, content: bytes, *, kind: str = "SUPPORT") -> None:
        """Add a file to a job script, or replace the one of that name."""
        head = 'Content-Disposition: form-data; name="upload_file"; filename="file"\r\nContent-Type: application/octet-stream'
        body = f"--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
        where = f"/job-scripts/{script}/upload/{kind}?{urlencode({'filename': name})}"
        self._send("PUT", where, body, f"multipart/form-data; boundary={_BOUNDARY}")

    def delete_file(self, script: int, name: str) -> None:
        """Take a file off a job script."""
        self._ask("DELETE", f"/job-scripts/{script}/upload/{quote(name, safe='')}")

    def delete_script(self, script: int) -> None:
        """Delete a job script: what was made of it and is not submitted yet, is rejected."""
        self._ask("DELETE", f"/job-scripts/{script}")

    def submit(
        self,
        script: int,
        *arguments: str,
        name: str = "",
        client_id: str | None = None,
        directory: str | None = "/tmp",  # noqa: S108 - everybody has that on a cluster
        slurm_job_id: int | None = None,
    ) -> Submission:
        """Have a job script submitted by the cluster `client_id`; or tell of one submitted there, as `slurm_job_id`."""
        content = {
            "name": name or f"job-{uuid4().hex[:8]}",
            "job_script_id": script,
            "client_id": client_id or self.jobbergate.description.client_id,
            "execution_directory": directory,
            "sbatch_arguments": list(arguments) or None,
            "slurm_job_id": slurm_job_id,
        }
        return self._submission("POST", "/job-submissions", {key: value for key, value in content.items() if value is not None})

    def submission(self, number: int) -> Submission | None:
        """A submission as it is now; None if it has been deleted."""
        try:
            return self.seen(number)
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def seen(self, number: int) -> Submission:
        """A submission that is known to be there."""
        return self._submission("GET", f"/job-submissions/{number}")

    def progress(self, number: int) -> list[tuple[str, str | None]]:
        """The states of Slurm that the API was told for a submission, oldest first, each with its reason."""
        page = self._ask("GET", f"/job-submissions/{number}/progress?size=100&sort_field=timestamp")
        return [(each["slurm_job_state"], each["additional_info"]) for each in page["items"]]

    def cancel(self, number: int) -> Submission:
        """Ask for the end of a submission."""
        return self._submission("PUT", f"/job-submissions/cancel/{number}")

    def clone(self, number: int) -> Submission:
        """Submit the same once more."""
        return self._submission("POST", f"/job-submissions/clone/{number}")

    def archive(self, number: int) -> Submission:
        """Put a submission out of sight."""
        return self._submission("PUT", f"/job-submissions/{number}", {"is_archived": True})

    def force(self, number: int, status: str) -> Submission:
        """Say what a submission's status is, whatever the cluster says."""
        return self._submission("PUT", f"/job-submissions/{number}", {"status": status})

    def delete(self, number: int) -> None:
        """Delete a submission, whatever becomes of its job."""
        self._ask("DELETE", f"/job-submissions/{number}")

    def _submission(self, method: str, where: str, content: Json | None = None) -> Submission:
        return Submission.model_validate(self._ask(method, where, content))

    def _ask(self, method: str, where: str, content: Json | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        return self._send(method, where, body, "application/json")

    def _send(self, method: str, where: str, body: bytes | None, content_type: str) -> Any:
        headers = {"Authorization": f"Bearer {self.jobbergate.realm.person_token(self.email)}", "Content-Type": content_type}
        request = Request(self.jobbergate.description.url + where, body, headers, method=method)
        try:
            with urlopen(request, timeout=self.timeout_seconds) as answer:
                return json.loads(answer.read() or "null")
        except HTTPError as error:
            error.add_note(error.read().decode())
            raise
