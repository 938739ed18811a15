"""rolloutd as a service: a user of its own without privileges, the units of conf/, and what a service manager hears."""

import grp
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess

import pytest

from link import Gateway as Link
from link import words_of
from processes import DEADLINE_S, ROLLOUTD, ROOT, wait_until, worker_user

USER = "daemon"  # neither root nor nginx's


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=DEADLINE_S)


# The units.

@pytest.fixture
def unit(tmp_path):
    """The unit, with the program that is built here."""
    file = tmp_path / "rolloutd.service"
    file.write_text((ROOT / "conf/rolloutd.service").read_text().replace("/usr/sbin/rolloutd", str(ROLLOUTD)))
    return file


def test_systemd_is_content_with_the_unit(unit):
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert done.returncode == 0 and (done.stdout + done.stderr).strip() == "", done


def test_the_unit_is_exposed_to_little(unit):
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    level = re.search(r"Overall exposure level for rolloutd\.service: ([0-9.]+) (\w+)", done.stdout)
    assert float(level[1]) <= 2.0 and level[2] in ("OK", "SAFE", "PERFECT"), level[0]


def test_the_unit_lets_rolloutd_do_what_it_does(unit):
    """The sandbox that hides nginx's user from the socket, or forbids to give it nginx's group, would lock nginx out."""
    text = unit.read_text()
    assert not re.search(r"^(PrivateUsers|PrivateNetwork|MemoryDenyWriteExecute)=", text, re.M)
    filters = re.findall(r"^SystemCallFilter=(.*)$", text, re.M)
    assert filters.index("@chown") > filters.index("~@privileged @resources")
    for group in ("RuntimeDirectory=rollout", "StateDirectory=rollout", "User=rollout", "Type=notify"):
        assert re.search(f"^{group}", text, re.M), group


def test_the_status_of_what_only_a_person_can_mend_is_the_same_everywhere(unit):
    status = re.search(r"exit_permanent_error = (\d+);", (ROOT / "worker/base/permanent_start_error.hpp").read_text())[1]
    assert re.findall(r"^RestartPreventExitStatus=(.*)$", unit.read_text(), re.M) == [status]
    told = re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH ", (ROOT / "docs/man/rolloutd.8").read_text(), re.M | re.S)[1]
    assert re.findall(r"^\.B (\d+)$", told, re.M) == ["0", "1", status]


def test_the_unit_lets_rolloutd_write_to_its_own_folders_alone(unit):
    text = unit.read_text()
    for line in ("ProtectSystem=strict", "PrivateTmp=true", "NoNewPrivileges=true", "StateDirectory=rollout rollout/repository",
                 "RuntimeDirectory=rollout"):
        assert re.search(f"^{line}$", text, re.M), line
    assert not re.search(r"^(ReadWritePaths|BindPaths|LogsDirectory|CacheDirectory|ConfigurationDirectory)=", text, re.M)


def test_tmpfiles_makes_the_folders(tmp_path):
    own = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    file = tmp_path / "rollout.conf"
    file.write_text((ROOT / "conf/tmpfiles.conf").read_text().replace("rollout rollout -", f"{own[0]} {own[1]} -"))
    root = tmp_path / "root"
    root.mkdir()
    done = run("systemd-tmpfiles", f"--root={root}", "--create", file)
    assert done.returncode == 0, done.stderr
    for folder in ("run/rollout", "var/lib/rollout", "var/lib/rollout/repository"):
        assert mode_of(root / folder) == (0o755, *own), folder


def test_sysusers_makes_the_user(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("www-data:x:33:\n")
    (tmp_path / "etc/passwd").write_text("")
    done = run("systemd-sysusers", f"--root={tmp_path}", ROOT / "conf/sysusers.conf")
    assert done.returncode == 0, done.stderr
    (user,) = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert user[0] == "rollout" and user[2] != "0" and user[6].endswith("nologin")
    groups = {line.split(":")[0]: line.split(":")[3] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert groups["www-data"] == "rollout"


# A user of its own.

def as_user(gateway, groups):
    """rolloutd as a user that may write its own two folders, and can gain nothing."""
    rolloutd = gateway.rolloutd
    user = pwd.getpwnam(USER)
    for name in ("run", "state", "state/repository"):
        (gateway.home / name).mkdir()
        os.chown(gateway.home / name, user.pw_uid, user.pw_gid)
    rolloutd.socket = gateway.home / "run/rolloutd.sock"
    rolloutd.journal = gateway.home / "state/journal.db"
    rolloutd.config["listen"]["path"] = str(rolloutd.socket)
    rolloutd.config["journal"]["path"] = str(rolloutd.journal)
    rolloutd.config["backends"]["default"]["repository"] = str(gateway.home / "state/repository")
    gateway.inference.repository = gateway.home / "state/repository"
    rolloutd.prefix = ("setpriv", f"--reuid={USER}", f"--regid={user.pw_gid}", groups, "--no-new-privs", "--bounding-set=-all",
                       "--inh-caps=-all")
    gateway.nginx.pieces["socket"] = rolloutd.socket


def mode_of(path):
    status = path.stat()
    return stat.S_IMODE(status.st_mode), pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name


def test_rolloutd_works_as_a_user_without_privileges(make_gateway):
    gateway = make_gateway()
    nginx_group = grp.getgrgid(pwd.getpwnam(worker_user()).pw_gid)
    as_user(gateway, f"--groups={nginx_group.gr_gid}")
    gateway.start()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{gateway.rolloutd.pid}/status").read().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(pwd.getpwnam(USER).pw_uid)] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0

    gateway.make_model("m", "one")
    gateway.deploy("m")
    assert gateway.infer("m") == "one"
    own = grp.getgrgid(pwd.getpwnam(USER).pw_gid).gr_name
    assert mode_of(gateway.rolloutd.socket) == (0o660, USER, nginx_group.gr_name)
    for file in (gateway.home / "state").glob("journal.db*"):
        assert mode_of(file) == (0o600, USER, own), file
    # The inference server is another user's process.
    for path in (gateway.home / "state/repository/m__r1").rglob("*"):
        assert mode_of(path) == (0o755 if path.is_dir() else 0o644, USER, own), path
    gateway.make_model("m", "two")
    gateway.deploy("m")
    gateway.delete("m")
    assert not list((gateway.home / "state/repository").iterdir())


def test_outside_of_nginx_group_it_says_what_the_socket_lacks(make_gateway):
    gateway = make_gateway()
    as_user(gateway, "--clear-groups")
    gateway.inference.start()
    gateway.rolloutd.start()
    said = "keeps rolloutd's own group; the users of allow_users must be in it"
    wait_until(lambda: said in gateway.rolloutd.text(), "the line in the log")
    gateway.nginx.start()
    wait_until(lambda: re.search(r"connect\(\) to rolloutd .* failed.*Permission denied", gateway.nginx.errors()), "nginx's word")
    gateway.post("/deploy", {"model_id": "m"}).problem(500)


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_the_socket_has_the_mode_that_is_asked_for(make_gateway, mode):
    gateway = make_gateway(rolloutd={"listen": {"mode": mode}})
    gateway.rolloutd.start()
    assert mode_of(gateway.rolloutd.socket)[0] == int(mode, 8)


def test_a_process_of_another_user_is_refused_whatever_the_socket_lets_in(make_gateway):
    """The mode lets everybody connect; who it is decides."""
    gateway = make_gateway(rolloutd={"listen": {"mode": "0666", "allow_users": [worker_user()]}})
    gateway.rolloutd.start()
    ask = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{gateway.rolloutd.socket}'); s.settimeout(60); print(s.recv(4096))"
    done = run("setpriv", f"--reuid={USER}", "--clear-groups", "/usr/bin/python3", "-c", ask)
    assert f"user {USER} is not in allow_users" in done.stdout, done
    (line,) = [line for line in gateway.rolloutd.lines() if "not in allow_users" in line["message"]]
    assert line["level"] == "warning" and USER in line["message"]


# A service manager.

class Manager:
    """Listens as systemd does, at NOTIFY_SOCKET."""

    def __init__(self, home):
        self.path = home / "notify.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(DEADLINE_S)

    def hear(self, word):
        """The first message that holds this, and what was heard before it."""
        heard = []
        while True:
            message = self.socket.recv(65536).decode().splitlines()
            if word in message:
                return message, heard
            heard += message


def test_a_service_manager_hears_of_start_reload_and_end(make_gateway):
    gateway = make_gateway()
    manager = Manager(gateway.home)
    gateway.rolloutd.start(wait=False, env={"NOTIFY_SOCKET": str(manager.path)})
    manager.hear("READY=1")
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(gateway.rolloutd.socket))  # ready is ready
    gateway.rolloutd.send_signal(signal.SIGHUP)
    assert "READY=1" not in manager.hear("RELOADING=1")[1]
    manager.hear("READY=1")
    gateway.rolloutd.send_signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert gateway.rolloutd.wait() == 0


def test_readiness_is_said_when_the_journal_is_read_and_the_socket_open(make_gateway):
    gateway = make_gateway().start()
    gateway.serve_blue("m")
    task = gateway.start_deployment("m", steps=[{"weight": 50, "hold_s": 600}, {"weight": 100}])
    gateway.await_weight(task, 50)
    gateway.rolloutd.kill()
    manager = Manager(gateway.home)
    gateway.rolloutd.start(wait=False, env={"NOTIFY_SOCKET": str(manager.path)})
    manager.hear("READY=1")
    said = [line["message"] for line in gateway.rolloutd.lines(gateway.rolloutd.began)]
    assert "The journal has 1 unfinished task" in said
    link = Link(gateway.rolloutd.socket)
    link.send({"type": "lookup", "id": 1, "kind": "deploy", "task_id": task["task_id"]})
    assert words_of(link.receive_type("found"))["status"] == "in_progress"
    link.close()


@pytest.mark.parametrize("first", ["nginx", "rolloutd"])
def test_nginx_and_rolloutd_start_and_restart_in_any_order(make_gateway, first):
    """The unit orders neither before the other."""
    assert not re.search(r"^(After|Before|Requires|BindsTo|PartOf|Wants)=.*nginx", (ROOT / "conf/rolloutd.service").read_text(), re.M)
    gateway = make_gateway()
    gateway.inference.start()
    gateway.make_model("m", "first")
    order = [gateway.nginx, gateway.rolloutd] if first == "nginx" else [gateway.rolloutd, gateway.nginx]
    for _ in range(2):
        for one in order:
            one.start()
        gateway.await_link()
        gateway.deploy("m")
        assert gateway.infer("m") == "first"
        for one in order:
            one.stop()


def test_a_stop_or_a_reload_right_after_the_start_is_in_order(make_gateway):
    """From the moment when the socket is there, signals mean what they mean, whatever a start still has to do."""
    gateway = make_gateway()
    for number in (signal.SIGTERM, signal.SIGHUP) * 10:
        gateway.rolloutd.start()
        gateway.rolloutd.send_signal(number)
        if number == signal.SIGHUP:
            wait_until(lambda: "The configuration was reloaded" in gateway.rolloutd.text()[gateway.rolloutd.began:], "the reload")
        assert gateway.rolloutd.stop() == 0


def test_no_thread_gets_the_signals_that_the_loop_reads(make_gateway):
    gateway = make_gateway().start()
    pid = gateway.rolloutd.pid
    blocked = {}
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        (mask,) = re.findall(r"^SigBlk:\s*(\w+)$", (thread / "status").read_text(), re.MULTILINE)
        blocked[int(thread.name)] = {number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM) if int(mask, 16) >> (number - 1) & 1}
    assert len(blocked) > 1 and all(len(numbers) == 3 for numbers in blocked.values()), blocked
    assert "anon_inode:[signalfd]" in [os.readlink(descriptor) for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir()]


def test_being_told_to_stop_again_and_again_changes_nothing(make_gateway):
    gateway = make_gateway()
    for _ in range(5):
        gateway.rolloutd.start()
        while gateway.rolloutd.running():
            gateway.rolloutd.send_signal(signal.SIGTERM)
        assert gateway.rolloutd.wait() == 0


def test_a_start_that_brings_a_large_journal_up_to_date_asks_for_its_time(make_gateway):
    """A service manager ends what is not ready in time, and the next start would begin anew."""
    gateway = make_gateway()
    shutil.copy(ROOT / "tests/integration/kept/journal-v1.db", gateway.rolloutd.journal)
    journal = sqlite3.connect(gateway.rolloutd.journal)
    with journal:
        journal.execute("DELETE FROM tasks")
        journal.executemany("INSERT INTO tasks VALUES (?, 't' || ?, 'deploy', 'm', 'failed', ?, 1, '{}')", ([at] * 3 for at in range(1, 20001)))
    journal.close()
    manager = Manager(gateway.home)
    gateway.rolloutd.start(wait=False, env={"NOTIFY_SOCKET": str(manager.path)})
    _, before = manager.hear("READY=1")
    said = dict(word.split("=", 1) for word in before)
    assert int(said["EXTEND_TIMEOUT_USEC"]) >= 60_000_000 and "journal" in said["STATUS"]


def test_what_cannot_start_is_never_ready(make_gateway):
    gateway = make_gateway(rolloutd={"journal": {"path": "/proc/no/such/folder/journal.db"}})
    manager = Manager(gateway.home)
    gateway.rolloutd.start(wait=False, env={"NOTIFY_SOCKET": str(manager.path)})
    assert gateway.rolloutd.wait() == 1
    gateway.rolloutd.child = None
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.socket.recv(65536)


def test_a_large_journal_that_turns_out_to_be_damaged_ends_it_for_good(make_gateway):
    """It is read whole beside the work; no other start would find it better."""
    gateway = make_gateway()
    gateway.rolloutd.start()
    assert gateway.rolloutd.stop() == 0
    journal = sqlite3.connect(gateway.rolloutd.journal)
    with journal:
        journal.executemany("INSERT INTO tasks VALUES (?, 't' || ?, 'deploy', 'm', 'failed', ?, 1, ?)",
                            ((at, at, at, f'{{"padding": "{"x" * 30000}"}}') for at in range(1, 1501)))
    journal.close()
    with open(gateway.rolloutd.journal, "r+b") as file:
        file.seek(20 << 20)
        file.write(b"Z" * 65536)
    for _ in range(2):
        gateway.rolloutd.start(wait=False)
        assert gateway.rolloutd.wait() == 78
        assert f"{gateway.rolloutd.journal} is damaged" in gateway.rolloutd.text()[gateway.rolloutd.began:]
    assert "rolloutd stops, and does not start again by itself" in gateway.rolloutd.text()
    gateway.rolloutd.child = None


def test_the_watchdog_is_fed_while_the_loop_turns_and_not_when_it_stands(make_gateway):
    gateway = make_gateway()
    manager = Manager(gateway.home)
    gateway.rolloutd.start(env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "100000"})
    for _ in range(3):
        manager.hear("WATCHDOG=1")
    gateway.rolloutd.send_signal(signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in open(f"/proc/{gateway.rolloutd.pid}/status").read(), "its standstill")
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            manager.socket.recv(65536)  # what it said before
    gateway.rolloutd.send_signal(signal.SIGCONT)
    manager.socket.settimeout(DEADLINE_S)
    manager.hear("WATCHDOG=1")
