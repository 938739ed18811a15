"""The image with the client of etcd: what it adds, what it makes of its variables, and two gateways of it that work as one."""

import json

import pytest

from container import Container
from etcd import Cluster
from image import BASE
from processes import wait_until

# gRPC and what it needs, beside what test_image.py allows.
MOST_ADDED_MB = 100


def test_it_adds_one_program_and_its_libraries(image, image_with_etcd):
    added = image_with_etcd.size() - image_with_etcd.size(BASE)
    print(f"the image with the client of etcd has {image_with_etcd.size()} MB, {added} MB more than its base")
    assert image.size() < image_with_etcd.size() and added < MOST_ADDED_MB
    assert not (image.root / "usr/sbin/rolloutd-etcd").exists()
    programs = [{path.name: path.stat().st_mode for path in (each.root / "usr/sbin").glob("rolloutd*")} for each in (image, image_with_etcd)]
    assert programs[1] == {**programs[0], "rolloutd-etcd": programs[0]["rolloutd"]}
    configurations = [{**each.config, "Hostname": ""} for each in (image, image_with_etcd)]  # of the container that made it
    assert configurations[0] == configurations[1]


@pytest.fixture
def journal_of(image_with_etcd, tmp_path):
    """That of the rolloutd.json which the image makes of these variables, and which rolloutd has checked."""
    tmp_path.chmod(0o755)

    def read(name, **environment):
        given = {"ROLLOUT_PORT": 18080, "ROLLOUT_INFERENCE": "127.0.0.1:8000", **environment}
        one = Container(image_with_etcd, tmp_path, name, "check", given, {})
        status, said = one.run("sh", "-c", "rollout-entrypoint check && cat /tmp/rolloutd.json")
        assert status == 0, said
        return json.loads(said)["journal"]
    return read


def test_its_variables_are_the_journals_members(journal_of):
    assert journal_of("none") == {"path": "/var/lib/rollout/journal.db"}
    assert journal_of("least", ROLLOUT_ETCD="http://127.0.0.1:2379") == {
        "path": "/var/lib/rollout/replica.db", "type": "etcd", "etcd": {"endpoints": ["http://127.0.0.1:2379"], "prefix": "/rollout/default/"}}
    authority = "/etc/ssl/certs/ca-certificates.crt"
    assert journal_of("all", ROLLOUT_ETCD="http://etcd1:2379 https://[::1]:2379", ROLLOUT_ETCD_INSECURE="on", ROLLOUT_ETCD_PREFIX="/r/", ROLLOUT_ETCD_HOST="h1",
                      ROLLOUT_ETCD_CA_FILE=authority, ROLLOUT_JOURNAL="/var/lib/rollout/mine.db") == {
        "path": "/var/lib/rollout/mine.db", "type": "etcd", "etcd": {
            "endpoints": ["http://etcd1:2379", "https://[::1]:2379"], "prefix": "/r/", "ca_file": authority, "host": "h1", "insecure": True}}


@pytest.fixture
def etcd(tmp_path):
    made = Cluster(tmp_path)
    yield made.start()
    made.kill()


def test_two_gateways_of_it_work_as_one(image_with_etcd, etcd, make_containers):
    first = make_containers(image_with_etcd, containers=1, environment={"ROLLOUT_ETCD": etcd.urls[0], "ROLLOUT_ETCD_HOST": "h1"}).start()
    second = make_containers(image_with_etcd, containers=2, volumes={"/models": first.home, "/srv/models": first.home / "models"}, environment={
        "ROLLOUT_ETCD": etcd.urls[0], "ROLLOUT_ETCD_HOST": "h2", "ROLLOUT_INFERENCE": f"127.0.0.1:{first.inference.port}"}).start()
    first.make_model("m", "first")
    task = second.post("/deploy", {"model_id": "m"}).task()
    for gateway in (first, second):
        gateway.wait(task, status="completed")
        wait_until(lambda gateway=gateway: gateway.infer("m") == "first", "the route")

    # The leader ends, whose processes say goodbye, and the other one goes on.
    assert [line["host"] for line in first.rolloutd.lines() if line["message"].startswith("This rolloutd leads: ")] == ["h1"]
    assert first.nginx.stop() == 0
    first.make_model("m", "second")
    second.deploy("m", rollout={"steps": [{"weight": 100}]})
    assert second.infer("m") == "second"
    assert first.loaded() == first.files() == ["m__r2"]
