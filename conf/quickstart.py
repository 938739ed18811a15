"""The quick start's own part: runs the three processes, does what a user would do, and shows it. Run by conf/quickstart."""

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

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("ROLLOUT_BUILD", "build")
SERVER = ROOT / "tests/support/inference-server"
MODELS = SERVER / "node_modules/@ricky0123/vad-web/dist"
MODEL = "silero-vad"
START_S = 30
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
        server 127.0.0.1:{inference};
        keepalive 16;
    }}
    upstream inference_grpc {{
        server 127.0.0.1:{inference_grpc};
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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=START_S):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"quickstart: {what} did not happen within {seconds} s")
        time.sleep(0.05)


def show_task(answer):
    task = json.loads(answer)
    metadata = task["metadata"]
    say(f"-- {task['status']}, {metadata['progress']:.0%}{', ' + metadata['step'] if metadata['step'] else ''}: {task['detail']}")
    say(answer.decode())
    return task


class Processes:
    """What the quick start has started: ended with it, by process id."""

    def __init__(self, home):
        self.home = home
        self.all = []

    def start(self, name, command):
        log = open(self.home / f"{name}.log", "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.all.append((name, process))
        return process

    def check(self):
        for name, process in self.all:
            if process.poll() is not None:
                log = (self.home / f"{name}.log").read_text(errors="replace")
                raise SystemExit(f"quickstart: {name} ended with status {process.returncode}:\n{log[-2000:]}")

    def stop(self):
        for _, process in reversed(self.all):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class Failure(str):
    """What an inference came to that has no answer."""


class Gateway:
    def __init__(self, port, grpc_port, inference):
        self.port = port
        self.grpc_port = grpc_port
        self.inference = inference

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TASK_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def run_task(self, route, body, ends_as="completed"):
        """Posts a task and prints its document each time that it changes, until it is final, and as it should be then."""
        text = json.dumps(body)
        say(f"$ curl -H 'Content-Type: application/json' -d '{text}' http://127.0.0.1:{self.port}/{route}")
        status, headers, answer = self.request("POST", f"/{route}", text, {"Content-Type": "application/json"})
        if status != 200:
            raise SystemExit(f"quickstart: POST /{route} answered {status}: {answer.decode()}")
        task = show_task(answer)
        place = f"/{route}/{task['task_id']}"
        say(f"$ curl 'http://127.0.0.1:{self.port}{place}?wait=10'")
        while task["status"] in ("pending", "in_progress"):
            status, headers, answer = self.request("GET", f"{place}?wait=10", headers={"If-None-Match": headers["ETag"]})
            if status == 304:
                continue
            task = show_task(answer)
        if task["status"] != ends_as:
            raise SystemExit(f"quickstart: the task is {task['status']} and not {ends_as}: {task['detail']}")
        return task

    def infer(self):
        """One inference: the revision that it went to, and the probability of speech, or a Failure."""
        status, headers, answer = self.request("POST", f"/v2/models/{MODEL}/infer", SAMPLE,
                                               {"Content-Type": "application/json"})
        revision = int(headers.get("X-Rollout-Revision") or 0)
        if status != 200:
            return revision, Failure(f"{status} {answer.decode(errors='replace').strip()}")
        return revision, json.loads(answer)["outputs"][0]["data"][0]

    def infer_by_grpc(self):
        """One inference by gRPC: the name of the model in the answer, and the probability of speech."""
        asked = json.dumps({"id": 1, "method": "ModelInfer", "message": GRPC_SAMPLE})
        ran = subprocess.run(["node", str(SERVER / "grpc_client.js"), f"127.0.0.1:{self.grpc_port}"], input=asked + "\n",
                             capture_output=True, text=True, timeout=TASK_S)
        answer = json.loads(ran.stdout or "{}").get("answer")
        if answer is None:
            raise SystemExit(f"quickstart: the inference by gRPC failed: {ran.stdout}{ran.stderr}")
        return answer["model_name"], answer["outputs"][0]["contents"]["fp32_contents"][0]

    def fail(self, share, model):
        """Makes the inference server fail that share of a model's inferences; for its part it is a test server, and does."""
        faults = json.dumps({"faults": [{"kind": "failed_infer", "model": model, "share": share}]})
        say(f"$ curl -X PUT -d '{faults}' http://127.0.0.1:{self.inference}/test/faults")
        connection = http.client.HTTPConnection("127.0.0.1", self.inference, timeout=TASK_S)
        try:
            connection.request("PUT", "/test/faults", faults, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise SystemExit(f"quickstart: the inference server answered {answer.status}: {answer.read().decode()}")
        finally:
            connection.close()


class Traffic:
    """Clients that send one inference after the other, and count what they get."""

    def __init__(self, gateway, clients=4):
        self.gateway = gateway
        self.lock = threading.Lock()
        self.answers = {}  # revision -> {answer: how often}
        self.failures = []  # (revision, what came back)
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ending.is_set():
            try:
                revision, answer = self.gateway.infer()
            except (OSError, http.client.HTTPException) as error:
                revision, answer = 0, Failure(repr(error))
            with self.lock:
                if isinstance(answer, Failure):
                    self.failures.append((revision, answer))
                else:
                    counts = self.answers.setdefault(revision, {})
                    counts[round(answer, 6)] = counts.get(round(answer, 6), 0) + 1

    def served_by(self, revision):
        with self.lock:
            return sum(self.answers.get(revision, {}).values())

    def answered(self):
        with self.lock:
            return sum(sum(counts.values()) for counts in self.answers.values())

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def worker_user():
    for name in ("www-data", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            pass
    return "root"


def start_all(home, processes):
    """Inference server, rolloutd, nginx; returns the gateway."""
    for folder in ("models", "repository", "repository.staging"):
        (home / folder).mkdir()
    for version in ("v5", "v6"):
        shutil.copyfile(MODELS / f"silero_vad_{version}.onnx", home / f"models/silero_vad_{version}.onnx")

    inference_grpc = free_port()
    processes.start("inference-server", ["node", str(SERVER / "server.js"), "--repository", str(home / "repository"),
                                         "--port", "0", "--grpc-port", str(inference_grpc), "--ready-file", str(home / "inference.port")])
    port_file = home / "inference.port"

    def inference_is_up():
        processes.check()
        return port_file.exists() and port_file.read_text().strip()
    wait_until(inference_is_up, "the inference server's start")
    inference = int(port_file.read_text())

    user = worker_user()
    (home / "rolloutd.json").write_text(json.dumps({
        "listen": {"path": f"{home}/rolloutd.sock", "mode": "0660", "allow_users": [user]},
        "journal": {"path": f"{home}/journal.db"},
        "artifacts": {"allow": [f"file://{home}/models/"]},
        "backends": {"default": {"url": f"http://127.0.0.1:{inference}", "upstream": "inference",
                                 "repository": f"{home}/repository"}},
        "rollout": {"smoke": {"request": json.loads(SAMPLE)}},
    }, indent=2))
    processes.start("rolloutd", [str(BUILD / "worker/rolloutd"), "--config", str(home / "rolloutd.json")])

    def rolloutd_is_up():
        processes.check()
        return (home / "rolloutd.sock").exists()
    wait_until(rolloutd_is_up, "rolloutd's start")

    gateway = Gateway(free_port(), free_port(), inference)
    (home / "nginx.conf").write_text(NGINX_CONF.format(build=BUILD, user=user, home=home, inference=inference, inference_grpc=inference_grpc,
                                                       gateway=gateway.port, grpc=gateway.grpc_port))
    processes.start("nginx", ["/usr/sbin/nginx", "-c", str(home / "nginx.conf"), "-e", str(home / "nginx-error.log"),
                              "-g", "daemon off;"])

    def gateway_is_up():
        processes.check()
        try:
            return gateway.request("GET", f"/deploy-status/{MODEL}")[0] == 404
        except OSError:
            return False
    wait_until(gateway_is_up, "nginx's start")
    say(f"An inference server on port {inference}, rolloutd, and nginx on port {gateway.port} (gRPC on {gateway.grpc_port}), all in {home}")
    say(f"Watch it in a browser: http://127.0.0.1:{gateway.port}/rollout/")
    return gateway


def show(home, gateway):
    headline("1. Deploy Silero's voice-activity model, version 5")
    first = gateway.run_task("deploy", {"model_id": MODEL, "config": {"source": f"file://{home}/models/silero_vad_v5.onnx"}})
    first_revision = first["metadata"]["revision"]

    headline("2. Ask it, through nginx")
    (home / "sample.json").write_text(SAMPLE)
    say(f"$ curl -d @{home}/sample.json http://127.0.0.1:{gateway.port}/v2/models/{MODEL}/infer")
    revision, answer = gateway.infer()
    if isinstance(answer, Failure):
        raise SystemExit(f"quickstart: the inference failed: {answer}")
    say(f"revision {revision} says that this silence is speech with probability {answer:.6f}")

    say(f"$ echo '{{\"id\": 1, \"method\": \"ModelInfer\", \"message\": {{\"model_name\": \"{MODEL}\", …}}}}' | "
        f"node {SERVER / 'grpc_client.js'} 127.0.0.1:{gateway.grpc_port}")
    name, same = gateway.infer_by_grpc()
    if name != MODEL or abs(same - answer) > 1e-6:
        raise SystemExit(f"quickstart: by gRPC, model {name} says {same}, and not {MODEL} {answer}")
    say(f"model {name} says the same by gRPC: {same:.6f}")

    headline("3. Deploy version 6 while four clients go on asking")
    traffic = Traffic(gateway)
    wait_until(lambda: traffic.served_by(first_revision) >= 50 or traffic.failures, "traffic on the first revision")
    second = gateway.run_task("deploy", {"model_id": MODEL, "config": {"source": f"file://{home}/models/silero_vad_v6.onnx"}})
    second_revision = second["metadata"]["revision"]
    wait_until(lambda: traffic.served_by(second_revision) >= 50 or traffic.failures, "traffic on the second revision")
    traffic.end()

    say()
    for revision, counts in sorted(traffic.answers.items()):
        version = {first_revision: "v5", second_revision: "v6"}.get(revision, "?")
        words = ", ".join(f"{answer:.6f} {count} times" for answer, count in counts.items())
        say(f"revision {revision} ({version}) answered {words}")
    say(f"{traffic.answered()} requests answered, {len(traffic.failures)} failed")
    if traffic.failures:
        raise SystemExit(f"quickstart: a request failed during the rollout: {traffic.failures[0][1]}")
    if set(traffic.answers[first_revision]) & set(traffic.answers[second_revision]):
        raise SystemExit("quickstart: the answers did not change from v5's to v6's")

    show_rollback(home, gateway, second_revision)

    headline("5. Delete the model")
    gateway.run_task("delete", {"model_id": MODEL})
    say(f"$ curl -d @{home}/sample.json http://127.0.0.1:{gateway.port}/v2/models/{MODEL}/infer")
    status, _, answer = gateway.request("POST", f"/v2/models/{MODEL}/infer", SAMPLE)
    say(answer.decode())
    if status != 404:
        raise SystemExit(f"quickstart: a deleted model answers {status} instead of 404")
    left = [*(home / "repository").iterdir(), *(home / "repository.staging").iterdir()]
    if left:
        raise SystemExit(f"quickstart: files were left behind: {left}")


def show_rollback(home, gateway, good):
    """A revision that fails one in four of its inferences, and loses its traffic for that."""
    bad = good + 1
    headline("4. Deploy a revision that fails one in four of its inferences, in steps and with a gate")
    gateway.fail(0.25, f"{MODEL}__r{bad}")
    traffic = Traffic(gateway)
    wait_until(lambda: traffic.served_by(good) >= 50 or traffic.failures, "traffic on the good revision")
    rollout = {"steps": [{"weight": 20, "hold_s": 60}, {"weight": 100, "hold_s": 60}],
               "gate": {"min_requests": 20, "max_error_rate": 0.05}}
    task = gateway.run_task("deploy", {"model_id": MODEL, "config": {"source": f"file://{home}/models/silero_vad_v6.onnx", "rollout": rollout}},
                            ends_as="failed")
    before = traffic.served_by(good)
    wait_until(lambda: traffic.served_by(good) >= before + 50, "traffic on the good revision")
    traffic.end()

    say(f"\nThe task says why: {task['detail']}")
    gate = task["metadata"]["gate"]
    for name, revision in (("green", bad), ("blue", good)):
        counts = gate[name]
        say(f"the gate, at {gate['weight']} %: revision {revision} ({name}) {counts['requests']} requests, {counts['failures']} failed "
            f"({counts['error_rate']:.1%}), p99 {counts['p99_ms']:.0f} ms")
    say(f"{traffic.answered() + len(traffic.failures)} requests in all: {len(traffic.failures)} failed, every one of them at revision {bad}; "
        f"{traffic.answered()} were answered, and revision {good} serves on")
    if not traffic.failures or any(revision != bad for revision, _ in traffic.failures):
        raise SystemExit(f"quickstart: requests failed at other revisions than {bad}: {traffic.failures[:5]}")
    say(f"$ curl -d @{home}/sample.json http://127.0.0.1:{gateway.port}/v2/models/{MODEL}/infer")
    revision, answer = gateway.infer()
    if revision != good or isinstance(answer, Failure):
        raise SystemExit(f"quickstart: revision {revision} serves and not {good}: {answer}")
    say(f"revision {revision} says that this silence is speech with probability {answer:.6f}")


def stay(home, gateway):
    headline("Deployed again, for you to try")
    gateway.run_task("deploy", {"model_id": MODEL, "config": {"source": f"file://{home}/models/silero_vad_v6.onnx"}})
    base = f"http://127.0.0.1:{gateway.port}"
    say(f"\nThe gateway stays up until Ctrl-C. Open {base}/rollout/ in a browser: what you deploy is shown there as it goes. Try:\n"
        f"  curl {base}/deploy-status/{MODEL}\n"
        f"  curl -i -d @{home}/sample.json {base}/v2/models/{MODEL}/infer\n"
        f"  curl -H 'Content-Type: application/json' -d '{{\"model_id\": \"{MODEL}\", \"config\": "
        f"{{\"source\": \"file://{home}/models/silero_vad_v5.onnx\"}}}}' {base}/deploy\n"
        f"  curl -H 'Content-Type: application/json' -d '{{\"model_id\": \"{MODEL}\"}}' {base}/delete\n"
        f"Logs and configurations are in {home}")
    signal.pause()


def main():
    once = "--once" in sys.argv[1:] or not sys.stdout.isatty()
    home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-quickstart."))
    home.chmod(0o755)
    processes = Processes(home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        gateway = start_all(home, processes)
        show(home, gateway)
        if not once:
            stay(home, gateway)
        headline("Done. Everything that was started is stopped, and its folder is removed.")
    except KeyboardInterrupt:
        say()
    finally:
        processes.stop()
        shutil.rmtree(home, ignore_errors=True)


main()
