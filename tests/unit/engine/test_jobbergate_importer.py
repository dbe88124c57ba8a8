"""When what waits in Jobbergate is listed, and that nobody waits for its files."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from slurmgate.engine.jobbergate.importer import AT_ONCE, Importer
from slurmgate.engine.jobbergate.manifests import Manifest
from slurmgate.engine.jobbergate.objects import Made, Objects
from slurmgate.engine.site import Site
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.wire import JobScript, Page, Pending, ScriptFile
from slurmgate.resources.jobbergate import Jobbergate

SETTINGS = Jobbergate.model_validate(
    {
        "url": "https://api.example.org",
        "oidcUrl": "https://issuer.example.org",
        "clientId": "valhalla",
        "clientSecretRef": {"name": "client", "key": "secret"},
        "namespace": "research",
    }
)


class Far:
    """Jobbergate, with so many submissions, each of a script of its own; its files come when `files` is set."""

    def __init__(self, count: int) -> None:
        self.waiting = list(range(1, count + 1))
        self.files = asyncio.Event()
        self.lists = 0

    async def pending(self, number: int) -> Page[Pending]:
        self.lists += 1
        return Page(tuple(map(pending, self.waiting)), (), len(self.waiting), number, 1)

    async def file(self, _: int, __: str) -> bytes:
        await self.files.wait()
        return b"#!/bin/sh\n"


class Cluster:
    """Kubernetes, where everything can be made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    async def make(self, manifest: Manifest) -> Made:
        self.made.append(manifest.origin.id)
        return Made(f"uid-{manifest.origin.id}")


def pending(number: int) -> Pending:
    entrypoint = ScriptFile(filename="job.sh", file_type="ENTRYPOINT")
    script = JobScript(id=number, name="script", owner_email="kirby@example.org", files=(entrypoint,))
    return Pending(id=number, name="n", owner_email="kirby@example.org", job_script=script)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def importer(far: Far, cluster: Cluster) -> Importer:
    known: set[int] = set()

    def made(_: str, manifest: Manifest, __: float) -> None:
        known.add(manifest.origin.id)

    here = cast("Any", SimpleNamespace(name="valhalla"))
    api, objects = cast("JobbergateApi", far), cast("Objects", cluster)
    return Importer(cast("Site", here), SETTINGS, api, objects, known=known.__contains__, made=made)


async def settled(importer: Importer) -> None:
    while importer.under_way:
        await asyncio.gather(*importer.under_way.values())


async def test_nobody_waits_for_files_and_each_is_made_once(cluster: Cluster) -> None:
    far = Far(AT_ONCE)
    importing = importer(far, cluster)
    await importing.import_pending()
    await importing.import_pending()
    assert (len(importing.under_way), far.lists, cluster.made) == (AT_ONCE, 2, [])

    far.files.set()
    await settled(importing)
    await importing.import_pending()
    await settled(importing)
    assert sorted(cluster.made) == far.waiting
    await importing.stop()


async def test_nothing_is_listed_while_more_waits_than_has_a_place(cluster: Cluster) -> None:
    far = Far(AT_ONCE + 1)
    importing = importer(far, cluster)
    await importing.import_pending()
    await importing.import_pending()
    assert far.lists == 1

    far.files.set()
    await settled(importing)
    await importing.import_pending()
    assert far.lists == 2
    assert sorted(cluster.made) == far.waiting
    await importing.stop()


async def test_what_is_stopped_leaves_nothing_behind(cluster: Cluster) -> None:
    importing = importer(Far(3 * AT_ONCE), cluster)
    await importing.import_pending()
    await importing.stop()
    assert (importing.under_way, cluster.made) == ({}, [])
