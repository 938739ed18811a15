"""The real systemd, process 1 of namespaces of its own, with rolloutd's unit in it: what the unit's lines come to, not what they say."""

import os
import pathlib
import re
import shutil
import subprocess

from processes import DEADLINE_S, ROLLOUTD, ROOT, Process, Rolloutd, children, wait_until

# In a control group of its own: systemd sorts the processes of the one that it is in.
BOOT = """\
mount -t proc proc "$root/proc"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/$group"
echo 0 > "$root/sys/fs/cgroup/$group/cgroup.procs"
umount "$root/sys/fs/cgroup"
exec unshare --cgroup sh -ec 'mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"; exec chroot "$0" env -i container=other \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit="$1" --log-target=console --show-status=no' "$root" "$unit"
"""

# This machine's files, read-only, with folders of the test's where rolloutd's are.
MACHINE = """\
mkdir -p "$root" "$home/run" "$home/state" "$home/units"
mount --rbind / "$root"
mount --make-rprivate "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs tmpfs "$root/run"; mkdir "$root/run/rollout" "$root/run/lock"; mount --bind "$home/run" "$root/run/rollout"
mount -t tmpfs tmpfs "$root/var/lib"; mkdir "$root/var/lib/rollout"; mount --bind "$home/state" "$root/var/lib/rollout"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$home" "$root/srv"
mount --bind "$home/units" "$root/etc/systemd/system"
[ ! -e "$root/bin/kill" ] || mount --bind "$root/bin/false" "$root/bin/kill"  # of a package that ours does not ask for
"""

USER = "daemon"  # for a user that this machine does not have
HAS_NO_BASIS = "DefaultDependencies=no\n"  # no basic.target, which wants all of a machine


# Its control groups, seen from outside: $0 is a folder to have them at, $1 the group.
GROUPS = 'mount --bind "$0" "$0"; mount --make-private "$0"; mount -t cgroup2 cgroup2 "$0"; '


def with_groups(folder, group, commands):
    folder.mkdir(exist_ok=True)
    return subprocess.run(["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", GROUPS + commands, folder, group],
                          capture_output=True, text=True, timeout=DEADLINE_S)


def obstacle(folder):
    """Why systemd cannot run here, where it cannot: in a container that may not mount, for one."""
    done = with_groups(folder, f"rollout-test-{os.getpid()}", 'mkdir "$0/$1"; rmdir "$0/$1"')
    return done.stderr.strip()


class Systemd(Process):
    """`files`: lines of a shell that lay out `root` for it; `unit`: what it starts, and all that that wants."""

    def __init__(self, home, root, files, unit):
        super().__init__(home, "systemd")
        self.group = f"rollout-test-{os.getpid()}-{home.name}"
        self.root, self.files, self.unit = root, files, unit

    def start(self):
        self.launch(["unshare", "--mount", "--propagation", "unchanged", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-ec",
                     'home="$0" root="$1" group="$2" unit="$3"\n' + self.files + BOOT, self.home, self.root, self.group, self.unit])
        wait_until(lambda: self.must_run() and self.systemctl("is-active", self.unit).returncode == 0, "systemd's start")
        return self

    def first_process(self):
        """As this machine counts it."""
        return next(iter(children(self.child.pid)), None)

    def command(self, *command):
        """The words that run a command in there."""
        return ["nsenter", f"--target={self.first_process()}", "--mount", "--pid", "--ipc", "--uts", "--root", "--wd", *map(str, command)]

    def systemctl(self, *words):
        return subprocess.run(self.command("systemctl", *words), capture_output=True, text=True, timeout=DEADLINE_S)

    def property(self, name, unit="rolloutd"):
        return self.systemctl("show", unit, "--value", "--property", name).stdout.strip()

    def end(self):
        self.child.kill()  # with which its processes end
        self.child.wait(DEADLINE_S)
        tidy = 'find "$0/$1" -depth -type d -exec rmdir {} +'
        wait_until(lambda: with_groups(self.home / "groups", self.group, tidy).returncode == 0, "the end of systemd's control groups")
        return 0


class ServiceRolloutd(Rolloutd):
    """rolloutd by conf/'s unit, as systemd runs it: its folder is /srv there, and the folders `run` and `state` in it are /run/rollout
    and /var/lib/rollout. `more`: lines of a drop-in, as an operator has them."""

    def __init__(self, home, inference_port, more=""):
        Process.__init__(self, home, "rolloutd")
        self.manager = Systemd(home, home / "root", MACHINE, "tests.target")
        (home / "units").mkdir()
        (home / "units/tests.target").write_text(f"[Unit]\n{HAS_NO_BASIS}")
        self.socket = home / "run/rolloutd.sock"
        self.journal = home / "state/journal.db"
        self.config_file = home / "rolloutd.json"
        shutil.copy(ROLLOUTD, home / "rolloutd")
        unit = (ROOT / "conf/rolloutd.service").read_text()
        for old, new in (("/usr/sbin/rolloutd", "/srv/rolloutd"), ("/etc/rollout/rolloutd.json", "/srv/rolloutd.json"), ("=rollout\n", f"={USER}\n")):
            assert old in unit
            unit = unit.replace(old, new)
        unit = re.sub(rf"^(RuntimeDirectory|StateDirectory)={USER}$", r"\1=rollout", unit, flags=re.M)
        (home / "units/rolloutd.service").write_text(unit)
        # AddressSanitizer looks for leaks as a debugger, which the filter of system calls stops.
        leaks = "Environment=ASAN_OPTIONS=detect_leaks=0\n"
        log = f"StandardOutput=append:/srv/{self.log.name}\nStandardError=inherit\n"
        drop_in = home / "units/rolloutd.service.d/tests.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(f"[Unit]\n{HAS_NO_BASIS}[Service]\n{leaks}{log}{more}")
        self.config = (ROOT / "conf/rolloutd.json").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{inference_port}")

    def write(self, text):
        self.config_file.write_text(text)

    def start(self):
        if not self.manager.running():
            self.write(self.config)
            self.manager.start()
        self.began = len(self.text())
        done = self.manager.systemctl("start", "rolloutd")
        assert done.returncode == 0, done.stderr + self.text() + self.manager.text()
        return self

    @property
    def pid(self):
        """As this machine counts it."""
        inside = self.manager.property("MainPID")
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            ids = re.search(r"^NSpid:\s+(\d+)\s+(\d+)$", text, re.M)
            if ids and ids[2] == inside and re.search(r"^Name:\s+rolloutd$", text, re.M) and self.is_inside(int(ids[1])):
                return int(ids[1])
        raise AssertionError(f"rolloutd does not run: {self.manager.systemctl('status', 'rolloutd').stdout}")

    def is_inside(self, pid):
        return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self.manager.first_process()}/ns/pid")

    def running(self):
        return self.manager.running()

    def must_run(self):
        return self.manager.property("ActiveState") == "active"

    def stop(self):
        done = self.manager.systemctl("stop", "rolloutd")
        assert done.returncode == 0, done.stderr
        result = self.manager.property("Result")
        return 0 if result == "success" else result

    def close(self):
        try:
            return self.stop()
        finally:
            self.manager.end()
