"""The real Jobbergate Agent where an admin would have it run: inside the cluster, as root."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bed.jobbergate.programs import AGENT
from bed.life import Bed
from bed.slurm.services import Service

VERSION = AGENT.version
_RUN = "from jobbergate_agent.main import main; main()"
_READY = b"Exiting 'schedule_tasks'"
_SCONTROL = Path(__file__).with_name("scontrol.sh")
_PREFIX = "JOBBERGATE_AGENT_"


def agent(bed: Bed, *, user: str, interval_seconds: int = 60, commands: Mapping[str, str] | None = None) -> Service:
    """The Agent, which submits everything as `user` and looks for the first time when an interval is over.

    Absolute paths in `commands` take the place of Slurm's own (sbatch, scontrol, scancel).
    """
    namespace = bed.slurm.namespace
    folder = namespace.folder / "agent"
    folder.mkdir(exist_ok=True)
    scontrol = folder / _SCONTROL.name
    shutil.copy(_SCONTROL, scontrol)
    paths = {**bed.slurm.description.commands, "scontrol": f"/run/bed/agent/{_SCONTROL.name}", **(commands or {})}
    gate = bed.jobbergate.description
    issuer = urlsplit(gate.issuer)
    settings = {
        "BASE_API_URL": gate.url.removesuffix("/jobbergate"),
        "OIDC_DOMAIN": issuer.netloc + issuer.path,
        "OIDC_USE_HTTPS": "false",
        "OIDC_CLIENT_ID": gate.client_id,
        "OIDC_CLIENT_SECRET": bed.jobbergate.realm.settings.clients[gate.client_id].secret,
        "CACHE_DIR": "/run/bed/agent/cache",
        "SINGLE_USER_SUBMITTER": user,
        "TASK_JOBS_INTERVAL_SECONDS": str(interval_seconds),
        **{f"{name.upper()}_PATH": paths[name] for name in ("sbatch", "scontrol", "scancel")},
    }
    # It would read an .env file of the working directory.
    environment = ["env", "--chdir=/run/bed/agent", *(f"{_PREFIX}{name}={value}" for name, value in settings.items())]
    log = namespace.folder / "log" / "agent.log"
    log.touch()
    before = log.stat().st_size
    return Service(
        name="agent",
        namespace=namespace,
        argv=[*environment, str(AGENT.python()), "-c", _RUN],
        ready=lambda: _READY in log.read_bytes()[before:],
    )
