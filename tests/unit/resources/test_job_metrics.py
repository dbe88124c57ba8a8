import pytest
from pydantic import ValidationError

from slurmgate.resources.jobbergate import JobMetrics

SECRET = {"name": "valhalla-influxdb", "key": "dsn"}


def test_a_secret_is_all_that_has_to_be_said() -> None:
    metrics = JobMetrics.model_validate({"dsnSecretRef": SECRET})
    assert (metrics.dsn_secret_ref.name, metrics.certificate_authority, metrics.interval_seconds) == (SECRET["name"], None, 60)


@pytest.mark.parametrize("wrong", [{}, {"dsnSecretRef": {"name": "a"}}, {"dsnSecretRef": SECRET, "intervalSeconds": 9}])
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobMetrics.model_validate(wrong)


def test_an_authority_is_in_one_place() -> None:
    (rule,) = JobMetrics.model_json_schema()["$defs"]["CertificateAuthority"]["x-kubernetes-validations"]
    assert rule["message"] == "exactly one of configMapKeyRef, secretKeyRef must be set"
