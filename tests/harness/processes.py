"""The three processes of a gateway, each started in a folder of the test's own, and ended by process id."""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import pwd
import random
import re
import signal
import socket
import subprocess
import time

import description

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("ROLLOUT_BUILD", "build-asan")
# ThreadSanitizer is for rolloutd: nginx cannot load what is built with it, and has no threads.
MODULE = (ROOT / "build-asan" if BUILD.name == "build-tsan" else BUILD) / "module/ngx_http_rollout_module.so"
ROLLOUTD = BUILD / "worker/rolloutd"
INFERENCE_SERVER = ROOT / "tests/support/inference-server/server.js"
NGINX = os.environ.get("ROLLOUT_NGINX", "/usr/sbin/nginx")

# Longer than anything takes, even on a machine that does much else: what is not there by then never comes.
DEADLINE_S = 60


@functools.cache
def sanitizers_of(program):
    """The paths of the sanitizers' libraries that a program or a module is built with."""
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [line.split()[2] for line in libraries.splitlines() if any(name in line for name in ("libasan", "libubsan", "libclang_rt"))]


def nginx_environment():
    """What nginx needs to load a module that is built with AddressSanitizer: the packaged nginx is not."""
    preload = sanitizers_of(MODULE)
    # nginx leaks at its end by design; freed memory that is kept back would look like a leak to a test that measures.
    return {"LD_PRELOAD": " ".join(preload), "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=1"} if preload else {}


def wait_until(condition, what="the condition", seconds=DEADLINE_S):
    """Returns what `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.01)


# Of several pytest processes that run beside each other, each has its own.
RUNNERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
RUNNER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(12000, 32000)[RUNNER::RUNNERS]  # below those that the system gives to clients, so that no connection of anybody's takes one
next_ports = itertools.cycle([*PORTS[(begin := random.SystemRandom().randrange(len(PORTS))):], *PORTS[:begin]])


def free_port():
    """A port that nobody listens on, and that nobody else in this run is given before all others were."""
    for port in next_ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def worker_user():
    """Whom nginx's worker processes run as."""
    try:
        return pwd.getpwnam("www-data").pw_name
    except KeyError:
        return "nobody"


def thread_states(pid):
    """What each thread of the process is doing, as a letter of proc(5)'s; none if there is no such process."""
    states = []
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            states.append(stat.read_text().rpartition(")")[2].split()[0])
    return states


def use_build(folder, rolloutd, nginx):
    """Both, which have not started, take their programs from the build in that folder."""
    rolloutd.program = folder / "worker/rolloutd"
    nginx.pieces["module"] = folder / "module/ngx_http_rollout_module.so"


class Process:
    """A child process with its output in a file."""

    def __init__(self, home, name):
        self.home = home
        self.log = home / f"{name}.log"
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def launch(self, command, env=None):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env={**os.environ, **(env or {})})

    def running(self):
        return self.child is not None and self.child.poll() is None

    def must_run(self):
        assert self.running(), f"{self.log.stem} ended with {self.child.returncode}:\n{self.text()[-4000:]}"
        return True

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def send_signal(self, number):
        os.kill(self.child.pid, number)
        if number == signal.SIGSTOP:  # its other threads run on for a moment
            wait_until(lambda: all(state == "T" for state in thread_states(self.child.pid)), "the stop of all threads")

    def wait(self):
        return self.child.wait(DEADLINE_S)

    def stop(self, number=signal.SIGTERM):
        """Asks it to end; returns its status."""
        if self.running():
            self.send_signal(number)
        return self.end()

    def kill(self):
        self.stop(signal.SIGKILL)

    def end(self):
        if self.child is None:
            return 0
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise


class InferenceServer(Process):
    """The inference server of tests/support, with a repository in the home folder."""

    def __init__(self, home, flavour="triton", control="explicit", poll_secs=15):
        super().__init__(home, "inference")
        self.poll_secs = poll_secs
        self.repository = home / "repository"
        self.flavour = flavour
        self.control = control
        self.port = free_port()
        self.grpc_port = None  # where it speaks gRPC too
        self.more = []  # of its arguments

    def start(self):
        self.repository.mkdir(exist_ok=True)
        ready = self.home / "inference.port"
        ready.unlink(missing_ok=True)
        self.launch(["node", INFERENCE_SERVER, "--repository", self.repository, "--port", self.port, "--ready-file", ready,
                     "--flavour", self.flavour, "--control", self.control, "--poll-secs", self.poll_secs,
                     *(["--grpc-port", self.grpc_port] if self.grpc_port else []), *self.more])
        wait_until(lambda: self.must_run() and ready.exists(), "the inference server's start")
        return self


class Rolloutd(Process):
    prefix = ()  # of its command: a program that becomes it
    program = ROLLOUTD

    def __init__(self, home, inference_port, changes=None):
        super().__init__(home, "rolloutd")
        self.socket = home / "rolloutd.sock"
        self.journal = home / "journal.db"
        self.config_file = home / "rolloutd.json"
        self.config = {
            "listen": {"path": str(self.socket), "mode": "0660", "allow_users": [worker_user()]},
            "journal": {"path": str(self.journal)},
            "artifacts": {"source": f"file://{home}/models/{{model_id}}", "allow": [f"file://{home}/models/"]},
            "backends": {"default": {"url": f"http://127.0.0.1:{inference_port}", "upstream": "inference",
                                     "repository": str(home / "repository")}},
            "rollout": {"drain_s": 20, "ready_timeout_s": 30},
        }
        merge(self.config, changes or {})

    def start(self, wait=True, env=None):
        self.config_file.write_text(json.dumps(self.config, indent=2))
        self.began = len(self.text())
        self.launch([*self.prefix, self.program, "--config", self.config_file], env)
        if wait:
            self.await_socket()
        return self

    def await_socket(self):
        def answers():
            self.must_run()
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                    return True
                except OSError:
                    return False
        wait_until(answers, "rolloutd's socket")

    def lines(self, since=0):
        """Its log, a dictionary for each line."""
        return [json.loads(line) for line in self.text()[since:].splitlines() if line.startswith("{")]

    def linked(self):
        """The process ids of nginx's worker processes that have linked themselves since its start."""
        return {int(line["pid"]) for line in self.lines(self.began) if line["message"] == "A worker process of nginx is linked"}


def merge(into, changes):
    """Puts nested changes into a configuration; None removes a member."""
    for name, value in changes.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


NGINX_CONF = """\
load_module {module};
user {user};
worker_processes {workers};
pid {home}/nginx.pid;
error_log {home}/error.log info;
env LD_PRELOAD;  # a binary upgrade inherits nothing but what is named
env ASAN_OPTIONS;
{main}
events {{ worker_connections {connections}; }}

http {{
    log_format test '$request_method $uri $status $rollout_slot $rollout_backend_model';
    access_log {home}/access.log test;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;

    rollout_zone   rollout {zone};
    rollout_worker unix:{socket}{worker_arguments};

    upstream inference {{ server 127.0.0.1:{inference}; keepalive 16; }}
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        listen 127.0.0.1:{http2_port} http2;
        {locations}
    }}
}}
"""

LOCATIONS = """\
        location ~ ^/((deploy|delete)(-status)?|models|events)(/|$) { rollout_api; }

        location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
            rollout_route $model key=$http_x_user preview=$http_x_rollout_preview;
            add_header X-Rollout-Revision $rollout_revision always;
            add_header X-Rollout-Slot $rollout_slot always;
            add_header X-Rollout-Model $rollout_backend_model always;
            add_header X-Worker $pid always;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest$is_args$args;
        }
"""


class Nginx(Process):
    """The real nginx, with the module. Settings are pieces of its configuration; `locations` replaces all of them."""

    def __init__(self, home, inference_port, workers=2, zone="8m", connections=2048, main="", http="", locations=LOCATIONS, worker_arguments=""):
        super().__init__(home, "nginx")
        self.port = free_port()
        self.http2_port = free_port()
        self.environment = None  # in place of nginx_environment()
        self.conf = home / "nginx.conf"
        self.pieces = {"module": MODULE, "user": worker_user(), "workers": workers, "home": home, "main": main, "zone": zone, "connections": connections,
                       "socket": home / "rolloutd.sock", "worker_arguments": " " + worker_arguments if worker_arguments else "",
                       "inference": inference_port, "http": http, "port": self.port, "http2_port": self.http2_port,
                       "locations": locations}
        description.watch(self)

    def write(self, **changes):
        self.pieces.update(changes)
        self.conf.write_text(NGINX_CONF.format(**self.pieces))

    def start(self, **changes):
        self.write(**changes)
        self.launch([NGINX, "-c", self.conf, "-e", self.home / "error.log", "-g", "daemon off;"],
                    self.environment or nginx_environment())
        wait_until(lambda: self.must_run() and self.accepts() and self.has_pid_file(), "nginx's start")
        return self

    def has_pid_file(self):
        file = self.home / "nginx.pid"
        return file.exists() and file.read_text().strip() != ""

    def accepts(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def test_configuration(self):
        """`nginx -t`: its status and what it said."""
        done = subprocess.run([NGINX, "-t", "-c", str(self.conf), "-e", str(self.home / "test-error.log")], capture_output=True,
                              text=True, timeout=DEADLINE_S, env={**os.environ, **nginx_environment()})
        return done.returncode, done.stderr

    def reload(self):
        """Returns when the new worker processes serve and they alone take connections, which is about 100 ms later: the old ones may
        still be ending."""
        before = set(self.worker_pids())
        self.send_signal(signal.SIGHUP)
        wait_until(lambda: len(set(self.worker_pids()) - before) >= int(self.pieces["workers"]), "nginx's reload")
        wait_until(lambda: not before & set(self.worker_pids()), "the end of the old worker processes' listening")

    def master_pid(self):
        return int((self.home / "nginx.pid").read_text())

    def worker_pids(self, master=None):
        """Its worker processes that are not on their way out."""
        return [pid for pid in children(master or self.master_pid()) if command_line(pid) == "nginx: worker process"]

    def errors(self):
        """nginx's error log."""
        log = self.home / "error.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def linked(self, rolloutd):
        """Whether each of its worker processes is linked to this rolloutd, which was started before, and has its welcome."""
        welcomed = set()
        for pid, said in re.findall(r"(\d+)#\d+:.* rollout: (linked to rolloutd|the link to rolloutd .* ended)", self.errors()):
            (welcomed.add if said.startswith("linked") else welcomed.discard)(int(pid))
        pids = self.worker_pids()
        return bool(pids) and welcomed & rolloutd.linked() >= set(pids)


class ExampleNginx(Nginx):
    """nginx with a file of conf/ as it stands, but for its paths, ports and addresses; `more` goes into its http block."""

    def __init__(self, home, inference_port, file, more="", replaced=()):
        super().__init__(home, inference_port, workers="auto")
        self.file = file
        self.more = more
        self.replaced = dict(replaced)

    def write(self, **changes):
        text = self.file.read_text()
        temporary = "".join(f"{name}_temp_path {self.home}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
        for old, new in {
            "modules/ngx_http_rollout_module.so": MODULE, "www-data": worker_user(), "/run/nginx.pid": f"{self.home}/nginx.pid",
            "/var/log/nginx": self.home, "error.log notice": "error.log info", "/run/rollout/rolloutd.sock": self.pieces["socket"],
            "127.0.0.1:8000": f"127.0.0.1:{self.pieces['inference']}",
            "http {\n": f"env ASAN_OPTIONS;\nhttp {{\n{temporary}client_body_temp_path {self.home}/body;\n{self.more}\n", **self.replaced,
        }.items():
            assert old in text, f"{self.file} has no {old}"
            text = text.replace(old, str(new))
        text = re.sub(r"listen 8\d+ http2", f"listen {self.http2_port} http2", text)
        text = re.sub(r"listen 8\d+(?! http2)", f"listen {self.port}", text)
        self.conf.write_text(text)

    def worker_pids(self, master=None):
        pids = super().worker_pids(master)
        self.pieces["workers"] = len(pids)
        return pids


class NginxDaemon(Nginx):
    """In the background, as a service: only so it can be upgraded. Its processes have a session of their own, by which they are
    found also when their master process is gone."""

    session = None

    def start(self, **changes):
        self.write(**changes)
        (self.home / "nginx.pid").unlink(missing_ok=True)
        subprocess.run([NGINX, "-c", self.conf, "-e", self.home / "error.log"], check=True, timeout=DEADLINE_S,
                       stdin=subprocess.DEVNULL, env={**os.environ, **nginx_environment()})
        wait_until(self.has_pid_file, "nginx's process id")
        self.session = wait_until(self.own_session, "nginx's own session")
        wait_until(self.accepts, "nginx's start")
        return self

    def own_session(self):
        """Once it has left the test's; or the test would be taken for one of its processes."""
        try:
            pid = self.master_pid()
            return pid if os.getsid(pid) == pid else None
        except ProcessLookupError:
            return None

    def pids(self):
        """All of its processes: masters and workers, also those on their way out."""
        return [] if self.session is None else processes_by(SESSION, self.session)

    def running(self):
        return bool(self.pids())

    def send_signal(self, number):
        os.kill(self.master_pid(), number)

    def upgrade(self):
        """Starts the program anew beside itself; returns the old master's process id and the new one's, when both serve."""
        old = self.master_pid()
        os.kill(old, signal.SIGUSR2)

        def new_master():
            try:
                pid = self.master_pid()
            except (OSError, ValueError):  # the old nginx has renamed its file, the new one has not written yet
                return None
            return pid if pid != old and len(self.worker_pids(pid)) >= int(self.pieces["workers"]) else None

        return old, wait_until(new_master, "the new master process and its worker processes")

    def kill(self):
        """All at once, as a supervisor does with what is left when the master process has died."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not self.running(), "the end of nginx")

    def stop(self, number=signal.SIGTERM):
        for pid in [pid for pid in self.pids() if command_line(pid).startswith("nginx: master")]:
            os.kill(pid, number)
        wait_until(lambda: not self.running(), "the end of nginx")
        return 0


# Fields of /proc/PID/stat behind the program's name.
PARENT, SESSION = 1, 3


def processes_by(field, value):
    """The living processes with that parent, or of that session."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if fields and fields[0] != "Z" and int(fields[field]) == value:
            found.append(int(stat.parent.name))
    return found


def children(pid):
    return processes_by(PARENT, pid)


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().strip("\0")
    except OSError:
        return ""
