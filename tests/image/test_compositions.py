"""docker/compose.yaml and docker/kubernetes.yaml, as far as they can be held against the image without the programs that run them."""

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


def manifests():
    return list(yaml.safe_load_all((DOCKER / "kubernetes.yaml").read_text()))


def manifest(kind):
    (one,) = [each for each in manifests() if each["kind"] == kind]
    return one


def pod():
    return manifest("Deployment")["spec"]["template"]["spec"]


def containers():
    """Those that stay, sidecars among them."""
    stay = [one for one in pod()["initContainers"] if one.get("restartPolicy") == "Always"]
    return {one["name"]: one for one in pod()["containers"] + stay}


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
    assert [one["kind"] for one in manifests()] == ["PersistentVolumeClaim", "PersistentVolumeClaim", "Deployment", "Service"]
    deployment, spec = manifest("Deployment")["spec"], pod()
    assert deployment["replicas"] == 1 and deployment["strategy"] == {"type": "Recreate"}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels == manifest("Service")["spec"]["selector"]
    assert set(containers()) == {"nginx", "rolloutd", "triton"}
    # In this order they start, and nginx ends first.
    assert [one["name"] for one in spec["initContainers"] + spec["containers"]] == ["repository", "rolloutd", "triton", "nginx"]

    volumes = {one["name"]: one for one in spec["volumes"]}
    used = {mount["name"] for one in spec["containers"] + spec["initContainers"] for mount in one["volumeMounts"]}
    assert used == set(volumes)
    claims = {one["metadata"]["name"] for one in manifests() if one["kind"] == "PersistentVolumeClaim"}
    assert {one["persistentVolumeClaim"]["claimName"] for one in volumes.values() if "persistentVolumeClaim" in one} == claims
    assert "emptyDir" in volumes["socket"] and "persistentVolumeClaim" in volumes["journal"]


def test_kubernetes_runs_the_image_as_it_wants_to_be_run(image):
    for name in ("nginx", "rolloutd"):
        one = containers()[name]
        assert one["args"] == [name] and name in ROLES and "command" not in one
        assert {each["name"] for each in one["env"]} <= VARIABLES
        security = one["securityContext"]
        assert f"{security['runAsUser']}:{security['runAsGroup']}" == image.config["User"]
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"] and security["capabilities"] == {"drop": ["ALL"]}
    assert pod()["securityContext"]["fsGroup"] == int(image.config["User"].split(":")[1])
    mounted = {mount["mountPath"] for name in ("nginx", "rolloutd") for mount in containers()[name]["volumeMounts"]}
    assert mounted == {"/tmp", "/etc/nginx/conf.d", "/run/rollout", "/var/lib/rollout", "/models"}
    assert containers()["triton"]["command"] == TRITON
    # A signal, then the requests' time: less than what the pod is given.
    assert pod()["terminationGracePeriodSeconds"] > 60


def test_kubernetes_service_gives_the_gateway_no_variables():
    """kubelet makes ROLLOUT_PORT=tcp://… of a Service named rollout, for every pod that does not say no."""
    assert pod()["enableServiceLinks"] is False
    for name in ("nginx", "rolloutd"):
        # For whom takes the containers into a pod of his own: what the pod says itself is stronger.
        given = {each["name"]: each["value"] for each in containers()[name]["env"]}
        assert int(given["ROLLOUT_PORT"]) == containers()["nginx"]["ports"][0]["containerPort"]


def test_kubernetes_says_how_metrics_and_tasks_are_opened():
    text = (DOCKER / "kubernetes.yaml").read_text()
    opened = [yaml.safe_load(line.strip().removeprefix("# "))[0] for line in text.splitlines() if line.strip().startswith("# - {name: ROLLOUT_")]
    assert [one["name"] for one in opened] == ["ROLLOUT_ALLOW", "ROLLOUT_METRICS_ALLOW"]


def test_kubernetes_probes_ask_for_what_there_is(image):
    ports = {port["name"]: port["containerPort"] for one in containers().values() for port in one.get("ports", [])}
    assert manifest("Service")["spec"]["ports"][0]["targetPort"] in ports and f"{ports['http']}/tcp" in image.config["ExposedPorts"]
    nginx = containers()["nginx"]
    # It routes by its file of the last known routes, though rolloutd is away: no probe asks for that.
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert nginx[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    # rolloutd may have a long journal to bring up to date, and Docker is as patient with it as Kubernetes.
    startup = containers()["rolloutd"]["startupProbe"]
    patience_s = startup["failureThreshold"] * startup["periodSeconds"]
    assert patience_s >= 1800 and image.config["Healthcheck"]["StartPeriod"] >= patience_s * 10**9
    assert containers()["rolloutd"]["livenessProbe"]["exec"]["command"] == ["rollout-health", "rolloutd"]
    # With rolloutd away nginx routes on: nothing of it takes the pod out of the service.
    assert "readinessProbe" not in containers()["rolloutd"]
    commands = [nginx["lifecycle"]["preStop"]["exec"]["command"], pod()["initContainers"][0]["command"]]
    for command in [*commands, ["rollout-health"]]:
        assert (image.root / "usr/bin" / command[0]).exists(), command


@pytest.mark.parametrize("source", ["compose", "several", "kubernetes"])
def test_what_they_configure_passes_the_checks(image, tmp_path, source):
    """nginx -t and rolloutd --check, with the environment that each gives."""
    if source == "compose":
        environments = {name: compose("compose.yaml")[name]["environment"] for name in ("nginx", "rolloutd")}
    elif source == "several":
        environments = {name: compose("compose.yaml", "compose.several.yaml")[name]["environment"] for name in ("nginx", "rolloutd")}
    else:
        environments = {name: {each["name"]: each["value"] for each in containers()[name]["env"]} for name in ("nginx", "rolloutd")}
    tmp_path.chmod(0o755)
    for name, environment in environments.items():
        given = {key: value(text) for key, text in environment.items()}
        given["ROLLOUT_INFERENCE"] = re.sub(r"triton(\d?)", r"127.0.0.\g<1>1", given["ROLLOUT_INFERENCE"])  # a name that the composition's network has
        assert Container(image, tmp_path, f"{source}-{name}", "check", given, {}).run("rollout-entrypoint", "check") == (0, "")
