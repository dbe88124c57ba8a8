"""What stands beside Slurmgate in the same run: sbatch, as it is, in the two quickest plain ways."""

import asyncio
import time
from dataclasses import dataclass

import asyncssh

from benchmarks.load.ground import Ground

SESSIONS = 8
PROCESSES = 4
_SCRIPT = b"#!/bin/bash\ntrue\n"
_SBATCH = "sbatch --parsable --hold --output=/dev/null"
_LOCALLY = f"echo '#!/bin/bash\ntrue' >script && seq {{count}} | xargs -P{PROCESSES} -I_ {_SBATCH} script"


@dataclass(frozen=True)
class Rival:
    """A way to submit."""

    ground: Ground
    user: str

    def locally(self, count: int) -> float:
        """Seconds for so many on the login node itself, by some processes."""
        began = time.monotonic()
        self.ground.slurm("sh", "-c", _LOCALLY.format(count=count), user=self.user)
        return time.monotonic() - began

    async def over_ssh(self, count: int, *, sessions: int = SESSIONS) -> list[float]:
        """When each of so many was submitted, in seconds from the beginning: one connection, a script on stdin."""
        slurm = self.ground.bed.slurm.description
        places = asyncio.Semaphore(sessions)
        async with asyncssh.connect(
            slurm.host,
            slurm.port,
            username=self.user,
            client_keys=[str(slurm.users[self.user])],
            known_hosts=str(slurm.known_hosts_file),
            config=None,
            agent_path=None,
        ) as connection:
            began = time.monotonic()

            async def one() -> float:
                async with places:
                    done = await connection.run(_SBATCH, input=_SCRIPT, encoding=None, check=True)
                if not (done.stdout or b"").strip():
                    raise RuntimeError(f"sbatch: {done.stderr!r}")
                return time.monotonic() - began

            return sorted(await asyncio.gather(*(one() for _ in range(count))))
