"""The files of Compose and Kubernetes in docker/, as far as they can be held against the image without the programs that run them."""

import ipaddress
import re

import pytest
import yaml

from image import DOCKER
from container import Container
from processes import ROOT

ENTRYPOINT = (DOCKER / "rollout-entrypoint").read_text()
VARIABLES = set(re.findall(r"^  (?:variable|number|size|addresses) (ROLLOUT_[A-Z_]+)", ENTRYPOINT, re.M))
ROLES = {"gateway", "nginx", "rolloutd"}
TRITON = ["tritonserver", "--model-control-mode=explicit", "--model-repository=/models/repository"]


def test_the_document_names_every_variable():
    assert VARIABLES == set(re.findall(r"`(ROLLOUT_[A-Z_]+)`", (ROOT / "docs/container.md").read_text()))


def compose(*names):
    """The services of these files, one over the other."""
    services = {}
    for name in names:
        for service, members in yaml.safe_load((DOCKER / name).read_text())["services"].items():
            services.setdefault(service, {}).update(members)
    return services


class Manifests:
    """A file of Kubernetes' objects."""

    def __init__(self, name):
        self.text = (DOCKER / name).read_text()
        self.all = list(yaml.safe_load_all(self.text))
        # What the gateway is, and whether Triton is in its pod.
        self.gateway = next(one["kind"] for one in self.all if one["metadata"]["name"] == "rollout" and "template" in one["spec"])
        self.own_triton = any(one["kind"] == "StatefulSet" and one["metadata"]["name"] == "triton" for one in self.all)

    def kind(self, kind, name="rollout"):
        (one,) = [each for each in self.all if each["kind"] == kind and each["metadata"]["name"] == name]
        return one

    def pod(self, kind=None, name="rollout"):
        return self.kind(kind or self.gateway, name)["spec"]["template"]["spec"]

    def containers(self, kind=None, name="rollout"):
        """Those that stay, sidecars among them."""
        pod = self.pod(kind, name)
        stay = [one for one in pod.get("initContainers", []) if one.get("restartPolicy") == "Always"]
        return {one["name"]: one for one in pod["containers"] + stay}

    def triton(self):
        """Triton's container, in the gateway's pod or in one of its own."""
        return (self.containers("StatefulSet", "triton") if self.own_triton else self.containers())["triton"]


KUBERNETES = ["kubernetes.yaml", "kubernetes.several.yaml"]
CLUSTER = "kubernetes.cluster.yaml"
MEMBERS = 3


@pytest.fixture(params=[*KUBERNETES, CLUSTER])
def manifests(request):
    return Manifests(request.param)


def well_made(pod, volumes):
    """What is mounted is there, and what is there is mounted."""
    every = {one["name"]: one for one in pod["volumes"]}
    assert {mount["name"] for one in pod["containers"] + pod.get("initContainers", []) for mount in one["volumeMounts"]} == set(every)
    assert {one["persistentVolumeClaim"]["claimName"] for one in every.values() if "persistentVolumeClaim" in one} <= volumes
    return every


def value(text):
    """With the default of ${NAME:-DEFAULT}."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", str(text))


# Compose.

@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]], ids=["without a GPU", "with GPUs"])
def test_compose_has_the_gateway_and_a_triton(files):
    services = compose(*files)
    assert set(services) == {"nginx", "rolloutd", "triton"}
    whole = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    known = {"image", "build", "command", "environment", "volumes", "tmpfs", "read_only", "cap_drop", "security_opt", "restart", "stop_grace_period",
             "depends_on", "networks", "ports", "shm_size", "healthcheck", "deploy"}
    for name, service in services.items():
        assert set(service) <= known, name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in whole["volumes"] or source.startswith("${MODELS"), volume
        for other, condition in service.get("depends_on", {}).items():
            assert other in services and condition["condition"] in ("service_started", "service_healthy")
            assert condition["condition"] == "service_started" or other == "rolloutd" or "healthcheck" in services[other]

    assert services["triton"]["image"].startswith("nvcr.io/nvidia/tritonserver:") and services["triton"]["command"] == TRITON
    assert "models:/models:ro" in services["triton"]["volumes"] and "models:/models" in services["rolloutd"]["volumes"]
    assert all("socket:/run/rollout" in services[name]["volumes"] for name in ("nginx", "rolloutd"))
    for name in ("nginx", "rolloutd"):
        assert services[name]["command"] == [name] and set(services[name]["environment"]) <= VARIABLES
        assert services[name]["build"]["dockerfile"] == "docker/Dockerfile" and services[name]["build"]["context"] == ".."

    devices = services["triton"].get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    assert [(one["driver"], one["capabilities"]) for one in devices] == ([("nvidia", ["gpu"])] if len(files) == 2 else [])


def test_compose_with_two_tritons_changes_nothing_else():
    """Compose merges the maps of the two files."""
    one = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    several = yaml.safe_load((DOCKER / "compose.several.yaml").read_text())["services"]
    assert set(several) == {"nginx", "rolloutd", "triton2"}
    first, second = one["services"]["triton"], several["triton2"]
    assert {name for name in first if first[name] != second[name]} == {"networks"} and set(first) == set(second)
    (network,) = one["networks"]["default"]["ipam"]["config"]
    addresses = {each["networks"]["default"]["ipv4_address"] for each in (first, second)}
    assert len(addresses) == 2 and all(ipaddress.ip_address(each) in ipaddress.ip_network(network["subnet"]) for each in addresses)
    for name in ("nginx", "rolloutd"):
        assert set(several[name]) <= {"environment", "depends_on"} and set(several[name]["environment"]) <= VARIABLES
        assert several[name]["environment"]["ROLLOUT_INFERENCE"] == "triton:8000 triton2:8000"


def test_compose_lets_this_machine_deploy_and_scrape_and_nobody_else():
    whole = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    nginx = whole["services"]["nginx"]
    (network,) = whole["networks"]["default"]["ipam"]["config"]
    for address in (network["gateway"], whole["services"]["triton"]["networks"]["default"]["ipv4_address"]):
        assert ipaddress.ip_address(address) in ipaddress.ip_network(network["subnet"])
    for name in ("ROLLOUT_ALLOW", "ROLLOUT_METRICS_ALLOW"):
        assert nginx["environment"][name] == f"${{{name}:-{network['gateway']}}}"
    assert [value(port) for port in nginx["ports"]] == ["127.0.0.1:8080:8080"]


# Kubernetes.

def test_kubernetes_has_a_deployment_with_its_sidecars_and_volumes():
    manifests = Manifests("kubernetes.yaml")
    assert [one["kind"] for one in manifests.all] == ["PersistentVolumeClaim", "PersistentVolumeClaim", "Deployment", "Service"]
    assert set(manifests.containers()) == {"nginx", "rolloutd", "triton"}
    # In this order they start, and nginx ends first.
    pod = manifests.pod()
    assert [one["name"] for one in pod["initContainers"] + pod["containers"]] == ["repository", "rolloutd", "triton", "nginx"]


def test_kubernetes_has_several_tritons_each_with_an_address_that_stays():
    manifests = Manifests("kubernetes.several.yaml")
    names = ["PersistentVolumeClaim rollout-journal", "PersistentVolumeClaim rollout-models", "Service triton", "Service triton-0", "Service triton-1",
             "StatefulSet triton", "PodDisruptionBudget triton", "Deployment rollout", "Service rollout"]
    assert [f"{one['kind']} {one['metadata']['name']}" for one in manifests.all] == names
    pod = manifests.pod()
    assert [one["name"] for one in pod["initContainers"] + pod["containers"]] == ["repository", "rolloutd", "nginx"]
    tritons = manifests.kind("StatefulSet", "triton")["spec"]
    labels = tritons["template"]["metadata"]["labels"]
    headless = manifests.kind("Service", tritons["serviceName"])["spec"]
    assert headless["clusterIP"] == "None" and headless["publishNotReadyAddresses"]
    assert labels == tritons["selector"]["matchLabels"] == headless["selector"] == manifests.kind("PodDisruptionBudget", "triton")["spec"]["selector"]["matchLabels"]
    assert labels != manifests.kind("Deployment")["spec"]["selector"]["matchLabels"]
    # rolloutd and nginx name the same servers: a Service of each pod's own, at the port that it has.
    given = {name: {each["name"]: each["value"] for each in manifests.containers()[name]["env"]} for name in ("nginx", "rolloutd")}
    assert given["nginx"] == given["rolloutd"]
    servers = given["rolloutd"]["ROLLOUT_INFERENCE"].split()
    assert len(servers) == tritons["replicas"] > 1
    for number, server in enumerate(servers):
        name, port = server.split(":")
        service = manifests.kind("Service", name)["spec"]
        assert service["selector"] == {"statefulset.kubernetes.io/pod-name": f"triton-{number}"} and service["publishNotReadyAddresses"]
        assert "clusterIP" not in service and service["ports"] == headless["ports"] and service["ports"][0]["port"] == int(port)
        assert service["ports"][0]["targetPort"] in [one["name"] for one in manifests.triton()["ports"]]
    # The repository, which all of them read and rolloutd writes.
    assert manifests.kind("PersistentVolumeClaim", "rollout-models")["spec"]["accessModes"] == ["ReadWriteMany"]
    volumes = well_made(tritons["template"]["spec"], {"rollout-models"})
    assert volumes["models"] == {one["name"]: one for one in pod["volumes"]}["models"]
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in manifests.triton()["volumeMounts"]
    # One of them may be down.
    assert given["rolloutd"]["ROLLOUT_MIN_SERVERS"] == "1" and manifests.kind("PodDisruptionBudget", "triton")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_has_one_rolloutd_and_what_is_mounted(name):
    manifests = Manifests(name)
    deployment = manifests.kind("Deployment")["spec"]
    assert deployment["replicas"] == 1 and deployment["strategy"] == {"type": "Recreate"}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels == manifests.kind("Service")["spec"]["selector"]
    claims = {one["metadata"]["name"] for one in manifests.all if one["kind"] == "PersistentVolumeClaim"}
    volumes = well_made(manifests.pod(), claims)
    assert {one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one} == claims
    assert "emptyDir" in volumes["socket"] and "persistentVolumeClaim" in volumes["journal"]


def test_kubernetes_runs_the_image_as_it_wants_to_be_run(image, manifests):
    containers, pod = manifests.containers(), manifests.pod()
    for name in ("nginx", "rolloutd"):
        one = containers[name]
        assert one["args"] == [name] and name in ROLES and "command" not in one
        assert {each["name"] for each in one["env"]} <= VARIABLES
        security = one["securityContext"]
        assert f"{security['runAsUser']}:{security['runAsGroup']}" == image.config["User"]
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and security["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["fsGroup"] == int(image.config["User"].split(":")[1])
    mounted = {mount["mountPath"] for name in ("nginx", "rolloutd") for mount in containers[name]["volumeMounts"]}
    assert mounted == {"/tmp", "/etc/nginx/conf.d", "/run/rollout", "/var/lib/rollout", "/models"}
    assert manifests.triton()["command"] == TRITON
    # A signal, then the requests' time: less than what the pod is given.
    assert pod["terminationGracePeriodSeconds"] > 60


def test_kubernetes_service_gives_the_gateway_no_variables(manifests):
    """kubelet makes ROLLOUT_PORT=tcp://… of a Service named rollout, for every pod that does not say no."""
    assert manifests.pod()["enableServiceLinks"] is False
    for name in ("nginx", "rolloutd"):
        # For whom takes the containers into a pod of his own: what the pod says itself is stronger.
        given = {each["name"]: each["value"] for each in manifests.containers()[name]["env"]}
        assert int(given["ROLLOUT_PORT"]) == manifests.containers()["nginx"]["ports"][0]["containerPort"]


def test_kubernetes_says_how_metrics_and_tasks_are_opened():
    text = Manifests("kubernetes.yaml").text
    opened = [yaml.safe_load(line.strip().removeprefix("# "))[0] for line in text.splitlines() if line.strip().startswith("# - {name: ROLLOUT_")]
    assert [one["name"] for one in opened] == ["ROLLOUT_ALLOW", "ROLLOUT_METRICS_ALLOW"]


def test_kubernetes_probes_ask_for_what_there_is(image, manifests):
    containers, pod = manifests.containers(), manifests.pod()
    ports = {port["name"]: port["containerPort"] for one in containers.values() for port in one.get("ports", [])}
    assert manifests.kind("Service")["spec"]["ports"][0]["targetPort"] in ports and f"{ports['http']}/tcp" in image.config["ExposedPorts"]
    nginx = containers["nginx"]
    # It routes by its file of the last known routes, though rolloutd is away: no probe asks for that.
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert nginx[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    # rolloutd may have a long journal to bring up to date, and Docker is as patient with it as Kubernetes.
    startup = containers["rolloutd"]["startupProbe"]
    patience_s = startup["failureThreshold"] * startup["periodSeconds"]
    assert patience_s >= 1800 and image.config["Healthcheck"]["StartPeriod"] >= patience_s * 10**9
    assert containers["rolloutd"]["livenessProbe"]["exec"]["command"] == ["rollout-health", "rolloutd"]
    # With rolloutd away nginx routes on: nothing of it takes the pod out of the service.
    assert "readinessProbe" not in containers["rolloutd"]
    for probe in ("startupProbe", "livenessProbe"):
        assert manifests.triton()[probe]["httpGet"] == {"path": "/v2/health/live", "port": "triton"}
    commands = [nginx["lifecycle"]["preStop"]["exec"]["command"], pod["initContainers"][0]["command"]]
    for command in [*commands, ["rollout-health"]]:
        assert (image.root / "usr/bin" / command[0]).exists(), command


# A cluster.

def test_compose_has_three_gateways_on_three_members_of_etcd():
    whole = yaml.safe_load((DOCKER / "compose.cluster.yaml").read_text())
    services = whole["services"]
    members, gateways = [[f"{name}{number + 1}" for number in range(MEMBERS)] for name in ("etcd", "gateway")]
    assert set(services) == {*members, *gateways, "repository", "triton"}
    mounted = [volume for service in services.values() for volume in service["volumes"]]
    assert {volume.split(":")[0] for volume in mounted if not volume.startswith("$")} == set(whole["volumes"])
    for service in services.values():
        for other, condition in (service.get("depends_on") or {}).items():
            assert other in services and condition["condition"] == ("service_completed_successfully" if other == "repository" else "service_started")

    for name in members:
        given = services[name]["environment"]
        assert given["ETCD_NAME"] == name and given["ETCD_ADVERTISE_CLIENT_URLS"] == f"http://{name}:2379"
        assert given["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == f"http://{name}:2380"
        assert given["ETCD_INITIAL_CLUSTER"].split(",") == [f"{one}=http://{one}:2380" for one in members]
        assert services[name]["volumes"] == [f"{name}:/var/lib/etcd"] and given["ETCD_DATA_DIR"].startswith("/var/lib/etcd/")
        assert given["ETCD_AUTO_COMPACTION_RETENTION"] and "ports" not in services[name], "who reaches etcd can unload every model"

    own = []
    for name in gateways:
        service = services[name]
        assert service["command"] == ["gateway"] and service["image"] == "rollout:etcd" and service["build"]["args"] == {"ETCD": "1"}
        assert set(service["environment"]) <= VARIABLES and service["hostname"] == name
        assert service["environment"]["ROLLOUT_ETCD"].split() == [services[one]["environment"]["ETCD_ADVERTISE_CLIENT_URLS"] for one in members]
        assert "models:/models" in service["volumes"] and {mount.split(":")[0] for mount in service["tmpfs"]} == {"/tmp", "/etc/nginx/conf.d", "/run/rollout"}
        own += [*service["ports"], next(volume for volume in service["volumes"] if volume.endswith(":/var/lib/rollout"))]
    assert len(set(own)) == len(own), "two gateways have one port, or one copy of the journal"
    assert all(port.startswith("127.0.0.1:") and port.endswith(":8080") for port in own if "/var" not in port)


def test_compose_of_a_cluster_has_the_triton_and_the_network_of_one_gateway():
    one, cluster = [yaml.safe_load((DOCKER / name).read_text()) for name in ("compose.yaml", "compose.cluster.yaml")]
    first, second = one["services"]["triton"], cluster["services"]["triton"]
    assert {name for name in first if first[name] != second[name]} == {"networks", "depends_on"} and set(first) == set(second)
    network, other = [whole["networks"]["default"]["ipam"]["config"][0] for whole in (cluster, one)]
    assert not ipaddress.ip_network(network["subnet"]).overlaps(ipaddress.ip_network(other["subnet"])), "both may run on one machine"
    for address in (network["gateway"], second["networks"]["default"]["ipv4_address"]):
        assert ipaddress.ip_address(address) in ipaddress.ip_network(network["subnet"])
    for name in ("ROLLOUT_ALLOW", "ROLLOUT_METRICS_ALLOW"):
        assert cluster["services"]["gateway1"]["environment"][name] == f"${{{name}:-{network['gateway']}}}"


def test_kubernetes_has_the_tritons_of_several_behind_a_cluster():
    cluster, several = Manifests(CLUSTER), Manifests("kubernetes.several.yaml")
    names = ["Service etcd", "StatefulSet etcd", "PodDisruptionBudget etcd", "NetworkPolicy etcd", "PersistentVolumeClaim rollout-models", "Service triton",
             "Service triton-0", "Service triton-1", "StatefulSet triton", "PodDisruptionBudget triton", "Service rollout-hosts", "StatefulSet rollout",
             "PodDisruptionBudget rollout", "Service rollout"]
    assert [f"{one['kind']} {one['metadata']['name']}" for one in cluster.all] == names
    for one in several.all:
        name = f"{one['kind']} {one['metadata']['name']}"
        assert name in ("PersistentVolumeClaim rollout-journal", "Deployment rollout") or cluster.kind(one["kind"], one["metadata"]["name"]) == one, name


def test_kubernetes_has_gateways_that_are_hosts_of_one_cluster():
    manifests = Manifests(CLUSTER)
    hosts, pod = manifests.kind("StatefulSet")["spec"], manifests.pod()
    labels = hosts["template"]["metadata"]["labels"]
    assert labels == hosts["selector"]["matchLabels"] == manifests.kind("Service")["spec"]["selector"]
    assert labels == manifests.kind("Service", hosts["serviceName"])["spec"]["selector"]
    assert labels == manifests.kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert hosts["replicas"] == 3 and "strategy" not in hosts
    assert [one["name"] for one in pod["initContainers"] + pod["containers"]] == ["repository", "rolloutd", "nginx"]
    assert {one["image"] for one in pod["initContainers"] + pod["containers"]} == {"rollout:etcd"}
    # The copy of the journal is each host's own; the repository is everybody's.
    claims = {one["metadata"]["name"] for one in hosts["volumeClaimTemplates"]}
    volumes = well_made({**pod, "volumes": [*pod["volumes"], *({"name": name} for name in claims)]}, {"rollout-models"})
    assert claims == {"replica"} and volumes["models"] == {"name": "models", "persistentVolumeClaim": {"claimName": "rollout-models"}}
    assert {"name": "replica", "mountPath": "/var/lib/rollout"} in manifests.containers()["rolloutd"]["volumeMounts"]
    assert manifests.kind("PersistentVolumeClaim", "rollout-models")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_kubernetes_has_members_of_etcd_that_find_each_other_and_are_found():
    manifests = Manifests(CLUSTER)
    etcd = manifests.kind("StatefulSet", "etcd")["spec"]
    service = manifests.kind("Service", etcd["serviceName"])
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"]
    labels = etcd["template"]["metadata"]["labels"]
    policy = manifests.kind("NetworkPolicy", "etcd")["spec"]
    assert labels == etcd["selector"]["matchLabels"] == service["spec"]["selector"] == policy["podSelector"]["matchLabels"]
    assert manifests.kind("PodDisruptionBudget", "etcd")["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    container = manifests.containers("StatefulSet", "etcd")["etcd"]
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in container["command"][1:])
    names = [f"etcd-{number}" for number in range(etcd["replicas"])]
    assert len(names) == MEMBERS and flags["name"] == "$(POD_NAME)"
    assert flags["initial-cluster"].split(",") == [f"{name}=http://{name}.etcd:2380" for name in names]
    for name in names:
        assert flags["initial-advertise-peer-urls"].replace("$(POD_NAME)", name) == f"http://{name}.etcd:2380"
    assert flags["auto-compaction-retention"]
    assert flags["data-dir"].startswith(container["volumeMounts"][0]["mountPath"] + "/")
    assert container["volumeMounts"][0]["name"] == etcd["volumeClaimTemplates"][0]["metadata"]["name"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    for name, urls in (("client", "listen-client-urls"), ("peer", "listen-peer-urls"), ("metrics", "listen-metrics-urls")):
        assert flags[urls] == f"http://0.0.0.0:{ports[name]}"
    assert {one["name"]: one["port"] for one in service["spec"]["ports"]}.items() <= ports.items()
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe")} == {"metrics"}
    # The gateways name every member, and nobody else comes to one.
    given = {one["name"]: one["value"] for one in manifests.containers()["rolloutd"]["env"]}
    assert given["ROLLOUT_ETCD"].split() == [f"http://{name}.etcd:{ports['client']}" for name in names]
    allowed = {peer["podSelector"]["matchLabels"]["app"]: {port["port"] for port in rule["ports"]} for rule in policy["ingress"] for peer in rule["from"]}
    assert allowed == {"rollout": {ports["client"]}, "etcd": {ports["client"], ports["peer"]}}


# What they give to the image.

def environments_of(name):
    """What Compose's file, or Kubernetes', gives to nginx and rolloutd."""
    if not name.startswith("kubernetes"):
        services = compose("compose.yaml", name) if name == "compose.several.yaml" else compose(name)
        return {each: services[each]["environment"] for each in ("nginx", "rolloutd", "gateway1") if each in services}
    containers = Manifests(name).containers()
    return {each: {one["name"]: one["value"] for one in containers[each]["env"]} for each in ("nginx", "rolloutd")}


def passes_the_checks(image, folder, name):
    """nginx -t and rolloutd --check, with the environment that each gives."""
    folder.chmod(0o755)
    for service, environment in environments_of(name).items():
        given = {key: value(text) for key, text in environment.items()}
        given["ROLLOUT_INFERENCE"] = re.sub(r"triton-?(\d?)", r"127.0.0.1\g<1>", given["ROLLOUT_INFERENCE"])  # a name that the composition's network has
        assert Container(image, folder, f"{name}-{service}", "check", given, {}).run("rollout-entrypoint", "check") == (0, "")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.several.yaml", *KUBERNETES])
def test_what_they_configure_passes_the_checks(image, tmp_path, name):
    passes_the_checks(image, tmp_path, name)


@pytest.mark.parametrize("name", ["compose.cluster.yaml", CLUSTER])
def test_what_a_cluster_configures_passes_the_checks(image_with_etcd, tmp_path, name):
    passes_the_checks(image_with_etcd, tmp_path, name)
