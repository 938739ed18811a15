"""conf/embedding-studio whole, for gRPC: EmbeddingStudio's client asks for its encoders by the names that it gives them."""

import json

import grpc
import pytest

from gateway import Client, Gateway
from grpc_servers import GrpcClient, GrpcServer, field
from processes import ROOT, ExampleNginx

API = "/internal/inference-deployment"


@pytest.fixture(scope="module")
def gateway():
    server = GrpcServer()
    made = Gateway(inference={"control": "poll", "poll_secs": 0.1})
    made.nginx = ExampleNginx(made.home, made.inference.port, ROOT / "conf/embedding-studio/nginx.conf", replaced={"127.0.0.1:8001": server.address})
    made.port = made.nginx.port
    config = json.loads((ROOT / "conf/embedding-studio/rolloutd.json").read_text())
    mine = made.rolloutd.config
    backend = config["backends"]["default"] | {name: mine["backends"]["default"][name] for name in ("url", "repository")}
    made.rolloutd.config = config | {name: mine[name] for name in ("listen", "journal")} | {"backends": {"default": backend}}
    made.rolloutd.config["artifacts"] = {"source": f"file://{made.home}/models/{{model_id}}/{{part}}", "allow": [f"file://{made.home}/models/"]}
    made.api = API
    made.inference.start()
    made.rolloutd.start()
    made.nginx.start()
    made.await_link()
    made.grpc_server = server
    made.grpc = GrpcClient(made.nginx.http2_port)
    yield made
    made.grpc.close()
    server.close()
    assert all(status == 0 for _, status in made.close())


def test_the_encoders_of_a_model_are_reached_by_their_names(gateway):
    for part in ("query", "items"):
        folder = gateway.home / "models/123" / part / "1"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"kind": "echo", "answer": part}))
    task = gateway.post(f"{API}/deploy", {"embedding_model_id": "123", "config": {"plugin": "Text_To_Image", "parts": {"query": {}, "items": {}}}}).json
    assert gateway.get(f"{API}/deploy/{task['id']}?wait=60").json["status"] == "done"
    for part in ("query", "items"):
        name = f"Text_To_Image_123_{part}"
        for method in ("ModelInfer", "ModelReady", "ModelMetadata"):
            message = field(1, name) + field(2, "1") + field(7, "x" * 1000)
            assert gateway.grpc.call(method, message) == message
            assert gateway.grpc_server.received[-1] == (method, message)


@pytest.mark.parametrize("name", ["Text_To_Image_123", "Text_To_Image_124_query", "123_query", "secret", "Text_To_Image_123_other", "_query"])
def test_no_other_name_reaches_the_server(gateway, name):
    before = len(gateway.grpc_server.received)
    assert gateway.grpc.fails(field(1, name))[0] == grpc.StatusCode.NOT_FOUND
    assert len(gateway.grpc_server.received) == before


@pytest.mark.parametrize("method", ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "SystemSharedMemoryRegister", "TraceSetting",
                                    "LogSettings", "ModelStatistics", "ModelConfig", "ModelInfer/x"])
def test_other_methods_are_not_implemented(gateway, method):
    before = len(gateway.grpc_server.received)
    assert gateway.grpc.fails(field(1, "Text_To_Image_123_query"), method=method)[0] == grpc.StatusCode.UNIMPLEMENTED
    assert len(gateway.grpc_server.received) == before


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady", "ServerMetadata"])
def test_questions_about_the_server_go_through(gateway, method):
    gateway.grpc_server.behaviours["?"] = None
    with pytest.raises(grpc.RpcError) as error:  # the test's server reads a name in each message
        gateway.grpc.call(method, b"")
    assert error.value.code() == grpc.StatusCode.UNKNOWN and gateway.grpc_server.received[-1] == (method, b"")


def test_the_api_is_beside_it(gateway):
    assert gateway.get(f"{API}/models").status == 200
    assert Client(gateway.port, source="127.0.0.2").get(f"{API}/models").status == 403
