"""What conf/quickstart.py and conf/cluster.py share: the processes that they start and end, a gateway's requests, and traffic."""

import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("ROLLOUT_BUILD", "build")
ROLLOUTD = BUILD / "worker/rolloutd"
NGINX = os.environ.get("ROLLOUT_NGINX", "/usr/sbin/nginx")
PROGRAM = pathlib.Path(sys.argv[0]).stem
SERVER = ROOT / "tests/support/inference-server"
MODELS = SERVER / "node_modules/@ricky0123/vad-web/dist"
MODEL = "silero-vad"
START_S = 60
TASK_S = 120

NGINX_CONF = """\
load_module {build}/module/ngx_http_rollout_module.so;
user {user};
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/nginx-error.log notice;
events {{ worker_connections 512; }}

http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;

    rollout_zone   rollout 16m;
    rollout_worker unix:{home}/rolloutd.sock;

    upstream inference {{
        zone inference 128k;
        {servers}
        rollout_ready;
        keepalive 16;
    }}
    upstream inference_grpc {{
        zone inference_grpc 128k;
        {grpc_servers}
        rollout_ready as=inference;
        keepalive 16;
    }}

    server {{
        listen 127.0.0.1:{gateway};

        location ~ ^/((deploy|delete)(-status)?|models|events|openapi\\.json|readyz)(/|$) {{ rollout_api; }}
        location /rollout/ {{ rollout_page write=on; }}

        location ~ ^/v2/models/(?<model>[A-Za-z0-9._-]+)(?<rest>(/versions/[0-9]+)?(/(infer|ready))?)$ {{
            rollout_route $model key=$http_x_user;
            add_header X-Rollout-Revision $rollout_revision always;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout non_idempotent;
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
        }}
    }}

    server {{
        listen 127.0.0.1:{grpc} http2;

        location ~ ^/inference\.GRPCInferenceService/Model(Infer|Ready|Metadata)$ {{
            rollout_grpc;
            rollout_route $rollout_grpc_model key=$http_x_user;
            grpc_set_header Grpc-Accept-Encoding identity;
            grpc_pass grpc://${{rollout_upstream}}_grpc;
        }}
    }}
}}
"""

# One window of 512 samples of silence at 16 kHz, with the model's state at its start.
SAMPLE = json.dumps({
    "inputs": [
        {"name": "input", "shape": [1, 512], "datatype": "FP32", "data": [0.0] * 512},
        {"name": "state", "shape": [2, 1, 128], "datatype": "FP32", "data": [0.0] * 256},
        {"name": "sr", "shape": [1], "datatype": "INT64", "data": [16000]},
    ],
    "outputs": [{"name": "output"}],
})

# The same as a message of gRPC.
CONTENTS = {"FP32": "fp32_contents", "INT64": "int64_contents"}
GRPC_SAMPLE = {
    "model_name": MODEL,
    "inputs": [{**{name: one[name] for name in ("name", "shape", "datatype")}, "contents": {CONTENTS[one["datatype"]]: one["data"]}}
               for one in json.loads(SAMPLE)["inputs"]],
    "outputs": [{"name": "output"}],
}


def say(text=""):
    print(text, flush=True)


def headline(text):
    say(f"\n== {text}")


class Failure(Exception):
    """What a demonstration was to show is not so."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=START_S):
    """Returns what `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)
    return value


def http_request(port, method, path, body=None, headers=None):
    """The answer's status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TASK_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


class Processes:
    """What a demonstration has started: ended with it, by process id."""

    def __init__(self, home):
        self.home = home
        self.all = {}

    def log(self, name):
        return self.home / f"{name}.log"

    def start(self, name, command, environment=None):
        """In a process group of its own, which a terminal's Ctrl-C does not reach: they end one after the other, by stop()."""
        with open(self.log(name), "ab") as log:
            self.all[name] = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              env={**os.environ, **(environment or {})}, process_group=0)

    def pid(self, name):
        return self.all[name].pid

    def kill(self, name):
        """As if its machine had failed."""
        process = self.all.pop(name)
        process.kill()
        process.wait()

    def check(self):
        for name, process in self.all.items():
            if process.poll() is not None:
                raise Failure(f"{name} ended with status {process.returncode}:\n{self.log(name).read_text(errors='replace')[-2000:]}")

    def stop(self):
        for process in reversed(self.all.values()):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class InferenceServers:
    """Servers with one repository, beside which are the models that are deployed to it."""

    def __init__(self, home, processes, count=2):
        self.home = home
        self.processes = processes
        self.ports = [free_port() for _ in range(count)]
        self.grpc_ports = [free_port() for _ in range(count)]
        for folder in ("models", "repository", "repository.staging"):
            (home / folder).mkdir()
        for version in ("v5", "v6"):
            shutil.copyfile(MODELS / f"silero_vad_{version}.onnx", home / f"models/silero_vad_{version}.onnx")

    def name(self, number):
        return f"inference-server-{number + 1}"

    def peer(self, number):
        return f"127.0.0.1:{self.ports[number]}"

    def source(self, version):
        return f"file://{self.home}/models/silero_vad_{version}.onnx"

    def start_all(self):
        for number in range(len(self.ports)):
            self.start(number)

    def start(self, number):
        """Starts one of them, with no model loaded, and returns when it answers."""
        ready = self.home / f"{self.name(number)}.ready"
        ready.unlink(missing_ok=True)
        self.processes.start(self.name(number), [
            "node", SERVER / "server.js", "--repository", self.home / "repository", "--port", self.ports[number],
            "--grpc-port", self.grpc_ports[number], "--ready-file", ready])

        def is_up():
            self.processes.check()
            return ready.exists()
        wait_until(is_up, f"the start of {self.name(number)}")

    def kill(self, number):
        self.processes.kill(self.name(number))

    def files(self):
        """What is in the repository, and on its way there."""
        return sorted(path.name for folder in ("repository", "repository.staging") for path in (self.home / folder).iterdir())

    def fail(self, share, model):
        """Makes the servers fail that share of a model's inferences; for their part they are test servers, and do."""
        faults = json.dumps({"faults": [{"kind": "failed_infer", "model": model, "share": share}]})
        for port in self.ports:
            say(f"$ curl -X PUT -d '{faults}' http://127.0.0.1:{port}/test/faults")
            status, _, answer = http_request(port, "PUT", "/test/faults", faults, {"Content-Type": "application/json"})
            if status != 200:
                raise Failure(f"the inference server answered {status}: {answer.decode()}")


class NoAnswer(str):
    """What an inference came to that has no answer."""


class Gateway:
    """nginx with its rolloutd, in a folder of its own, before the servers."""

    def __init__(self, folder, processes, servers, name="", journal=None):
        self.folder = folder
        self.processes = processes
        self.servers = servers
        self.name = name
        self.rolloutd = f"{name}{name and '-'}rolloutd"
        self.nginx = f"{name}{name and '-'}nginx"
        self.port, self.grpc_port = free_port(), free_port()
        self.user = worker_user()
        folder.mkdir(exist_ok=True)
        self.write_configuration(journal or {"path": f"{folder}/journal.db"})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def write_configuration(self, journal):
        (self.folder / "rolloutd.json").write_text(json.dumps({
            "listen": {"path": f"{self.folder}/rolloutd.sock", "mode": "0660", "allow_users": [self.user]},
            "journal": journal,
            "artifacts": {"allow": [f"file://{self.servers.home}/models/"]},
            "backends": {"default": {"servers": [{"url": f"http://127.0.0.1:{port}"} for port in self.servers.ports], "min_servers": 1,
                                     "upstream": "inference", "repository": f"{self.servers.home}/repository"}},
            "rollout": {"smoke": {"request": json.loads(SAMPLE)}},
        }, indent=2))
        lines = [" ".join(f"server 127.0.0.1:{port};" for port in ports) for ports in (self.servers.ports, self.servers.grpc_ports)]
        (self.folder / "nginx.conf").write_text(NGINX_CONF.format(
            build=BUILD, user=self.user, home=self.folder, servers=lines[0], grpc_servers=lines[1], gateway=self.port, grpc=self.grpc_port))

    def start(self):
        self.start_rolloutd()
        self.processes.start(self.nginx, [NGINX, "-c", self.folder / "nginx.conf", "-e", self.folder / "nginx-error.log", "-g", "daemon off;"])

        def is_up():
            self.processes.check()
            try:
                return self.request("GET", f"/deploy-status/{MODEL}")[0] == 404
            except OSError:
                return False
        wait_until(is_up, f"the start of {self.nginx}")

    def start_rolloutd(self):
        socket_path = self.folder / "rolloutd.sock"
        socket_path.unlink(missing_ok=True)
        self.processes.start(self.rolloutd, [ROLLOUTD, "--config", self.folder / "rolloutd.json"])

        def is_up():
            self.processes.check()
            return socket_path.exists()
        wait_until(is_up, f"the start of {self.rolloutd}")

    def request(self, method, path, body=None, headers=None):
        return http_request(self.port, method, path, body, headers)

    def post(self, route, body):
        """Posts a task, and returns it."""
        text = json.dumps(body)
        say(f"$ curl -H 'Content-Type: application/json' -d '{text}' {self.url}/{route}")
        status, _, answer = self.request("POST", f"/{route}", text, {"Content-Type": "application/json"})
        if status != 200:
            raise Failure(f"POST /{route} answered {status}: {answer.decode()}")
        return json.loads(answer)

    def follow(self, route, task, show, ends_as="completed"):
        """Shows the task's document as it is, and each time that it changes, until it is final, and as it should be then. Returns the last one."""
        path = f"/{route}/{task['task_id']}"
        say(f"$ curl '{self.url}{path}?wait=10'")
        wait, tag = "", {}
        while True:
            status, headers, answer = self.request("GET", path + wait, headers=tag)
            if status == 304:
                continue
            if status != 200:
                raise Failure(f"GET {path} answered {status}: {answer.decode()}")
            task, wait, tag = json.loads(answer), "?wait=10", {"If-None-Match": headers["ETag"]}
            show(task)
            if task["status"] not in ("pending", "in_progress"):
                break
        if task["status"] != ends_as:
            raise Failure(f"the task is {task['status']} and not {ends_as}: {task['detail']}")
        return task

    def infer(self):
        """One inference: the revision that it went to, and the probability of speech, or NoAnswer."""
        status, headers, answer = self.request("POST", f"/v2/models/{MODEL}/infer", SAMPLE, {"Content-Type": "application/json"})
        revision = int(headers.get("X-Rollout-Revision") or 0)
        if status != 200:
            return revision, NoAnswer(f"{status} {answer.decode(errors='replace').strip()}")
        return revision, json.loads(answer)["outputs"][0]["data"][0]

    def ask(self, sample):
        """One inference, shown; it must be answered. The revision, and the probability of speech."""
        say(f"$ curl -d @{sample} {self.url}/v2/models/{MODEL}/infer")
        revision, answer = self.infer()
        if isinstance(answer, NoAnswer):
            raise Failure(f"the inference failed: {answer}")
        say(f"revision {revision} says that this silence is speech with probability {answer:.6f}")
        return revision, answer

    def must_not_know_the_model(self, sample):
        say(f"$ curl -d @{sample} {self.url}/v2/models/{MODEL}/infer")
        status, _, answer = self.request("POST", f"/v2/models/{MODEL}/infer", SAMPLE)
        say(answer.decode())
        if status != 404:
            raise Failure(f"a deleted model answers {status} instead of 404")

    def infer_by_grpc(self):
        """One inference by gRPC: the name of the model in the answer, and the probability of speech."""
        asked = json.dumps({"id": 1, "method": "ModelInfer", "message": GRPC_SAMPLE})
        ran = subprocess.run(["node", str(SERVER / "grpc_client.js"), f"127.0.0.1:{self.grpc_port}"], input=asked + "\n",
                             capture_output=True, text=True, timeout=TASK_S)
        answer = json.loads(ran.stdout or "{}").get("answer")
        if answer is None:
            raise Failure(f"the inference by gRPC failed: {ran.stdout}{ran.stderr}")
        return answer["model_name"], answer["outputs"][0]["contents"]["fp32_contents"][0]

    def servers_of(self, slot):
        """The servers that have the model's blue or green revision loaded."""
        models = json.loads(self.request("GET", "/models")[2])["models"]
        return next(((one[slot] or {}).get("servers", []) for one in models if one["model_id"] == MODEL), [])


class Traffic:
    """Clients of each of these gateways that send one inference after the other, and count what they get."""

    def __init__(self, gateways, clients=4):
        self.lock = threading.Lock()
        self.answers = {gateway: {} for gateway in gateways}  # gateway -> {revision: {answer: how often}}
        self.failures = []  # (gateway, revision, what came back)
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(gateway,), daemon=True) for gateway in gateways for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, gateway):
        while not self.ending.is_set():
            try:
                revision, answer = gateway.infer()
            except (OSError, http.client.HTTPException) as error:
                revision, answer = 0, NoAnswer(repr(error))
            with self.lock:
                if isinstance(answer, NoAnswer):
                    self.failures.append((gateway, revision, answer))
                else:
                    counts = self.answers[gateway].setdefault(revision, {})
                    counts[round(answer, 6)] = counts.get(round(answer, 6), 0) + 1

    def served_by(self, revision, gateway=None):
        """How many answers came from a revision, through one gateway or all."""
        with self.lock:
            return sum(sum(revisions.get(revision, {}).values()) for one, revisions in self.answers.items() if gateway in (None, one))

    def answered(self, gateway=None):
        with self.lock:
            return sum(sum(counts.values()) for one, revisions in self.answers.items() if gateway in (None, one) for counts in revisions.values())

    def by_revision(self):
        """{revision: {answer: how often}} of all gateways."""
        found = {}
        for revisions in self.answers.values():
            for revision, counts in revisions.items():
                for answer, count in counts.items():
                    found.setdefault(revision, {})[answer] = found.get(revision, {}).get(answer, 0) + count
        return found

    def await_answers(self, revision, more=50):
        """Waits until every gateway has so many more answers of the revision; a request that fails ends the wait."""
        before = {gateway: self.served_by(revision, gateway) for gateway in self.answers}
        wait_until(lambda: self.failures or all(self.served_by(revision, gateway) >= count + more for gateway, count in before.items()),
                   f"traffic on revision {revision}", TASK_S)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def end_without_failures(self, when):
        self.end()
        say(f"{self.answered()} requests answered, {len(self.failures)} failed")
        if self.failures:
            raise Failure(f"a request failed {when}: {self.failures[0][2]}")


def worker_user():
    for name in ("www-data", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            pass
    return "root"


def show_whole(task):
    """A task's document, below a line that sums it up."""
    show_line(task, "-- ")
    say(json.dumps(task))


def show_line(task, before=""):
    metadata = task["metadata"]
    say(f"{before}{task['status']}, {metadata['progress']:.0%}{', ' + metadata['step'] if metadata['step'] else ''}: {task['detail']}")


def write_sample(home):
    """The body of an inference, for curl."""
    (home / "sample.json").write_text(SAMPLE)
    return home / "sample.json"


def name_logs(home):
    """Where to look after a failure."""
    say(f"\nWhat was started is stopped. Logs, with configurations beside them, are in {home}, which you may remove:")
    for log in sorted(home.rglob("*.log")):
        if log.stat().st_size:
            say(f"  {log.relative_to(home)}")


def wait_for_the_end():
    try:
        signal.pause()
    except KeyboardInterrupt:
        say()


def run(demonstrate):
    """Calls demonstrate(home, processes, once) with a new folder and what is to hold its processes, ends these however it ends, and exits with
    status 0 if it has returned: all that it was to show is so. After a failure the folder stays."""
    once = "--once" in sys.argv[1:] or not sys.stdout.isatty()
    home = pathlib.Path(tempfile.mkdtemp(prefix=f"rollout-{PROGRAM}."))
    home.chmod(0o755)
    processes = Processes(home)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    status, failed = 0, True
    try:
        demonstrate(home, processes, once)
        failed = False
    except KeyboardInterrupt:
        say()
        status, failed = 128 + signal.SIGINT, False
    except Failure as failure:
        say()
        print(f"{PROGRAM}: {failure}", file=sys.stderr, flush=True)
        status = 1
    except SystemExit as end:
        status, failed = end.code, False
    except Exception:
        traceback.print_exc()
        status = 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes.stop()
    if failed:
        name_logs(home)
    else:
        shutil.rmtree(home, ignore_errors=True)
    if status == 0:
        headline("Done. Everything that was started is stopped, and its folder is removed.")
    sys.exit(status)
