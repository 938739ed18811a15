"""A clean Debian in a folder, made by mmdebstrap, and a gateway that is installed there from the packages."""

import glob
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

from gateway import Client, Gateway
from processes import LOCATIONS, ROOT, InferenceServer, Nginx, Process, Rolloutd, free_port, wait_until

FOLDER = ROOT / "build-packages"
MODULE = "libnginx-mod-http-rollout"
MODULE_FILE = "/usr/lib/nginx/modules/ngx_http_rollout_module.so"
APT_DEADLINE_S = 900  # a mirror may be far


def run(*command, seconds=APT_DEADLINE_S, **how):
    """What a command printed; it must succeed."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=seconds, **how)
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


def field(package, name):
    return run("dpkg-deb", "-f", package, name).strip()


def needed_by(packages, boots):
    """What an installation of these takes besides them; of alternatives the service manager, or the smallest, which is none."""
    wanted, own = set(), {field(package, "Package") for package in packages}
    for package in packages:
        for alternatives in field(package, "Depends").split(", "):
            names = [one.split(" ")[0] for one in alternatives.split(" | ")]
            if not names[0].startswith("nginx-abi-"):
                wanted.add(next((name for name in names if not boots and "standalone" in name), names[0]))
    return sorted(wanted - own)


def base(packages, boots=False):
    """The packed system that roots are made of: nginx, and what the packages need. `boots`: with systemd. Taken from where this machine's own apt takes
    packages, and kept in the build folder."""
    sources = [path for path in ("/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list")),
                                 *sorted(glob.glob("/etc/apt/sources.list.d/*.sources"))) if os.path.exists(path)]
    include = ",".join(["nginx", *needed_by(packages, boots)])
    seen = include + run("dpkg-query", "-W", "nginx") + "".join(pathlib.Path(path).read_text() for path in sources)
    kind = "booting" if boots else "base"
    kept = FOLDER / f"{kind}-{hashlib.sha256(seen.encode()).hexdigest()[:16]}.tar"
    if not kept.exists():
        for old in FOLDER.glob(f"{kind}-*"):
            old.unlink()
        ways = [line for line in run("apt-config", "dump").splitlines() if re.match(r"Acquire::(https?|ftp|Retries)\b", line)]
        making = kept.with_suffix(".new.tar")
        run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={include}", "--dpkgopt=force-unsafe-io",
            *(f"--aptopt={line}" for line in ways), codename(), making, *sources)
        making.rename(kept)
    return kept


def codename():
    return re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.M)[1]


class Root:
    """The system in its folder. Each command has /proc and /dev mounted in a space of its own, so that
    nothing stays mounted there."""

    def __init__(self, packed):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="rollout-root."))
        self.path.chmod(0o755)
        # A mount of its own, from which no other mount gets out; where this runs in a chroot, its / is none that could be set so.
        run("mount", "--bind", self.path, self.path)
        run("mount", "--make-private", self.path)
        run("tar", "-xf", packed, "-C", self.path)
        # A machine with an init system, to Debian's maintainer scripts: nginx's own init script does what they ask for.
        policy = self.file("/usr/sbin/policy-rc.d")
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o755)

    def command(self, *command, writable=None):
        """`writable`: the only folders that the command can write to, besides a /tmp of its own."""
        protect = '' if writable is None else ' '.join([*(f'mount --bind "$0{folder}" "$0{folder}";' for folder in writable),
                                                        'mount -t tmpfs tmpfs "$0/tmp"; mount -o remount,bind,ro "$0";'])
        inside = protect + 'mount --rbind /proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"'
        return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", inside, str(self.path), *map(str, command)]

    def run(self, *command):
        return run(*self.command(*command), env=self.environment())

    @staticmethod
    def environment():
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive"}

    def apt(self, *arguments):
        return self.run("apt-get", "-y", *arguments)

    def install(self, packages):
        (self.path / "packages").mkdir(exist_ok=True)
        for package in packages:
            shutil.copy(package, self.path / "packages")
        return self.apt("install", "--no-install-recommends", *(f"/packages/{package.name}" for package in packages))

    def file(self, path):
        return self.path / path.lstrip("/")

    def status(self, package):
        """dpkg's words for it; empty where dpkg does not know it."""
        done = subprocess.run(self.command("dpkg-query", "-W", "-f", "${db:Status-Status}", package), capture_output=True, text=True)
        return done.stdout

    def unit(self, name):
        """The lines of a unit, each a pair."""
        for folder in ("/lib/systemd/system", "/usr/lib/systemd/system"):
            if self.file(f"{folder}/{name}").exists():
                return re.findall(r"^(\w+)=(.*)$", self.file(f"{folder}/{name}").read_text(), re.M)
        raise AssertionError(f"there is no unit {name}")

    def remove(self):
        run("umount", "-l", self.path)
        shutil.rmtree(self.path)


def setting(unit, name):
    return next(value for key, value in unit if key == name)


class InstalledRolloutd(Rolloutd):
    """rolloutd by its unit's command line, as its user, and with nothing but the unit's folders to write to."""

    def __init__(self, root, home):
        Process.__init__(self, home, "rolloutd")
        self.root = root
        self.socket = root.file("/run/rollout/rolloutd.sock")
        self.began = 0

    def start(self):
        unit = self.root.unit("rolloutd.service")
        user, group = setting(unit, "User"), setting(unit, "Group")
        assert setting(unit, "ProtectSystem") == "strict" and setting(unit, "PrivateTmp") == "true"
        writable = [f"/run/{setting(unit, 'RuntimeDirectory')}", f"/var/lib/{setting(unit, 'StateDirectory').split()[0]}"]  # the other one is inside
        assert setting(unit, "SupplementaryGroups") == "www-data"  # as --init-groups finds it
        self.began = len(self.text())
        self.launch(self.root.command("setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs",
                                      "--bounding-set=-all", "--inh-caps=-all", *setting(unit, "ExecStart").split(), writable=writable))
        wait_until(lambda: self.must_run() and '"rolloutd is ready"' in self.text()[self.began:], "rolloutd's start")
        assert re.search(r" / / ro[ ,]|^\d+ \d+ \S+ \S+ / ro[ ,]", pathlib.Path(f"/proc/{self.pid}/mountinfo").read_text(), re.M)
        return self

    def reload(self):
        """What the commands of `systemctl reload` said."""
        began = len(self.text())
        lines = [value for key, value in self.root.unit("rolloutd.service") if key == "ExecReload"]
        said = [run(*self.root.command(*shlex.split(line)), env={**self.root.environment(), "MAINPID": str(self.pid)}) for line in lines]
        wait_until(lambda: "The configuration was reloaded" in self.text()[began:], "the reload")
        return "".join(said)


class InstalledNginx(Nginx):
    """nginx of the root by its unit's command line: a daemon of which there is a process id in a file."""

    def __init__(self, root):
        self.root = root
        self.port = free_port()
        self.log = root.file("/var/log/nginx/error.log")

    def start(self):
        line = setting(self.root.unit("nginx.service"), "ExecStart")
        program, flag, settings = re.fullmatch(r"(\S+) (-g) '(.*)'", line).groups()
        self.root.run(program, flag, settings)
        wait_until(self.accepts, "nginx's start")
        return self

    def master_pid(self):
        return int(self.root.file("/run/nginx.pid").read_text())

    def running(self):
        return self.root.file("/run/nginx.pid").exists() and pathlib.Path(f"/proc/{self.master_pid()}").exists()

    def loaded_modules(self):
        """The files of the rollout module in its master process; one that is not the installed one any more says so."""
        maps = pathlib.Path(f"/proc/{self.master_pid()}/maps").read_text()
        return set(re.findall(r"/usr/lib/nginx/modules/ngx_http_rollout_module\.so\S*(?: \(deleted\))?", maps))

    def reload(self):
        before = set(self.worker_pids())
        self.root.run("service", "nginx", "reload")
        wait_until(lambda: self.worker_pids() and before.isdisjoint(self.worker_pids()), "nginx's reload")

    def errors(self):
        return self.log.read_text(errors="replace")

    def linked(self, rolloutd):
        """As rolloutd has it: nginx's log is at Debian's level, and does not say."""
        pids = self.worker_pids()
        return bool(pids) and rolloutd.linked() >= set(pids)

    def text(self):
        return ""

    def stop(self):
        pid = self.master_pid()
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "nginx's end")
        return 0


ZONE = """\
rollout_zone rollout 8m state=/var/lib/nginx/rollout/routes.json;
rollout_worker unix:/run/rollout/rolloutd.sock;
upstream inference {{ server 127.0.0.1:{inference}; keepalive 16; }}
"""

# Answers as a model would, without the module.
SITE = """\
server {{
    listen 127.0.0.1:{port};
    location = /v2/models/plain/infer {{ default_type application/json; return 200 '{{"outputs":[{{"name":"answer","data":["plain"]}}]}}'; }}
    {locations}
}}
"""


class Installed(Gateway):
    """A gateway whose nginx, and later rolloutd, are installed in a root of its own."""

    def __init__(self, packed, kind=Root):
        self.root = kind(packed)
        self.home = self.root.file("/srv")  # models are where rolloutd.json looks for them
        (self.home / "models").mkdir()
        self.state = self.root.file("/var/lib/rollout")
        self.inference = InferenceServer(self.home)
        self.inference.repository = self.state / "repository"
        self.rolloutd = InstalledRolloutd(self.root, self.home)
        self.nginx = InstalledNginx(self.root)
        Client.__init__(self, self.nginx.port)
        self.server = Client(self.inference.port)
        self.root.file("/etc/nginx/sites-enabled/default").unlink()
        self.write_site("")

    def write_site(self, locations):
        self.root.file("/etc/nginx/sites-enabled/gateway").write_text(SITE.format(port=self.nginx.port, locations=locations))

    def use_rollout(self):
        """What an operator does once the packages are there: the server's address for rolloutd, and the README's lines for nginx."""
        settings = self.root.file("/etc/rollout/rolloutd.json")
        settings.write_text(settings.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{self.inference.port}"))
        self.root.file("/etc/nginx/conf.d/rollout.conf").write_text(ZONE.format(inference=self.inference.port))
        self.write_site(LOCATIONS)

    def give_up_rollout(self):
        self.root.file("/etc/nginx/conf.d/rollout.conf").unlink()
        self.write_site("")

    def close(self):
        ended = [(name, process.stop()) for name, process in
                 (("nginx", self.nginx), ("rolloutd", self.rolloutd), ("inference", self.inference)) if process.running()]
        self.root.remove()
        return ended
