"""What Prometheus is told. Labels are clusters, phases and outcomes; never submissions: there are too many of them.

The metrics live in a registry of their own, so that several of them (tests) can exist in one process.
"""

from contextlib import suppress
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series, and nobody reads them

_SUBMIT_BUCKETS: Final = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
_CALL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """All metrics of the operator."""

    def __init__(self, *, version: str) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("slurmgate_build", "The version that runs.", registry=registry).info({"version": version})
        self.leader = Gauge("slurmgate_leader", "1 while this process works, 0 while it stands by.", registry=registry)
        self.submissions = Gauge(
            "slurmgate_submissions", "Submissions that have not ended.", ["cluster", "phase"], registry=registry
        )
        self.submissions_ended = Counter(
            "slurmgate_submissions_ended", "Submissions that have ended.", ["cluster", "phase"], registry=registry
        )
        self.jobs_left_behind = Counter(
            "slurmgate_jobs_left_behind",
            "Deleted submissions that were let go although their job could not be cancelled.",
            ["cluster"],
            registry=registry,
        )
        self.stray_jobs = Gauge(
            "slurmgate_stray_jobs", "Jobs of ours in Slurm whose JobSubmission is gone.", ["cluster"], registry=registry
        )
        self.cluster_up = Gauge(
            "slurmgate_cluster_up", "1 while the cluster's controller answers.", ["cluster"], registry=registry
        )
        self.submit_seconds = Histogram(
            "slurmgate_submit_seconds",
            "From a submission being accepted to Slurm's job id.",
            ["cluster"],
            registry=registry,
            buckets=_SUBMIT_BUCKETS,
        )
        self.slurm_calls = Counter(
            "slurmgate_slurm_calls", "What clusters were asked.", ["cluster", "call", "outcome"], registry=registry
        )
        self.ssh_commands = Counter(
            "slurmgate_ssh_commands",
            "Commands run on login nodes. One may do what many calls ask for.",
            ["cluster", "outcome"],
            registry=registry,
        )
        self.slurm_call_seconds = Histogram(
            "slurmgate_slurm_call_seconds",
            "How long they took.",
            ["cluster", "call"],
            registry=registry,
            buckets=_CALL_BUCKETS,
        )
        self.ssh_connections = Gauge(
            "slurmgate_ssh_connections", "SSH connections that are open.", ["cluster"], registry=registry
        )
        self.ssh_connects = Counter(
            "slurmgate_ssh_connects", "Attempts to open one.", ["cluster", "outcome"], registry=registry
        )
        self.api_writes = Counter(
            "slurmgate_api_writes",
            "Writes to the Kubernetes API; the outcome is `ok` or the API server's reason.",
            ["resource", "verb", "outcome"],
            registry=registry,
        )
        self.events_dropped = Counter(
            "slurmgate_events_dropped", "Kubernetes events that were not posted.", ["why"], registry=registry
        )
        self.plugin_calls = Counter(
            "slurmgate_plugin_calls",
            "Calls of plugins; the outcome is `answered` or `failed`.",
            ["plugin", "outcome"],
            registry=registry,
        )
        self.directory_calls = Counter(
            "slurmgate_directory_calls",
            "Questions to the LDAP directory of a cluster; the outcome is `answered` or `failed`.",
            ["cluster", "outcome"],
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "slurmgate_event_loop_lag_seconds",
            "How much later than asked for the event loop woke a task, once a second.",
            registry=registry,
            buckets=_LAG_BUCKETS,
        )

    def forget_cluster(self, name: str) -> None:
        """It is gone: what it was like last says nothing any more."""
        for gauge in (self.cluster_up, self.stray_jobs):
            with suppress(KeyError):
                gauge.remove(name)

    def exposition(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)
