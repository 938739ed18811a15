"""The Debian packages: what they hold, and what becomes of a gateway as they are installed, upgraded, removed and purged."""

import gzip
import json
import os
import pathlib
import re
import stat
import subprocess

import pytest

from booted import Booted
from ending import finish
from gateway import AT_ONCE, Traffic
from processes import ROOT, wait_until
from real_systemd import obstacle
from root import FOLDER, MODULE, MODULE_FILE, Installed, base, field, run

LINK = "/etc/nginx/modules-enabled/50-mod-http-rollout.conf"
ENABLED = "/etc/systemd/system/multi-user.target.wants/rolloutd.service"


@pytest.fixture(scope="module")
def packages():
    """The packages' files: the module's, rolloutd's and its client's of etcd. They are GCC's, whose warnings are errors here; but what it takes
    for uninitialized in an optimised std::variant is not."""
    said = run(ROOT / "scripts/packages", seconds=3600, env={**os.environ, "DEB_CXXFLAGS_APPEND": "-Werror -Wno-error=maybe-uninitialized"})
    made = sorted((pathlib.Path(line) for line in said.splitlines() if line.endswith(".deb")), key=lambda path: path.name.split("_"))
    assert [path.name.split("_")[0] for path in made] == [MODULE, "rolloutd", "rolloutd-etcd"], made
    return made


@pytest.fixture(scope="module")
def next_packages(packages, tmp_path_factory):
    """The same of a later version."""
    folder = tmp_path_factory.mktemp("next")
    run("cpack", "--config", FOLDER / "CPackConfig.cmake", "-G", "DEB", "-B", folder, "-D", "CPACK_PACKAGE_VERSION=0.99.0")
    made = sorted(folder.glob("*.deb"))
    assert [field(path, "Version") for path in made] == ["0.99.0-1"] * 3
    return made


@pytest.fixture
def gateway(request, packages):
    """A clean root in which nginx serves."""
    made = Installed(base(packages))
    try:
        made.nginx.start()
        yield made
    finally:
        finish(request, made)


@pytest.fixture
def serving(gateway, packages):
    """The packages are installed, and a model is deployed."""
    gateway.root.install(packages)
    gateway.inference.start()
    use_it(gateway)
    deploy(gateway)
    return gateway


def use_it(gateway):
    gateway.use_rollout()
    gateway.rolloutd.start()
    gateway.nginx.reload()
    gateway.await_link()


def deploy(gateway):
    gateway.make_model("m", "first")
    gateway.deploy("m")
    assert gateway.infer("m") == "first"


def mode_of(path):
    status = path.lstat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def user_of(gateway, name):
    line = next(line for line in gateway.root.file("/etc/passwd").read_text().splitlines() if line.startswith(f"{name}:"))
    return tuple(map(int, line.split(":")[2:4]))


# What they hold.

def test_lintian_finds_no_errors(packages):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", "--no-cfg", *map(str, packages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_module_depends_on_the_exact_abi_of_the_nginx_it_was_built_for(packages):
    recorded = re.search(r"^nginx:abi=(.*)$", pathlib.Path("/usr/share/nginx/src/debian/libnginx-mod.abisubstvars").read_text(), re.M)[1]
    assert recorded in field(packages[0], "Depends").split(", ")
    assert recorded in run("dpkg-query", "-W", "-f", "${Provides}", "nginx")


def test_versions_and_dates_are_told_once(packages):
    newest = re.match(r"rollout \((.*)\) ", (ROOT / "packaging/changelog").read_text())[1]
    assert [field(package, "Version") for package in packages] == [newest] * 3


@pytest.fixture(scope="module")
def pages(packages, tmp_path_factory):
    """The text of the manual pages of both packages, by name."""
    found = {}
    for package in packages:
        folder = tmp_path_factory.mktemp("unpacked")
        run("dpkg-deb", "-x", package, folder)
        for path in folder.glob("usr/share/man/man*/*.gz"):
            found[path.stem] = gzip.decompress(path.read_bytes()).decode()
            done = subprocess.run(["man", "--warnings", "-l", str(path)], capture_output=True, text=True, env={"MANWIDTH": "100", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"})
            assert done.returncode == 0 and done.stderr == "", done.stderr
    return found


def test_the_manual_pages_name_every_option_member_directive_and_variable(pages):
    assert set(pages) == {"rolloutctl.1", "rolloutd.8", "ngx_http_rollout_module.5"}
    told = {name: text.replace("\\-", "-") for name, text in pages.items()}
    reference = {name: (ROOT / f"docs/reference/{name}.md").read_text() for name in ("nginx", "rolloutd.json", "metrics")}
    names = re.findall(r"`([^`]+)`", "\n".join(line.split("|")[1] for line in reference["rolloutd.json"].splitlines() if line.startswith("|")))
    assert len(names) > 40
    for name in names:
        assert name in told["rolloutd.8"], name
    for name in ("config", "check", "version", "help"):
        assert f"--{name}" in told["rolloutd.8"], name
    options = re.findall(r"--[a-z]+", run(FOLDER / "worker/rolloutd", "--help"))
    assert options
    for name in options:
        assert name in told["rolloutd.8"], name
    directives = re.findall(r'ngx_string\("(rollout_\w+)"\)', (ROOT / "module/ngx_http_rollout_module.cpp").read_text())
    variables = re.findall(r"`(\$rollout_\w+)`", reference["nginx"])
    assert len(directives) >= 4 and len(variables) >= 4
    metrics = re.findall(r"^\| `(\w+)[`{]", reference["metrics"], re.M)
    assert len(metrics) > 10
    for name in directives + variables + metrics:
        assert name in told["ngx_http_rollout_module.5"], name


def test_the_manual_page_of_rolloutctl_names_every_command_and_option(pages):
    told = re.sub(r"\\f[BIRP]", "", pages["rolloutctl.1"].replace("\\-", "-"))
    commands = re.findall(r"^  ([a-z]+) ", run(FOLDER / "ctl/rolloutctl", "--help").partition("Subcommands:")[2], re.M)
    assert len(commands) == 18, commands
    for command in commands:
        assert re.search(rf"\b{command}\b", told), command
        for option in re.findall(r"--[a-z0-9-]+", run(FOLDER / "ctl/rolloutctl", command, "--help")):
            assert option == "--help" or option in told, (command, option)


# Installed.

def test_what_is_installed_serves_as_it_stands(gateway, packages):
    root = gateway.root
    with Traffic(gateway, "plain") as traffic:
        traffic.await_answers("plain")
        root.install(packages)
        traffic.await_answers("plain")
    assert traffic.failures == []

    assert root.file(LINK).is_symlink() and str(root.file(LINK).readlink()) == "/usr/share/nginx/modules-available/mod-http-rollout.conf"
    wait_until(lambda: gateway.nginx.loaded_modules() == {MODULE_FILE}, "nginx's reload with the module")

    uid, gid = user_of(gateway, "rollout")
    assert 0 < uid < 1000
    assert re.search(r"^www-data:.*\brollout\b", root.file("/etc/group").read_text(), re.M)
    for folder in ("/run/rollout", "/var/lib/rollout", "/var/lib/rollout/repository"):
        assert mode_of(root.file(folder)) == (0o755, uid, gid), folder
    assert mode_of(root.file("/etc/rollout/rolloutd.json")) == (0o644, 0, 0)
    assert "/etc/rollout/rolloutd.json" in root.run("dpkg-query", "-W", "-f", "${Conffiles}", "rolloutd")
    assert root.file(ENABLED).is_symlink()  # it starts with the machine, as Debian's services do

    # The configuration starts as it stands, with no inference server there.
    gateway.rolloutd.start()
    assert mode_of(gateway.rolloutd.socket) == (0o660, uid, int(re.search(r"^www-data:x:(\d+)", root.file("/etc/group").read_text(), re.M)[1]))
    assert "the configuration is good" in gateway.rolloutd.reload()
    assert gateway.rolloutd.stop() == 0

    gateway.inference.start()
    use_it(gateway)
    deploy(gateway)

    # The client, with its completion for three shells.
    assert root.run("rolloutctl", "--version").startswith("rolloutctl ")
    for path in ("bash-completion/completions/rolloutctl", "zsh/vendor-completions/_rolloutctl", "fish/vendor_completions.d/rolloutctl.fish"):
        assert "rolloutctl" in root.file(f"/usr/share/{path}").read_text(), path


def test_the_examples_of_the_packages_are_taken_by_nginx_and_rolloutd(gateway, packages):
    gateway.root.install(packages)
    examples = gateway.root.file(f"/usr/share/doc/{MODULE}/examples")
    assert {path.name for path in examples.iterdir()} == {"nginx.conf", "embedding-studio", "protected", "prometheus", "several-servers", "vllm"}
    gateway.root.run("nginx", "-t", "-q", "-c", f"/usr/share/doc/{MODULE}/examples/nginx.conf")


def test_a_journal_in_etcd_needs_the_package_with_its_client(gateway, packages):
    gateway.root.install(packages[:2])
    settings = json.loads(gateway.root.file("/etc/rollout/rolloutd.json").read_text())
    settings["journal"] = {**settings.get("journal", {}), "type": "etcd", "etcd": {"endpoints": ["http://127.0.0.1:2379"]}}
    gateway.root.file("/srv/cluster.json").write_text(json.dumps(settings))
    check = gateway.root.command("rolloutd", "--config", "/srv/cluster.json", "--check")
    refused = subprocess.run(check, capture_output=True, text=True, env=gateway.root.environment())
    assert refused.returncode == 1
    assert "/usr/sbin/rolloutd-etcd cannot be started: No such file or directory. Install the package rolloutd-etcd" in refused.stderr
    gateway.root.install(packages[2:])
    assert "the configuration is good" in run(*check, env=gateway.root.environment())


# Upgraded.

def test_an_upgrade_of_both_under_traffic_fails_no_request(serving, next_packages):
    gateway = serving
    local = gateway.root.file("/etc/rollout/rolloutd.json").read_text()
    old = gateway.nginx.master_pid()
    task = gateway.get("/deploy-status/m").task()
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("first")
        gateway.root.install(next_packages)
        wait_until(lambda: not pathlib.Path(f"/proc/{old}").exists(), "the end of the old nginx")
        traffic.await_answers("first")
        assert gateway.rolloutd.stop() == 0  # as systemd does by the package's word
        traffic.await_answers("first")
        gateway.rolloutd.start()
        gateway.await_link()
        gateway.make_model("m", "second")
        gateway.deploy("m", rollout=AT_ONCE)
        traffic.await_answers("second")
    assert traffic.failures == []
    assert gateway.nginx.master_pid() != old and gateway.nginx.loaded_modules() == {MODULE_FILE}  # the code of the new package
    assert gateway.get(f"/deploy/{task['task_id']}").task() == task
    assert gateway.root.file("/etc/rollout/rolloutd.json").read_text() == local
    assert gateway.root.file(ENABLED).is_symlink()


def test_an_upgrade_leaves_what_an_operator_has_changed(serving, next_packages):
    gateway = serving
    state = gateway.root.file("/var/lib/nginx/rollout")
    assert mode_of(state) == (0o755, *user_of(gateway, "www-data"))
    state.chmod(0o750)
    os.chown(state, *user_of(gateway, "nobody"))
    gateway.expected_alerts = ["holds old routes and cannot be removed"]  # it is not the folder of nginx's user any more
    gateway.root.install(next_packages)
    assert mode_of(state) == (0o750, *user_of(gateway, "nobody"))


def test_an_upgrade_leaves_what_an_operator_has_disabled(serving, next_packages):
    gateway = serving
    gateway.give_up_rollout()
    gateway.root.file(LINK).unlink()
    gateway.root.file(ENABLED).unlink()  # systemctl disable
    gateway.root.install(next_packages)
    assert not gateway.root.file(LINK).is_symlink() and not gateway.root.file(ENABLED).is_symlink()


def test_an_upgrade_with_an_nginx_configuration_that_is_faulty_leaves_nginx_as_it_is(serving, next_packages):
    gateway = serving
    gateway.expected_alerts = ["no_such_directive"]
    master = gateway.nginx.master_pid()
    gateway.root.file("/etc/nginx/conf.d/faulty.conf").write_text("no_such_directive on;\n")
    with Traffic(gateway, "m") as traffic:
        said = gateway.root.install(next_packages)
        traffic.await_answers("first")
    assert traffic.failures == [] and gateway.nginx.master_pid() == master
    assert "no_such_directive" in said and "nginx goes on with the module of before" in said


# Removed, and purged.

def test_a_removal_keeps_the_journal_and_a_purge_does_not(serving, packages):
    gateway = serving
    gateway.expected_alerts = ['unknown directive "rollout_']
    root = gateway.root
    task = gateway.get("/deploy-status/m").task()
    with Traffic(gateway, "m") as inferences, Traffic(gateway, "plain") as others:
        inferences.await_answers("first")
        assert gateway.rolloutd.stop() == 0  # as systemd does by the package's word
        said = root.apt("remove", MODULE, "rolloutd")
        # nginx's configuration still asks for the module: it refuses to reload, and serves on with what it has loaded.
        assert 'unknown directive "rollout_' in said and "nginx serves on, but cannot start again without the module" in said
        inferences.await_answers("first")
        inferences.end()
        gateway.give_up_rollout()
        gateway.nginx.reload()
        others.await_answers("plain")

        assert {root.status(name) for name in (MODULE, "rolloutd")} == {"config-files"}
        assert not root.file(LINK).is_symlink() and not root.file(MODULE_FILE).exists()
        assert (gateway.state / "journal.db").exists() and root.file("/etc/rollout/rolloutd.json").exists()

        root.install(packages)
        use_it(gateway)
        assert gateway.get(f"/deploy/{task['task_id']}").task() == task
        assert gateway.infer("m") == "first"

        assert gateway.rolloutd.stop() == 0
        gateway.give_up_rollout()
        gateway.nginx.reload()
        assert "nginx serves on, but" not in root.apt("purge", MODULE, "rolloutd")
        others.await_answers("plain")
    assert inferences.failures == others.failures == []
    assert {root.status(name) for name in (MODULE, "rolloutd")} <= {"", "not-installed"}
    for path in ("/var/lib/rollout", "/var/lib/nginx/rollout", "/run/rollout", "/etc/rollout", MODULE_FILE):
        assert not root.file(path).exists(), path
    left = [path for folder in ("/etc/nginx/modules-enabled", "/etc/systemd/system/multi-user.target.wants", "/var/lib/systemd")
            for path in root.file(folder).rglob("*rollout*")]
    assert left == []


# Under systemd.

@pytest.fixture
def booted(request, packages, tmp_path):
    """A machine that has booted, with nginx."""
    if why := obstacle(tmp_path / "groups"):
        pytest.skip(f"systemd cannot run here: {why}")
    made = Booted(base(packages, boots=True))
    try:
        yield made
    finally:
        finish(request, made)


def test_systemd_starts_restarts_reloads_and_stops_what_the_packages_bring(booted, packages, next_packages):
    gateway, root = booted, booted.root
    root.install(packages)
    assert gateway.rolloutd.running() and root.run("systemctl", "is-enabled", "rolloutd").strip() == "enabled"
    gateway.inference.start()
    gateway.use_rollout()
    root.run("systemctl", "reload", "rolloutd", "nginx")
    wait_until(lambda: "The configuration was reloaded" in gateway.rolloutd.text(), "rolloutd's reload")
    gateway.await_link()
    deploy(gateway)

    before = [service.property("MainPID") for service in (gateway.rolloutd, gateway.nginx)]
    with Traffic(gateway, "m") as traffic:
        traffic.await_answers("first")
        root.install(next_packages)
        now = wait_until(lambda: "0" not in (pids := [service.property("MainPID") for service in (gateway.rolloutd, gateway.nginx)])
                         and not set(pids) & set(before) and pids, "new processes of both")
        traffic.await_answers("first")
        gateway.await_link()
        gateway.make_model("m", "second")
        gateway.deploy("m", rollout=AT_ONCE)
        traffic.await_answers("second")
    assert traffic.failures == []
    assert gateway.rolloutd.running() and gateway.nginx.running() and now
    assert gateway.rolloutd.property("NRestarts") == "0"  # nothing died

    gateway.give_up_rollout()
    root.apt("remove", MODULE, "rolloutd")
    assert not gateway.rolloutd.running() and gateway.rolloutd.property("LoadState") == "not-found"
    assert gateway.nginx.running()
    root.run("systemctl", "restart", "nginx")
