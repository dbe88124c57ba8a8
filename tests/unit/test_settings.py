import socket
from pathlib import Path

import pytest

from slurmgate import settings
from slurmgate.settings import SettingsError

POD = {"SLURMGATE_NAMESPACE": "slurmgate", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.fixture(autouse=True)
def _pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in POD.items():
        monkeypatch.setenv(name, value)


def test_little_has_to_be_set() -> None:
    chosen = settings.load()
    assert chosen.namespace == "slurmgate"
    assert chosen.pod_name == socket.gethostname()
    assert (chosen.lease_duration, chosen.lease_renew_deadline, chosen.lease_retry_period) == (15, 10, 2)
    assert (chosen.log_format, chosen.log_level) == ("json", "INFO")
    assert chosen.plugins == ()
    assert (chosen.http_host, chosen.http_port) == ("0.0.0.0", 8080)
    assert chosen.service_account_directory == Path("/var/run/secrets/kubernetes.io/serviceaccount")
    assert (chosen.kubernetes_service_host, chosen.kubernetes_service_port) == ("10.96.0.1", 443)


def test_everything_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMGATE_POD_NAME", "slurmgate-0")
    monkeypatch.setenv("SLURMGATE_LOG_FORMAT", "console")
    monkeypatch.setenv("SLURMGATE_HTTP_PORT", "0")
    monkeypatch.setenv("SLURMGATE_PLUGINS", "staff, house-rules,")
    monkeypatch.setenv("SLURMGATE_SERVICE_ACCOUNT_DIRECTORY", "/account")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    chosen = settings.load()
    assert chosen.pod_name == "slurmgate-0"
    assert chosen.log_format == "console"
    assert chosen.plugins == ("staff", "house-rules")
    assert chosen.http_port == 0
    assert chosen.service_account_directory == Path("/account")
    assert chosen.kubernetes_service_port == 6443


def test_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMGATE_LOG_LEVEL", "")
    assert settings.load().log_level == "INFO"
    monkeypatch.setenv("SLURMGATE_NAMESPACE", "")
    with pytest.raises(SettingsError, match="SLURMGATE_NAMESPACE"):
        settings.load()


def test_what_is_wrong_is_named_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    monkeypatch.setenv("SLURMGATE_HTTP_PORT", "eighty")
    monkeypatch.setenv("SLURMGATE_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError) as raised:
        settings.load()
    message = str(raised.value)
    assert "\n" not in message
    assert "SLURMGATE_HTTP_PORT: Input should be a valid integer" in message
    assert "SLURMGATE_LOG_FORMAT: Input should be 'json' or 'console'" in message
    assert "KUBERNETES_SERVICE_HOST: is not set" in message


@pytest.mark.parametrize(
    ("duration", "deadline", "period", "complaint"),
    [
        ("10", "10", "2", "SLURMGATE_LEASE_RENEW_DEADLINE: Value error, has to be less than SLURMGATE_LEASE_DURATION"),
        (
            "15",
            "10",
            "5.1",
            "SLURMGATE_LEASE_RETRY_PERIOD: Value error, has to be at most half of SLURMGATE_LEASE_RENEW_DEADLINE",
        ),
        ("15", "10", "0", "SLURMGATE_LEASE_RETRY_PERIOD: Input should be greater than 0"),
        ("1.5", "1", "0.5", "SLURMGATE_LEASE_DURATION: Input should be a valid integer"),
    ],
)
def test_a_lease_that_cannot_be_kept_is_refused(
    monkeypatch: pytest.MonkeyPatch, duration: str, deadline: str, period: str, complaint: str
) -> None:
    monkeypatch.setenv("SLURMGATE_LEASE_DURATION", duration)
    monkeypatch.setenv("SLURMGATE_LEASE_RENEW_DEADLINE", deadline)
    monkeypatch.setenv("SLURMGATE_LEASE_RETRY_PERIOD", period)
    with pytest.raises(SettingsError, match=complaint):
        settings.load()


def test_they_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings.load()
    monkeypatch.setenv("SLURMGATE_NAMESPACE", "other")
    assert chosen.namespace == "slurmgate"
    with pytest.raises(ValueError, match="frozen"):
        chosen.namespace = "other"  # type: ignore[misc]
