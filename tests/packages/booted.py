"""A clean Debian that has booted: the real systemd runs nginx and, once it is installed, rolloutd."""

import pathlib
import re
import shutil
import tempfile

from processes import Process, wait_until
from real_systemd import Systemd
from root import Installed, Root

# What a container's manager gives it.
FILES = """\
mount --rbind /sys "$root/sys"; mount --make-rprivate "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
for name in null zero full random urandom tty; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"; ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
"""


class BootedRoot(Root):
    manager = None

    def boot(self):
        self.manager = Systemd(pathlib.Path(tempfile.mkdtemp(prefix="rollout-boot.")), self.path, FILES, "multi-user.target").start()

    def command(self, *command, writable=None):
        return self.manager.command(*command) if self.manager else super().command(*command, writable=writable)

    def remove(self):
        if self.manager:
            self.manager.end()
            shutil.rmtree(self.manager.home)
        super().remove()


class BootedService(Process):
    """A unit; what Gateway asks of a process."""

    def __init__(self, root, name):
        super().__init__(root.path, name)
        self.root, self.name = root, name

    def property(self, name):
        return self.root.manager.property(name, self.name)

    def text(self):
        return self.root.run("journalctl", "--unit", self.name, "--output", "cat", "--no-pager")

    def running(self):
        return self.property("ActiveState") == "active"

    def stop(self):
        self.root.run("systemctl", "stop", self.name)
        return 0 if self.property("Result") == "success" else self.property("Result")


class Booted(Installed):
    def __init__(self, packed):
        super().__init__(packed, BootedRoot)
        self.rolloutd = BootedService(self.root, "rolloutd")
        port, log = self.nginx.port, self.nginx.log
        self.nginx = BootedService(self.root, "nginx")
        self.nginx.port, self.nginx.log = port, log
        self.nginx.errors = lambda: log.read_text(errors="replace")
        self.root.boot()

    def workers(self):
        """nginx's worker processes, as they are counted in there."""
        processes = self.root.run("cat", "/sys/fs/cgroup/system.slice/nginx.service/cgroup.procs").split()
        return set(processes) - {self.nginx.property("MainPID")}

    def await_link(self):
        wait_until(lambda: self.workers() <= set(re.findall(r'"pid":"(\d+)".*"A worker process of nginx is linked"', self.rolloutd.text())),
                   "nginx's links to rolloutd")
