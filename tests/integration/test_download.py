"""Sources on a web server: brought whole or not at all, from where the operator allows, and nothing else is asked."""

import io
import json
import subprocess
import tarfile

import pytest

from file_server import FileServer
from processes import wait_until

MIB = 1 << 20


@pytest.fixture
def web():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def start(make_gateway, web):
    """A gateway that may fetch from the web server; `artifacts` says what else."""
    def start_one(allow=None, retries=3, **artifacts):
        gateway = make_gateway(rolloutd={"artifacts": {"allow": [web.url()] if allow is None else allow, **artifacts},
                                         "limits": {"retries": retries}})
        return gateway.start()
    return start_one


def model(answer, padding=0):
    """A model of the tests' inference server, as the one file that it is."""
    return json.dumps({"kind": "echo", "answer": answer, "padding": "x" * padding}).encode()


def packed(answer, padding=0):
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as archive:
        for name, body in (("mine/1/model.json", model(answer, padding)), ("mine/config.pbtxt", b'name: "mine"\n')):
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return into.getvalue()


def deploy(gateway, url, file, status="completed"):
    return gateway.deploy("m", status, source=url, **({"sha256": file.sha256} if file else {}))


def step(task, name="fetch"):
    return next(one for one in task["metadata"]["steps"] if one["name"] == name)


def test_a_file_is_fetched_and_served(start, web):
    gateway = start()
    file = web.add("model.json", model("from the web"))
    task = deploy(gateway, web.url("model.json"), file)
    assert gateway.infer("m") == "from the web"
    assert step(task)["detail"].startswith("1 file, ")
    assert gateway.files() == ["m__r1"]


def test_an_archive_is_fetched_unpacked_and_served(start, web):
    gateway = start()
    file = web.add("models/m.tar.gz", packed("unpacked"))
    task = deploy(gateway, web.url("models/m.tar.gz?signature=abc"), file)
    assert gateway.infer("m") == "unpacked"
    assert step(task)["detail"].startswith("2 files, ")


def test_a_template_makes_sources_on_the_web(start, web):
    gateway = start(source=web.url("{model_id}/{config.version}.tar.gz"), require_sha256=False)
    web.add("m/v7.tar.gz", packed("seven"))
    gateway.deploy("m", version="v7")
    assert gateway.infer("m") == "seven"


def test_progress_is_seen_while_it_downloads(start, web):
    gateway = start()
    file = web.add("model.json", model("slow", 4 * MIB), hold_after=2 * MIB)
    task = gateway.post("/deploy", {"model_id": "m", "config": {"source": web.url("model.json"), "sha256": file.sha256}}).task()
    seen = wait_until(lambda: (lambda now: now if 0 < now["metadata"].get("progress", 0) < 1 / 8 else None)(gateway.task(task)),
                      "progress within the step")
    assert seen["metadata"]["step"] == "fetch"
    assert " MiB of 4.0 MiB" in seen["detail"] and seen["detail"].startswith("Step fetch of revision 1 is running. ")
    file.release.set()
    gateway.wait(task, status="completed")


def test_a_broken_connection_is_resumed_where_it_broke(start, web):
    gateway = start(retries=0)
    file = web.add("model.json", model("resumed", 4 * MIB), etag='"v1"', break_after=[MIB, MIB])
    deploy(gateway, web.url("model.json"), file)
    assert gateway.infer("m") == "resumed"
    assert file.requests[0] == "" and len(file.requests) == 3
    assert all(int(wanted.removeprefix("bytes=").rstrip("-")) > 0 for wanted in file.requests[1:])


def test_without_a_checksum_and_an_etag_a_broken_download_starts_over(start, web):
    gateway = start(require_sha256=False)
    file = web.add("model.json", model("whole", 2 * MIB), break_after=[MIB])
    deploy(gateway, web.url("model.json"), None)
    assert gateway.infer("m") == "whole"
    assert file.requests == ["", ""]


def test_a_file_that_changes_between_two_connections_is_fetched_anew(start, web):
    gateway = start(require_sha256=False)
    old = web.add("model.json", model("old", 2 * MIB), etag='"v1"', hold_after=MIB)
    task = gateway.post("/deploy", {"model_id": "m", "config": {"source": web.url("model.json")}}).task()
    wait_until(lambda: old.sent >= MIB, "half of the file")
    new = web.add("model.json", model("new", 2 * MIB), etag='"v2"')
    old.breaks_when_released = True
    old.release.set()
    gateway.wait(task, status="completed")
    assert gateway.infer("m") == "new"
    assert new.requests[0].startswith("bytes=")


def test_a_server_without_ranges_sends_it_all_again(start, web):
    gateway = start()
    file = web.add("model.json", model("all again", 2 * MIB), ranges=False, break_after=[MIB])
    deploy(gateway, web.url("model.json"), file)
    assert gateway.infer("m") == "all again"


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_download_goes_on_after_rolloutd_went_away_in_its_midst(start, web, ending):
    gateway = start()
    file = web.add("model.json", model("later", 4 * MIB), hold_after=2 * MIB)
    task = gateway.post("/deploy", {"model_id": "m", "config": {"source": web.url("model.json"), "sha256": file.sha256}}).task()
    part = gateway.home / "repository.staging/m__r1/.download"
    wait_until(lambda: part.exists() and part.stat().st_size >= MIB, "a part of the file")
    getattr(gateway.rolloutd, ending)()
    file.release.set()
    gateway.rolloutd.start()
    gateway.wait(task, status="completed")
    assert gateway.infer("m") == "later"
    assert int(file.requests[-1].removeprefix("bytes=").rstrip("-")) >= MIB
    assert gateway.files() == ["m__r1"]


def test_a_download_that_is_canceled_ends_and_leaves_nothing(start, web):
    gateway = start()
    file = web.add("model.json", model("never", 4 * MIB), hold_after=2 * MIB)
    task = gateway.post("/deploy", {"model_id": "m", "config": {"source": web.url("model.json"), "sha256": file.sha256}}).task()
    wait_until(lambda: file.sent >= MIB, "a part of the file")
    gateway.post(f"/deploy/{task['task_id']}/cancel", "").task()
    gateway.wait(task, status="canceled")
    assert gateway.files() == []


def test_another_checksum_fails_the_task_and_leaves_nothing(start, web):
    gateway = start()
    web.add("model.json", model("tampered with"))
    task = gateway.deploy("m", "failed", source=web.url("model.json"), sha256="0" * 64)
    assert "the SHA-256 of " + web.url("model.json") + " is " in task["detail"]
    assert gateway.files() == []


def test_a_checksum_is_required_unless_the_operator_waives_it(start, web):
    gateway = start()
    web.add("model.json", model("any"))
    problem = gateway.post("/deploy", {"model_id": "m", "config": {"source": web.url("model.json")}}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/config/sha256"]
    assert web.files["model.json"].requests == []


def test_a_redirect_is_followed_to_an_allowed_place_only(start, web):
    other = FileServer()
    try:
        gateway = start(allow=[web.url("public/")])
        file = web.add("public/model.json", model("behind a redirect"))
        web.add("public/latest/model.json", b"", location="/public/model.json")
        deploy(gateway, web.url("public/latest/model.json"), file)
        assert gateway.infer("m") == "behind a redirect"

        secret = web.add("private/model.json", model("private"))
        elsewhere = other.add("model.json", model("elsewhere"))
        for place in ("/private/model.json", other.url("model.json"), "http://169.254.169.254/latest/meta-data/",
                      "file:///etc/passwd", "ftp://127.0.0.1/x", "/public/../private/model.json"):
            web.add("public/out", b"", location=place)
            task = deploy(gateway, web.url("public/out"), file, "failed")
            assert "redirects to a URL that is not allowed" in task["detail"], task["detail"]
        assert secret.requests == elsewhere.requests == []
    finally:
        other.close()


def test_of_a_redirects_body_no_more_is_read_than_it_takes_to_see_it(start, web):
    gateway = start()
    file = web.add("latest/the.json", model("behind it"))
    leads = web.add("latest/model.json", b"<html>" + bytes(64 * MIB), location="the.json")  # relative, as RFC 9110 allows
    deploy(gateway, web.url("latest/model.json"), file)
    assert gateway.infer("m") == "behind it"
    assert leads.sent < len(leads.body)
    endless = web.add("endless/model.json", b"<html>", location="/latest/the.json", length=1 << 50)  # and then nothing more comes
    gateway.deploy("endless", source=web.url("endless/model.json"), sha256=file.sha256)
    assert len(endless.requests) == 1


def test_redirects_are_bounded(start, web):
    gateway = start()
    file = web.add("round", b"", location="/round")
    task = deploy(gateway, web.url("round"), file, "failed")
    assert "redirects more than 5 times" in task["detail"]
    assert len(file.requests) == 6


def test_a_name_that_leads_to_this_machine_is_refused_unless_allowed(start, web):
    # Names under .localhost lead to loopback without any name server being asked (RFC 6761, 6.3).
    url = web.url("model.json", "models.localhost")
    gateway = start(allow=[web.url("", "models.localhost")])
    file = web.add("model.json", model("local"))
    task = deploy(gateway, url, file, "failed")
    assert "a loopback address, where models are not fetched from" in task["detail"]
    assert file.requests == []


def test_a_redirect_to_a_name_that_leads_to_this_machine_is_refused(start, web):
    gateway = start(allow=[web.url(), web.url("", "models.localhost")])
    file = web.add("model.json", model("local"))
    web.add("out", b"", location=web.url("model.json", "models.localhost"))
    task = deploy(gateway, web.url("out"), file, "failed")
    assert "a loopback address" in task["detail"]
    assert file.requests == []


def test_an_operator_may_allow_local_addresses(start, web):
    gateway = start(allow=[web.url("", "models.localhost")], allow_local=True)
    file = web.add("model.json", model("local"))
    deploy(gateway, web.url("model.json", "models.localhost"), file)
    assert gateway.infer("m") == "local"


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(start, web):
    gateway = start()
    file = web.add("model.json", model("at last"), status=[503, 429])
    task = deploy(gateway, web.url("model.json"), file)
    assert step(task)["attempts"] == 3
    task = deploy(gateway, web.url("missing.json"), file, "failed")
    assert step(task)["attempts"] == 1 and "answered 404" in task["detail"]


def test_what_is_too_large_is_refused_by_its_announced_size(start, web):
    gateway = start(max_bytes=MIB)
    file = web.add("model.json", model("large", MIB))
    task = deploy(gateway, web.url("model.json"), file, "failed")
    assert "is more than 1.0 MiB (artifacts.max_bytes)" in task["detail"]
    assert gateway.files() == []


def test_what_is_too_large_and_does_not_say_so_is_cut_off(start, web):
    gateway = start(max_bytes=MIB)
    file = web.add("model.json", model("large", 32 * MIB), length=None)
    task = deploy(gateway, web.url("model.json"), file, "failed")
    assert "is more than 1.0 MiB (artifacts.max_bytes)" in task["detail"]
    assert file.sent < len(file.body)
    assert gateway.files() == []


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_written(start, web):
    gateway = start(max_bytes=1 << 60)
    file = web.add("model.json", model("huge", 2 * MIB), length=1 << 55, hold_after=MIB)
    task = deploy(gateway, web.url("model.json"), file, "failed")
    assert " free: make room there and deploy again" in task["detail"]
    file.release.set()
    assert gateway.files() == []


def test_an_archive_on_the_web_is_bounded_by_what_it_unpacks_to(start, web):
    gateway = start(max_bytes=MIB)
    file = web.add("bomb.tar.gz", packed("bomb", 8 * MIB))
    assert len(file.body) < MIB
    task = deploy(gateway, web.url("bomb.tar.gz"), file, "failed")
    assert "unpacks to more than 1.0 MiB" in task["detail"]
    assert gateway.files() == []


def test_https_trusts_the_authority_that_the_operator_names(make_gateway, tmp_path):
    certificate = tmp_path / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=models",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
                   check=True, capture_output=True)
    certificate.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes())
    server = FileServer(certificate)
    try:
        file = server.add("model.json", model("over TLS"))
        trusting = make_gateway(rolloutd={"artifacts": {"allow": [server.url()], "ca_file": str(tmp_path / "cert.pem")}}).start()
        deploy(trusting, server.url("model.json"), file)
        assert trusting.infer("m") == "over TLS"
        doubting = make_gateway(rolloutd={"artifacts": {"allow": [server.url()]}}).start()
        task = deploy(doubting, server.url("model.json"), file, "failed")
        assert "has a certificate that is not trusted" in task["detail"] and "artifacts.ca_file" in task["detail"]
    finally:
        server.close()
