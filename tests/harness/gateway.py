"""A whole gateway for a test: what a client does with it, and what an operator can look at."""

import http.client
import json
import pathlib
import shutil
import tempfile
import threading
import time

from description import check_answer
from processes import DEADLINE_S, InferenceServer, Nginx, NginxDaemon, Rolloutd, wait_until

FINAL = ("completed", "failed", "refused", "canceled")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def problem(self, status):
        """The answer as the RFC 9457 problem of that status that it must be."""
        assert self.status == status, self
        assert self.headers["Content-Type"] == "application/problem+json", self
        problem = self.json
        assert problem["type"] == "about:blank" and problem["status"] == status, self
        assert problem["title"] and problem["detail"].endswith("."), self
        return problem

    def task(self, status=200):
        assert self.status == status, self
        assert self.headers["Content-Type"] == "application/json", self
        return self.json

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


# For a configuration with steps that this test is not about.
AT_ONCE = {"steps": [{"weight": 100, "hold_s": 0}]}


class Client:
    """One request a connection, so that any worker process may get it; `keep` holds one open. `source`: an address of its own."""

    def __init__(self, port, keep=False, source=None):
        self.port = port
        self.keep = keep
        self.source = (source, 0) if source else None
        self.connection = None

    def connect(self, timeout):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=self.source)

    def request(self, method, path, body=None, headers=None, timeout=DEADLINE_S):
        connection = self.connection or self.connect(timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer = Answer(answer.status, answer.headers, answer.read())
        finally:
            if self.keep:
                self.connection = connection
            else:
                connection.close()
        check_answer(self.port, method, path, body, answer.status, answer.headers, answer.body)
        return answer

    def get(self, path, **headers):
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path, body, **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, {"Content-Type": "application/json", **given})


class Gateway(Client):
    """Inference server, rolloutd and nginx in a folder of their own."""

    api = ""  # what the API's routes stand under

    def __init__(self, rolloutd=None, nginx=None, inference=None, daemon=False):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
        self.home.chmod(0o755)
        (self.home / "models").mkdir()
        self.inference = InferenceServer(self.home, **(inference or {}))
        self.rolloutd = Rolloutd(self.home, self.inference.port, rolloutd)
        self.nginx = (NginxDaemon if daemon else Nginx)(self.home, self.inference.port, **(nginx or {}))
        super().__init__(self.nginx.port)
        self.server = Client(self.inference.port)  # what the inference server itself says

    def start(self):
        self.inference.start()
        self.rolloutd.start()
        self.nginx.start()
        self.await_link()
        return self

    def await_link(self, client=None):
        """Until every worker process is linked, so that whichever gets a post can pass it on, and the table is filled: then it knows
        that there is no such task."""
        wait_until(lambda: self.nginx.linked(self.rolloutd), "nginx's links to rolloutd")
        wait_until(lambda: (client or self).get(f"{self.api}/deploy-status/nobody").status == 404, "the table")

    def close(self):
        ended = self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        return ended

    def stop(self):
        """Ends its processes, and says how each ended."""
        ended = []
        for process in (self.nginx, self.rolloutd, self.inference):
            if process.running():
                ended.append((process.log.stem, process.stop()))
        return ended

    # Models: folders as an operator lays them out, which answer with a text of the test's.

    def make_model(self, name, answer, faults=None, config=None):
        folder = self.home / "models" / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "1").mkdir(parents=True)
        description = {"kind": "echo", "answer": answer}
        if faults:
            description["faults"] = faults
        (folder / "1/model.json").write_text(json.dumps(description))
        if config is not None:
            (folder / "config.pbtxt").write_text(config)
        return f"file://{folder}"

    def infer(self, model, **headers):
        """The answer's text, or None for a request that failed; the whole answer is `last`."""
        self.last = self.post(f"/v2/models/{model}/infer", {"inputs": []}, **headers)
        return answer_of(self.last)

    # Tasks.

    def wait(self, task, kind="deploy", status=None, seconds=DEADLINE_S):
        """The task's document once it is final; with `status`, it must be that one."""
        deadline = time.monotonic() + seconds
        etag = None
        while True:
            answer = self.get(f"/{kind}/{task['task_id']}?wait=5", **({"If_None_Match": etag} if etag else {}))
            if answer.status == 200:
                task = answer.json
                etag = answer.headers["ETag"]
                if task["status"] in FINAL:
                    break
            else:
                assert answer.status in (304, 503), answer
            assert time.monotonic() < deadline, f"not final within {seconds} s: {task}"
        if status is not None:
            assert task["status"] == status, json.dumps(task, indent=1) + self.logs()
        return task

    def deploy(self, model, status="completed", **config):
        """Deploys and waits. What is not given as `config` comes from the model's own folder."""
        task = self.post("/deploy", {"model_id": model, "config": config}).task()
        return self.wait(task, "deploy", status)

    def start_deployment(self, model, **rollout):
        """The task of a deployment with these rollout settings, which goes on by itself."""
        return self.post("/deploy", {"model_id": model, "config": {"rollout": rollout}}).task()

    def serve_blue(self, model, **green):
        """Deploys a model that answers `blue`; its next revision, as `green` makes it, would answer `green`."""
        self.make_model(model, "blue")
        self.deploy(model)
        self.make_model(model, "green", **green)

    def task(self, task, kind="deploy"):
        """Its document as it is now."""
        return self.get(f"/{kind}/{task['task_id']}").json

    def await_weight(self, task, weight):
        wait_until(lambda: self.task(task)["metadata"]["traffic_weight"] == weight, f"{weight} %")

    def delete(self, model, status="completed"):
        return self.wait(self.post("/delete", {"model_id": model}).task(), "delete", status)

    def serving(self):
        """The models that have a revision which serves, each with its number, as the gateway lists them."""
        def listed():
            answer = self.get("/models?limit=1000")
            return answer if answer.status == 200 else None  # without rolloutd there is none
        models = wait_until(listed, "the list of models").json["models"]
        return {one["model_id"]: one["blue"]["revision"] for one in models if one["blue"]}

    # What stands on the inference server.

    def loaded(self):
        """The names of the models that the server has ready."""
        index = self.server.post("/v2/repository/index", {"ready": True}).json
        return sorted(entry["name"] for entry in index)

    def files(self):
        """What is in the repository and in the staging folder."""
        found = []
        for folder in (self.home / "repository", self.home / "repository.staging"):
            found += sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        return found

    def violations(self):
        """Files that were touched while the server held them."""
        return self.server.get("/test/violations").json

    def set_faults(self, *faults):
        assert self.server.request("PUT", "/test/faults", {"faults": list(faults)},
                                   {"Content-Type": "application/json"}).status == 200

    def logs(self):
        return (f"\n--- rolloutd\n{self.rolloutd.text()[-6000:]}\n--- nginx\n{self.nginx.errors()[-3000:]}"
                f"\n--- nginx's own output\n{self.nginx.text()[-6000:]}")


def answer_of(answer):
    if answer.status != 200:
        return None
    for output in answer.json.get("outputs", []):
        if output["name"] == "answer":
            return output["data"][0]
    return None


class UntilEnded:
    """Threads that each run `self.run()`, which does something while `goes_on()`. They pause between: clients that ask as often as they can
    take the processors from what is tested."""

    PAUSE_S = 0.01

    def goes_on(self):
        return not self.ending.wait(self.PAUSE_S)

    def begin(self, threads):
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Traffic(UntilEnded):
    """Clients that send one inference after the other until told to end, and keep what they got."""

    def __init__(self, gateway, model, clients=4, query=""):
        self.answers = {}
        self.failures = []
        self._gateway, self._path = gateway, f"/v2/models/{model}/infer{query}"
        self._lock = threading.Lock()
        self.begin(clients)

    def run(self):
        client = Client(self._gateway.nginx.port, keep=True)
        while self.goes_on():
            kept = client.connection is not None
            try:
                answer = client.post(self._path, {"inputs": []})
                text, fault = answer_of(answer), repr(answer)
            except (OSError, http.client.HTTPException) as error:
                client.connection = None
                if kept and isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
                    continue  # a server may close a kept connection between two requests; every HTTP client opens another
                text, fault = None, repr(error)
            with self._lock:
                if text is None:
                    self.failures.append(fault)
                else:
                    self.answers[text] = self.answers.get(text, 0) + 1

    def count(self, answer):
        with self._lock:
            return self.answers.get(answer, 0)

    def await_answers(self, answer, more=50):
        target = self.count(answer) + more
        wait_until(lambda: self.count(answer) >= target or self.failures, f"{more} more answers {answer!r}")
