"""conf/vllm as it stands, but for its paths and ports: LoRA adapters on a stand-in that answers as vLLM's documentation says."""

import http.server
import json
import pathlib
import threading

import pytest

from gateway import Client, Gateway
from processes import ROOT, ExampleNginx, wait_until


class Vllm(http.server.ThreadingHTTPServer):
    """A base model, and the adapters that it was told to load: each answers with the text in its folder."""

    daemon_threads = True

    def __init__(self):
        self.adapters = {}
        self.asked = []
        self.broken_off = 0  # so many answers
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        assert self.path == "/v1/models"
        if self.server.broken_off:
            self.server.broken_off -= 1
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.close_connection = True
            return
        self.send_json({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "vllm"} for name in ("base", *self.server.adapters)]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked))
        adapters = self.server.adapters
        if self.path == "/v1/load_lora_adapter":
            name, path = asked["lora_name"], pathlib.Path(asked["lora_path"])
            if name in adapters:
                self.send_json({"object": "error", "message": f"The lora adapter '{name}' has already been loaded.", "code": 400}, 400)
            elif not (path / "adapter_model.safetensors").exists():
                self.send_json({"object": "error", "message": f"No adapter found for {path}", "type": "NotFoundError", "code": 404}, 404)
            else:
                adapters[name] = (path / "adapter_model.safetensors").read_text()
                self.send_text(f"Success: LoRA adapter '{name}' added successfully.")
        elif self.path == "/v1/unload_lora_adapter":
            name = asked["lora_name"]
            if adapters.pop(name, None) is None:
                self.send_json({"object": "error", "message": f"The lora adapter '{name}' cannot be found.", "code": 404}, 404)
            else:
                self.send_text(f"Success: LoRA adapter '{name}' removed successfully.")
        else:
            self.infer(asked)

    def infer(self, asked):
        name = asked["model"]
        if name not in self.server.adapters:
            self.send_json({"object": "error", "message": f"The model `{name}` does not exist.", "type": "NotFoundError", "code": 404}, 404)
        elif self.path == "/v1/embeddings":
            self.send_json({"id": "embd-1", "object": "list", "created": 1, "model": name, "data": [{"index": 0, "object": "embedding", "embedding": [0.5]}]})
        elif not asked.get("stream"):
            self.send_json({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": name,
                            "choices": [{"index": 0, "text": self.server.adapters[name]}]})
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Connection", "close")
            self.end_headers()
            for word in self.server.adapters[name].split():
                event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": name, "choices": [{"index": 0, "delta": {"content": word}}]}
                self.wfile.write(f"data: {json.dumps(event, separators=(',', ':'))}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

    def send_json(self, document, status=200):
        self.send_text(json.dumps(document, separators=(",", ":")), status, "application/json")

    def send_text(self, text, status=200, kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def gateway():
    vllm = Vllm()
    made = Gateway()
    made.vllm = vllm
    made.nginx = ExampleNginx(made.home, vllm.port, ROOT / "conf/vllm/nginx.conf")
    made.port = made.nginx.port
    config = json.loads((ROOT / "conf/vllm/rolloutd.json").read_text())
    config |= {name: made.rolloutd.config[name] for name in ("listen", "journal")}
    config["artifacts"] = {"source": f"file://{made.home}/models/{{model_id}}", "allow": [f"file://{made.home}/models/"]}
    config["backends"]["default"] |= {"command": [str(ROOT / "conf/vllm/vllm-lora"), f"http://127.0.0.1:{vllm.port}"], "staging": str(made.home / "adapters")}
    config["rollout"] |= {"drain_s": 20, "steps": [{"weight": 100, "hold_s": 0}]}
    config["limits"] |= {"retries": 1}
    made.rolloutd.config = config
    made.rolloutd.start()
    made.nginx.start()
    made.await_link()
    yield made
    assert all(status == 0 for _, status in made.close())
    vllm.shutdown()
    vllm.server_close()


def make_adapter(gateway, name, text, file="adapter_config.json"):
    folder = gateway.home / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / file).write_text("{}")
    (folder / "adapter_model.safetensors").write_text(text)


def completion(gateway, model, **more):
    return gateway.post("/v1/completions", {"prompt": "hello", "model": model, **more})


def test_an_adapter_goes_all_its_way(gateway):
    make_adapter(gateway, "sql", "SELECT one")
    gateway.deploy("sql")
    assert list(gateway.vllm.adapters) == ["sql__r1"]
    told = completion(gateway, "sql")
    assert told.json["model"] == "sql" and told.json["choices"][0]["text"] == "SELECT one"
    assert gateway.post("/v1/embeddings", {"input": "x", "model": "sql"}).json["model"] == "sql"

    make_adapter(gateway, "sql", "SELECT two")
    gateway.deploy("sql")
    assert list(gateway.vllm.adapters) == ["sql__r2"]
    assert completion(gateway, "sql").json["choices"][0]["text"] == "SELECT two"

    events = gateway.post("/v1/chat/completions", {"model": "sql", "messages": [], "stream": True}).body.decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    documents = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert [(event["model"], event["choices"][0]["delta"]["content"]) for event in documents] == [("sql", "SELECT"), ("sql", "two")]

    gateway.delete("sql")
    assert gateway.vllm.adapters == {}
    assert completion(gateway, "sql").problem(404)["detail"].startswith('Model "sql" was deleted')


def test_what_the_server_has_beside_is_not_reached(gateway):
    asked = len(gateway.vllm.asked)
    for model in ("base", "sql__r2"):
        completion(gateway, model).problem(404)
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1//load_lora_adapter", "/v1/completions/../load_lora_adapter", "/v1/completions/x"):
        assert gateway.post(path, {"lora_name": "x", "lora_path": "/", "model": "x"}).status == 404
    assert gateway.get("/v1/models").status == 404
    assert len(gateway.vllm.asked) == asked
    assert Client(gateway.port, source="127.0.0.2").get("/models").status == 403


def test_what_is_no_adapter_is_refused_in_words(gateway):
    make_adapter(gateway, "none", "x", file="other.json")
    task = gateway.deploy("none", status="failed")
    assert "adapter_config.json" in task["detail"]
    make_adapter(gateway, "empty", "x")
    (gateway.home / "models/empty/adapter_model.safetensors").unlink()
    task = gateway.deploy("empty", status="failed")
    assert "vLLM answered 404" in task["detail"] and "No adapter found" in task["detail"]
    assert gateway.vllm.adapters == {}


def test_an_answer_that_breaks_off_is_asked_for_again(gateway):
    """As when vLLM is restarted."""
    make_adapter(gateway, "cut", "x")
    gateway.vllm.broken_off = 1
    task = gateway.deploy("cut")
    assert gateway.vllm.broken_off == 0 and [step["attempts"] for step in task["metadata"]["steps"] if step["name"] == "load"] == [2]
    gateway.delete("cut")


def test_an_adapter_that_is_there_already_is_taken_as_it_is(gateway):
    """As after a crash between vLLM's load and rolloutd's note of it."""
    gateway.vllm.adapters["again__r1"] = "again"
    make_adapter(gateway, "again", "again")
    gateway.deploy("again")
    gateway.vllm.adapters.clear()
    gateway.delete("again")
    wait_until(lambda: completion(gateway, "again").status == 404, "the end of its route")
