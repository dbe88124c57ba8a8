"""Jobbergate for the files that want it, without Slurm and Kubernetes."""

import os
from collections.abc import Iterator

import pytest

import bed
from bed.jobbergate.deployment import Deployment
from bed.jobbergate.person import Person


@pytest.fixture(scope="module")
def jobbergate() -> Iterator[Deployment]:
    running = bed.up(f"jobbergate-{os.getpid()}", slurm=False, kubernetes=False, jobbergate=True)
    yield running.jobbergate
    running.down()


@pytest.fixture
def alice(jobbergate: Deployment) -> Person:
    return Person(jobbergate, "alice@example.com")
