from prometheus_client.parser import text_string_to_metric_families

from slurmgate.telemetry.metrics import Metrics

FORBIDDEN = {"submission", "namespace", "name", "uid", "token", "user", "owner", "job_id"}


def test_everything_promised_is_there_and_nothing_is_counted_by_submission() -> None:
    metrics = Metrics(version="1.2.3")
    metrics.submissions.labels("c", "Submitted").set(3)
    metrics.cluster_up.labels("c").set(1)
    metrics.submit_seconds.labels("c").observe(1)
    metrics.slurm_calls.labels("c", "sbatch", "ok").inc()
    metrics.slurm_call_seconds.labels("c", "sbatch").observe(0.1)
    metrics.ssh_connections.labels("c").set(2)
    metrics.ssh_connects.labels("c", "ok").inc()
    metrics.api_writes.labels("jobsubmissions/status", "PATCH", "ok").inc()
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}
    assert {name for name in families if name.startswith("slurmgate_")} == {
        "slurmgate_build_info",
        "slurmgate_leader",
        "slurmgate_submissions",
        "slurmgate_submissions_ended",
        "slurmgate_jobs_left_behind",
        "slurmgate_stray_jobs",
        "slurmgate_cluster_up",
        "slurmgate_submit_seconds",
        "slurmgate_slurm_calls",
        "slurmgate_slurm_call_seconds",
        "slurmgate_ssh_commands",
        "slurmgate_ssh_connections",
        "slurmgate_ssh_connects",
        "slurmgate_api_writes",
        "slurmgate_events_dropped",
        "slurmgate_plugin_calls",
        "slurmgate_directory_calls",
        "slurmgate_event_loop_lag_seconds",
    }
    assert "process_resident_memory_bytes" in families
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert not labels & FORBIDDEN
    assert families["slurmgate_build_info"].samples[0].labels == {"version": "1.2.3"}


def test_two_can_live_in_one_process() -> None:
    one, other = Metrics(version="1"), Metrics(version="1")
    one.cluster_up.labels("c").set(1)
    assert other.registry.get_sample_value("slurmgate_cluster_up", {"cluster": "c"}) is None
