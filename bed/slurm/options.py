"""What can be set about the bed's Slurm. The defaults are a real cluster's, except where one would have to wait."""

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """Knobs of one cluster, fixed when it starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: int = Field(default=4, ge=1, le=64)
    cpus: int = 64
    """CPUs that each node claims to have; nothing checks them against the machine."""
    accounting: bool = True
    """slurmdbd with its database. Without it `sacct` answers that accounting is disabled."""
    min_job_age: int = 300
    """Seconds for which squeue still shows a finished job."""
    slurmd_timeout: int = 10
    """Seconds after which a node that is silent counts as down (Slurm's default: 300)."""
    message_timeout: int = 30
    """Seconds after which Slurm's commands give up on a controller that does not answer (Slurm's default: 10)."""
    kill_wait: int = 2
    """Seconds between SIGTERM and SIGKILL for a job (Slurm's default: 30)."""
    private_data: str = "jobs"
    """PrivateData, in slurm.conf and slurmdbd.conf alike; empty: everybody sees everything, which is Slurm's default."""
    crowd: int = Field(default=0, ge=0, le=1000)
    """So many users more than usual: user1, user2, ..."""
    max_sessions: int = 10
    """MaxSessions of sshd, per connection."""
    max_startups: str = "10:30:100"
    """MaxStartups of sshd, for connections that have not authenticated yet."""
    listen: tuple[str, ...] = ("127.0.0.1",)
    """Addresses on which sshd listens; each must exist when sshd starts."""
    jump: bool = False
    """A second sshd for the same people, through which one can get to the first."""
    rest: bool = False
    """slurmrestd as a daemon, with JWT. (`slurmrestd` over an SSH session needs no daemon.)"""
    profile: bool = False
    """InfluxDB, with TLS and a password, and Slurm's plugin that writes what jobs with `--profile` use into it."""
    extra_conf: str = ""
    """Lines added to slurm.conf."""

    @property
    def node_names(self) -> list[str]:
        """What Slurm calls the nodes, and the bed their daemons."""
        return [f"node{number}" for number in range(1, self.nodes + 1)]
