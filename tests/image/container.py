"""The image's containers. As buildah runs them: with the machine's network and processes, and a root that can be written."""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from gateway import Client, Gateway
from processes import DEADLINE_S, InferenceServer, Process, children, command_line, free_port, wait_until

USER = 10001  # as the Dockerfile says


class Container(Process):
    """One of them. Its folders are `volumes`, {path inside: folder here}; what the image's user is to write belongs to it."""

    def __init__(self, image, home, name, role, environment, volumes):
        super().__init__(home, name)
        self.image, self.role, self.environment, self.volumes = image, role, environment, volumes
        self.output = home / f"{name}-output"
        self.programs = itertools.count()

    def folders(self):
        """As mounted for a root that cannot be written, each with root as its owner and the image's folder's mode, as a tmpfs has: two
        containers of a test share nothing else."""
        own = {path: self.home / self.log.stem / path.strip("/").replace("/", "-") for path in ("/tmp", "/etc/nginx/conf.d")}
        for path, folder in own.items():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod((self.image.root / path.strip("/")).stat().st_mode & 0o7777)
        self.output.mkdir(exist_ok=True)
        os.chown(self.output, USER, USER)
        return {**own, "/output": self.output, **self.volumes}

    def command(self, program, output="output"):
        """What buildah copies of a program's output may lack its end: it goes into a file, but for None."""
        volumes = [part for path, folder in self.folders().items() for part in ("--volume", f"{folder}:{path}")]
        environment = [part for name, value in self.environment.items() for part in ("--env", f"{name}={value}")]
        within = ["sh", "-c", 'exec "$@" >> "$0" 2>&1', f"/output/{output}"] if output else []
        return self.image.command("run", *volumes, *environment, self.image.container, "--", *within, *program)

    def start(self, output="output"):
        self.launch(self.command([*self.image.config["Entrypoint"], self.role], output), {"BUILDAH_ISOLATION": "chroot"})
        return self

    def text(self):
        """What it said; what buildah said is in its log."""
        file = self.output / "output"
        return file.read_text(errors="replace") if file.exists() else ""

    def run(self, *program):
        """A program beside, as `docker exec` and health checks do: its status, and what it said."""
        output = f"program{next(self.programs)}"
        done = subprocess.run(self.command(program, output), capture_output=True, text=True, timeout=DEADLINE_S,
                              env={**os.environ, "BUILDAH_ISOLATION": "chroot"})
        file = self.output / output
        assert file.exists(), done.stderr
        return done.returncode, file.read_text().strip()

    def health(self, *role):
        return self.run("rollout-health", *role)

    def processes(self):
        """All of it, by name: {name: [process ids]}."""
        found = {}
        for pid in descendants(self.pid):
            found.setdefault(name_of(pid), []).append(pid)
        return found

    def send_signal(self, number):
        """To its init, once it is there: buildah hands none on."""
        wait_until(lambda: "dumb-init" in self.processes() or not self.running(), "its init")
        for pid in self.processes().get("dumb-init", []):
            os.kill(pid, number)

    def lines(self):
        """What rolloutd logged."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]


def descendants(pid):
    found = children(pid)
    for one in found:
        found += children(one)  # and theirs, as the list grows
    return found


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class ContainerGateway(Gateway):
    """A gateway of the image: as two containers, or as one. The inference server is outside, and its repository a volume."""

    def __init__(self, image, containers=2, environment=None, volumes=None):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
        self.home.chmod(0o755)
        for folder in (".", "repository", "run", "state"):
            (self.home / folder).mkdir(exist_ok=True)
            os.chown(self.home / folder, USER, USER)
        (self.home / "models").mkdir()
        self.inference = InferenceServer(self.home)
        Client.__init__(self, free_port())
        self.server = Client(self.inference.port)
        given = {"ROLLOUT_PORT": self.port, "ROLLOUT_INFERENCE": f"127.0.0.1:{self.inference.port}", **(environment or {})}
        shared = {"/run/rollout": self.home / "run"}
        worked_on = {"/var/lib/rollout": self.home / "state", "/models": self.home, "/srv/models": self.home / "models"}
        own = volumes or {}
        if containers == 1:
            self.nginx = self.rolloutd = Container(image, self.home, "gateway", "gateway", given, {**shared, **worked_on, **own})
        else:
            self.rolloutd = Container(image, self.home, "rolloutd", "rolloutd", given, {**shared, **worked_on, **own})
            self.nginx = Container(image, self.home, "nginx", "nginx", given, {**shared, **own})
        self.nginx.port = self.port

    def start(self):
        self.inference.start()
        for one in {self.rolloutd, self.nginx}:
            one.start()
        self.await_link()
        return self

    def await_link(self, client=None):
        def linked():
            self.nginx.must_run()
            self.rolloutd.must_run()
            workers = {pid for pid in self.nginx.processes().get("nginx", []) if command_line(pid) == "nginx: worker process"}
            return workers and workers <= self.linked()
        wait_until(linked, "nginx's links to rolloutd")
        wait_until(lambda: self.get("/deploy-status/nobody").status == 404, "the table")

    def linked(self):
        return {int(line["pid"]) for line in self.rolloutd.lines() if line["message"] == "A worker process of nginx is linked"}

    def logs(self):
        return f"\n--- rolloutd\n{self.rolloutd.text()[-4000:]}\n--- nginx\n{self.nginx.text()[-4000:]}"

    def close(self):
        """The status that each ended with; nothing of them is left."""
        ended = []
        for process in (self.nginx, *({self.rolloutd} - {self.nginx}), self.inference):
            if process.running():
                ended.append((process.log.stem, process.stop()))
        shutil.rmtree(self.home, ignore_errors=True)
        return ended
