"""The connection with Jobbergate: whom it believes, what it says of itself, and that it comes back."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typing_extensions import override

from bed import valhalla
from bed.jobbergate.person import Person
from bed.keys import server_key
from bed.operator import NAMESPACE
from tests.api import path
from tests.synced import in_sync, jobbergate_spec, made, name_of, out_of_sync, second_cluster, works
from tests.world import Submission, World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    synced_world.bed.jobbergate.realm.change(token_seconds=4)  # so that they end while somebody looks
    return synced_world


def test_the_version_of_the_api_is_in_the_status(world: World) -> None:
    in_sync(world)
    status = world.api.get(path("SlurmCluster", valhalla.CLUSTER))["status"]
    assert status["jobbergateVersion"] == world.bed.jobbergate.description.version


def test_clusters_with_clients_of_their_own_live_side_by_side(world: World, kirby: Person) -> None:
    with second_cluster(world, "midgard"):
        there = works(world, kirby, "midgard")
        here = works(world, kirby)

        assert Submission(world, valhalla.RESEARCH, f"jg-midgard-{there.id}").get()["spec"]["clusterRef"]["name"] == "midgard"
        assert made(world, here).get()["spec"]["clusterRef"]["name"] == valhalla.CLUSTER
        assert f"jg-midgard-{here.id}" not in world.submissions()
        assert name_of(there) not in world.submissions()


def test_a_secret_is_rotated_without_a_restart(world: World, kirby: Person) -> None:
    realm = world.bed.jobbergate.realm
    with second_cluster(world, "rotating"):
        in_sync(world, "rotating")
        new = realm.rotate("rotating")
        message = out_of_sync(world, "Invalid client or Invalid client credentials", "rotating")
        assert "no token for client rotating" in message
        assert new not in world.operator.log.read_text()

        world.make("Secret", "rotating", namespace=NAMESPACE, stringData={"secret": new})

        in_sync(world, "rotating")
        works(world, kirby, "rotating")


def test_tokens_that_end_are_replaced(world: World, kirby: Person) -> None:
    with second_cluster(world, "shortlived"):
        works(world, kirby, "shortlived")
        works(world, kirby, "shortlived")
        assert in_sync(world, "shortlived")


def test_a_client_that_may_not_speak_is_told_so_where_it_would(world: World, kirby: Person) -> None:
    with second_cluster(world, "mute", "jobbergate:job-submissions:read", "jobbergate:job-scripts:read"):
        row = kirby.submit(kirby.script(), client_id="mute", directory=None)
        submission = Submission(world, valhalla.RESEARCH, f"jg-mute-{row.id}")
        world.eventually(lambda: submission.name in world.submissions(), bool)

        untold = world.eventually(lambda: submission.condition("Synced"), lambda now: now.get("status") == "False")

        assert untold["reason"] == "JobbergateRefused"
        assert kirby.seen(row.id).status == "CREATED"


def test_a_secret_that_is_not_there_is_named(world: World) -> None:
    with world.cluster("secretless", jobbergate=jobbergate_spec(world, client="secretless")):
        assert "secretless" in out_of_sync(world, "Secret", "secretless")
        secret = world.bed.jobbergate.realm.add("secretless")
        world.make("Secret", "secretless", namespace=NAMESPACE, stringData={"secret": secret})
        in_sync(world, "secretless")


def test_a_private_authority_is_believed_when_it_is_given(world: World, kirby: Person) -> None:
    jobbergate = world.bed.jobbergate.description
    urls = {"url": jobbergate.https_url.removesuffix("/jobbergate"), "oidcUrl": jobbergate.https_issuer}
    authority = {"configMapKeyRef": {"name": "authority", "key": "ca.crt"}}
    with second_cluster(world, "tls", **urls) as cluster:
        out_of_sync(world, "certificate verify failed", "tls")
        world.make("ConfigMap", "authority", namespace=NAMESPACE, data={"ca.crt": jobbergate.certificate.read_text()})
        cluster.describe(jobbergate=jobbergate_spec(world, client="tls", certificateAuthority=authority, **urls))
        in_sync(world, "tls")
        works(world, kirby, "tls")

        jobbergate.certificate.write_text(server_key(jobbergate.certificate.with_suffix(".key"), "127.0.0.1").public)
        world.bed.jobbergate.service("front").restart()
        out_of_sync(world, "certificate verify failed", "tls")
        world.make("ConfigMap", "authority", namespace=NAMESPACE, data={"ca.crt": jobbergate.certificate.read_text()})
        in_sync(world, "tls")


def test_a_wrong_address_is_put_right_at_once(world: World) -> None:
    with second_cluster(world, "lost", url="http://127.0.0.1:9") as cluster:
        out_of_sync(world, "cannot be reached", "lost")
        cluster.describe(jobbergate=jobbergate_spec(world, client="lost"))
        in_sync(world, "lost", seconds=20)


class _Old(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"info": {"version": "4.9.0"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None:
        pass


def test_an_api_that_is_too_old_is_refused_in_words(world: World) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Old)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with second_cluster(world, "old", url=f"http://127.0.0.1:{server.server_port}"):
            assert out_of_sync(world, "4.9.0", "old") == "Jobbergate's API is 4.9.0; 5.0 is the oldest that works"
    finally:
        server.shutdown()
        server.server_close()
