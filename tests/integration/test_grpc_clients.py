"""gRPC through a whole gateway, rolloutd included, with the clients that users have: grpc-js, and grpc-core from Python with stubs made by protoc."""

import importlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading

import grpc
import pytest

from gateway import Gateway
from processes import DEADLINE_S, LOCATIONS, ROOT, free_port, wait_until

SERVER = ROOT / "tests/support/inference-server"

GRPC_LOCATIONS = LOCATIONS + """
        keepalive_requests 1000000;
        location = /metrics { rollout_metrics; }
        location ~ ^/inference\\.GRPCInferenceService/Model(Infer|Ready|Metadata|StreamInfer)$ {
            rollout_grpc;
            rollout_route $rollout_grpc_model;
            client_max_body_size 0;
            grpc_set_header Grpc-Accept-Encoding identity;
            grpc_pass grpc://${rollout_upstream}_grpc;
        }
        location /inference.GRPCInferenceService/Server { grpc_pass grpc://inference_grpc; }
"""


@pytest.fixture(scope="module")
def gateway():
    port = free_port()
    made = Gateway(nginx={"locations": GRPC_LOCATIONS, "http": f"upstream inference_grpc {{ server 127.0.0.1:{port}; keepalive 16; }}"},
                   rolloutd={"rollout": {"drain_s": 5}})
    made.inference.more = ["--grpc-port", port]
    yield made.start()
    assert all(status == 0 for _, status in made.close())


class GrpcJs:
    def __init__(self, gateway):
        self.child = subprocess.Popen(["node", SERVER / "grpc_client.js", f"127.0.0.1:{gateway.nginx.http2_port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True)
        self.answers, self.numbers, self.changed = {}, itertools.count(), threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            answer = json.loads(line)
            with self.changed:
                self.answers[answer.pop("id")] = answer
                self.changed.notify_all()

    def begin(self, **asked):
        number = next(self.numbers)
        self.child.stdin.write(json.dumps({"id": number, **asked}) + "\n")
        self.child.stdin.flush()
        return number

    def end(self, number):
        with self.changed:
            assert self.changed.wait_for(lambda: number in self.answers, DEADLINE_S)
            return self.answers.pop(number)

    def call(self, **asked):
        return self.end(self.begin(**asked))

    def infer(self, model):
        told = self.call(method="ModelInfer", message={"model_name": model})
        if "code" in told:
            return None
        assert told["answer"]["model_name"] == model
        return text_of(told["answer"])

    def close(self):
        self.child.stdin.close()
        self.child.wait(DEADLINE_S)


def text_of(answer):
    contents, = [output["contents"]["bytes_contents"] for output in answer["outputs"] if output["name"] == "answer"]
    return bytes(contents[0]["data"]).decode()


class GrpcCore:
    def __init__(self, gateway, folder):
        subprocess.run(["protoc", f"-I{SERVER}", f"--python_out={folder}", f"--grpc_out={folder}", "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin",
                        "kserve.proto"], check=True)
        sys.path.insert(0, str(folder))
        self.messages = importlib.import_module("kserve_pb2")
        self.stub = importlib.import_module("kserve_pb2_grpc").GRPCInferenceServiceStub(grpc.insecure_channel(f"127.0.0.1:{gateway.nginx.http2_port}"))

    def infer(self, model):
        answer = self.stub.ModelInfer(self.messages.ModelInferRequest(model_name=model), timeout=DEADLINE_S)
        assert answer.model_name == model
        return answer.outputs[0].contents.bytes_contents[0].decode()


@pytest.fixture(scope="module")
def js(gateway):
    made = GrpcJs(gateway)
    yield made
    made.close()


@pytest.fixture(scope="module")
def core(gateway, tmp_path_factory):
    return GrpcCore(gateway, tmp_path_factory.mktemp("stubs"))


def test_both_clients_are_answered(gateway, js, core):
    gateway.make_model("m", "hello")
    gateway.deploy("m")
    assert gateway.loaded() == ["m__r1"]
    assert js.infer("m") == core.infer("m") == "hello"
    assert js.call(method="ModelReady", message={"name": "m"}) == {"answer": {"ready": True}}
    assert core.stub.ModelReady(core.messages.ModelReadyRequest(name="m")).ready
    assert js.call(method="ModelMetadata", message={"name": "m"})["answer"]["name"] == "m"
    assert core.stub.ModelMetadata(core.messages.ModelMetadataRequest(name="m")).name == "m"
    assert js.call(method="ServerLive", message={}) == {"answer": {"live": True}}

    told = js.call(method="ModelStreamInfer", messages=[{"model_name": "m", "id": str(number)} for number in range(20)])
    assert "code" not in told and [(one["infer_response"]["model_name"], one["infer_response"]["id"]) for one in told["answers"]] == [
        ("m", str(number)) for number in range(20)]
    answers = core.stub.ModelStreamInfer(core.messages.ModelInferRequest(model_name="m", id=str(number)) for number in range(20))
    assert [(one.infer_response.model_name, one.infer_response.id) for one in answers] == [("m", str(number)) for number in range(20)]


def test_both_read_the_gateways_statuses(gateway, js, core):
    told = js.call(method="ModelInfer", message={"model_name": "m__r1"})
    assert told["code"] == 5 and told["details"].startswith('There is no model "m__r1" here')
    with pytest.raises(grpc.RpcError) as error:
        core.infer("m__r1")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND and error.value.details() == told["details"]
    told = js.call(method="ModelStreamInfer", messages=[{"model_name": "m"}, {"model_name": "other"}])
    assert told["code"] == 9 and "open a stream for each" in told["details"]
    told = js.call(method="ModelStreamInfer", messages=[{"model_name": "m__r1"}])
    assert told["code"] == 5 and told["answers"] == []


class GrpcTraffic:
    """Calls one after the other until told to end."""

    def __init__(self, clients, model):
        self.answers, self.failures, self.ending = [], [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(client, model), daemon=True) for client in clients]
        for thread in self.threads:
            thread.start()

    def _run(self, client, model):
        while not self.ending.is_set():
            try:
                answer = client.infer(model)
            except grpc.RpcError as error:
                answer = None
                self.failures.append(error.details())
            (self.answers if answer is not None else self.failures).append(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)


def test_a_rollout_and_reloads_under_traffic_lose_nothing(gateway, js, core):
    gateway.serve_blue("busy")
    with GrpcTraffic([js, core, js, core], "busy") as traffic:
        wait_until(lambda: len(traffic.answers) > 50, "the traffic")
        task = gateway.start_deployment("busy", steps=[{"weight": 50, "hold_s": 1}, {"weight": 100, "hold_s": 0}])
        gateway.nginx.reload()
        gateway.wait(task, status="completed")
        gateway.nginx.reload()
        wait_until(lambda: traffic.answers[-20:] == ["green"] * 20, "the new revision alone")
    assert traffic.failures == [] and set(traffic.answers) == {"blue", "green"}
    assert "busy__r2" in gateway.loaded() and "busy__r1" not in gateway.loaded()


def test_a_stream_ends_when_its_revision_is_retired_and_the_drain_with_it(gateway, core):
    gateway.serve_blue("streamed")
    messages = queue.Queue()
    answers = core.stub.ModelStreamInfer(iter(messages.get, None), timeout=DEADLINE_S)
    try:
        messages.put(core.messages.ModelInferRequest(model_name="streamed"))
        assert next(answers).infer_response.outputs[0].contents.bytes_contents[0] == b"blue"
        task = gateway.start_deployment("streamed", steps=[{"weight": 100, "hold_s": 0}], drain_s=50)
        with pytest.raises(grpc.RpcError) as error:
            next(answers)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE and error.value.details() == "Revision 1 is retired; open the stream again."
        gateway.wait(task, status="completed", seconds=40)
        assert core.infer("streamed") == "green" and "streamed__r1" not in gateway.loaded()
    finally:
        messages.put(None)


def test_a_green_that_fails_is_rolled_back(gateway, js, core):
    gateway.serve_blue("fails", faults=[{"kind": "failed_infer"}])
    with GrpcTraffic([js, core, js, core], "fails") as traffic:
        task = gateway.post("/deploy", {"model_id": "fails", "config": {"rollout": {
            "steps": [{"weight": 50, "hold_s": 60}], "gate": {"min_requests": 20, "max_error_rate": 0.01}}}}).task()
        task = gateway.wait(task, status="failed")
        wait_until(lambda: traffic.answers[-20:] == ["blue"] * 20, "blue alone")
    assert traffic.failures and gateway.serving()["fails"] == 1


def test_a_green_that_hangs_past_its_clients_deadlines_is_rolled_back(gateway, js):
    gateway.serve_blue("hangs", faults=[{"kind": "slow_infer", "ms": 30000}])
    task = gateway.post("/deploy", {"model_id": "hangs", "config": {"rollout": {
        "steps": [{"weight": 100, "hold_s": 60}], "gate": {"min_requests": 10, "max_error_rate": 0.01}}}}).task()
    gateway.await_weight(task, 100)

    def final():
        calls = [js.begin(method="ModelInfer", message={"model_name": "hangs"}, deadline_ms=200) for _ in range(10)]
        for call in calls:
            js.end(call)
        return gateway.task(task)["status"] == "failed"

    wait_until(final, "the gate")
    assert gateway.serving()["hangs"] == 1


def test_killed_worker_processes_break_connections_and_nothing_else(gateway, js, core):
    gateway.serve_blue("killed")
    with GrpcTraffic([core, js, core], "killed") as traffic:
        for _ in range(3):
            answered = len(traffic.answers)
            for pid in gateway.nginx.worker_pids():
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(traffic.answers) > answered + 20, "answers of new worker processes")
        # No ghost of a killed process is in the way of the drain.
        gateway.wait(gateway.start_deployment("killed", steps=[{"weight": 100, "hold_s": 0}], drain_s=50), status="completed", seconds=40)
        wait_until(lambda: traffic.answers[-20:] == ["green"] * 20, "the new revision alone")
    assert set(traffic.answers) == {"blue", "green"}
    assert len([failure for failure in traffic.failures if failure is not None]) <= 9  # three clients, three times
