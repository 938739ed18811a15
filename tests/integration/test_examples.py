"""The configurations of conf/, each run whole: who may come where is closed until the operator opens it, and through the
inference routes nothing else of the server can be reached."""

import http.client
import http.server
import re
import shutil
import ssl
import textwrap
import threading

import pytest

from certificates import Authority
from gateway import Answer, Client, Gateway, answer_of
from processes import DEADLINE_S, ROOT, ExampleNginx, wait_until, worker_user

STRANGER = "127.0.0.2"  # the loopback network is larger than the address that the examples allow

EXAMPLES = {"nginx.conf": "", "embedding-studio/nginx.conf": "/internal/inference-deployment"}

ROUTES = [("GET", "/deploy"), ("POST", "/deploy"), ("GET", "/deploy/t"), ("POST", "/deploy/t/cancel"), ("GET", "/deploy-status/m"),
          ("GET", "/delete"), ("POST", "/delete"), ("GET", "/delete/t"), ("GET", "/delete-status/m"), ("GET", "/models"),
          ("PUT", "/deploy"), ("DELETE", "/deploy/t"), ("OPTIONS", "/deploy")]

# What a server has beside the models' inference, and ways to write it.
CLOSED = [
    "/v2/repository/index", "/v2/repository/models/m__r1/load", "/v2/repository/models/m__r1/unload",
    "/v2/models/m/trace/setting", "/v2/models/m__r1/trace/setting", "/v2/trace/setting", "/v2/logging",
    "/v2/systemsharedmemory/region/x/register", "/v2/cudasharedmemory/status", "//v2//repository/index",
    "/v2/models/m/../../repository/index", "/v2/models/m/..%2f..%2frepository/index", "/v2/models/m/%2e%2e/%2e%2e/repository/index",
    "/v2/models/m/%252e%252e/%252e%252e/repository/index", "/v2/models/m/%252e%252e%252f%252e%252e%252frepository/index",
    "/v2/models/m/versions/1/../../../repository/index", "/v2/models/m/versions/1%252f..%252f..%252f..%252frepository/index",
    "/v2/models/m/infer%20HTTP/1.1%0d%0aX-Other:%20x", "/v2/models/m/infer%0aX:y", "/v2/models/m/infer%0d%0a%0d%0aGET%20/v2/logging",
    "/v2/models/m/infer%3fx=y", "/v2/models/m/infer%23", "/v2/models/m/infer/", "/v2/models/m/infer/x", "/v2/models/m/versions/x/infer",
    "/v2/models/m__r1/infer", "/v2/models/m__r1/versions/1/infer", "/v2/models/m__r1/ready", "/v2/models/m__r1", "/v2/models/m%5F_r1/infer",
    "/v2/models/..%2fm__r1/infer", "/v2/models/%2e%2e/infer", "/test/calls", "/",
]


def start(home_of, file, more="", replaced=(), inference=None, rolloutd=None):
    made = Gateway(inference=inference, rolloutd=rolloutd)
    made.nginx = ExampleNginx(made.home, made.inference.port, ROOT / "conf" / file, more, replaced(made.home) if callable(replaced) else replaced)
    made.port = made.nginx.port
    try:
        made.inference.start()
        made.rolloutd.start()
        made.nginx.start()
        home_of(made)
    except BaseException:
        made.close()
        raise
    return made


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request):
    base = EXAMPLES[request.param]

    def ready(gateway):
        gateway.api = base
        gateway.await_link()

    made = start(ready, request.param, rolloutd={"backends": {"default": {"upstream": "triton" if base else "inference"}}})
    made.make_model("m", "hello")
    task = made.post(f"{base}/deploy", {"model_id": "m", "config": {"parts": {"query": {"source": f"file://{made.home}/models/m"}}}}
                     if base else {"model_id": "m"}).task()
    assert made.get(f"{base}/deploy/{task['task_id']}?wait=60").json["status"] in ("completed", "done")
    yield made
    assert all(status == 0 for _, status in made.close())


def calls(gateway):
    """What came to the inference server through the gateway, by path."""
    return [call["path"] for call in gateway.server.get("/test/calls").json]


@pytest.mark.parametrize("method, path", ROUTES)
def test_a_stranger_may_neither_read_nor_write(example, method, path):
    answer = Client(example.port, source=STRANGER).request(method, example.api + path, "{}", {"Content-Type": "application/json"})
    assert "not allow" in answer.problem(403)["detail"]


def test_this_machine_may(example):
    assert example.get(f"{example.api}/models").status == 200
    example.post(f"{example.api}/delete", {"model_id": "other"}).task()


def test_anybody_may_infer(example):
    path = "/v2/models/m/query/infer" if example.api else "/v2/models/m/infer"
    answer = Client(example.port, source=STRANGER).post(path, {"inputs": []})
    assert answer_of(answer) == "hello"
    path = path.replace("infer", "versions/1/infer")
    assert answer_of(example.post(path + "?x=y", {"inputs": []})) == "hello"


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_of_the_server_is_reached(example, method, path):
    example.server.request("DELETE", "/test/calls")
    part = path.replace("/v2/models/m/", "/v2/models/m/query/") if example.api else path
    for source in (None, STRANGER):
        for one in (path, part):
            answer = Client(example.port, source=source).request(method, one, "" if method == "POST" else None)
            assert answer.status in (400, 403, 404) and b'"error"' not in answer.body, (one, answer)  # nginx's words, not the server's
    # rolloutd may have had a look at the index meanwhile.
    assert [call for call in calls(example) if call != "/v2/repository/index"] == [], path


def test_metrics_are_the_gateways_own(example):
    example.server.request("DELETE", "/test/calls")
    assert "\nrollout_link_up 1\n" in example.get("/metrics").body.decode()
    assert Client(example.port, source=STRANGER).get("/metrics").status == 403
    assert "/metrics" not in calls(example)


# conf/protected

class Service(http.server.ThreadingHTTPServer):
    """The operator's service that says who may write: a certificate of the name ci."""

    def __init__(self):
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(204 if "CN=ci" in self.headers.get("X-Client-Certificate", "") else 403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class TlsClient(Client):
    """Comes from an address, with a certificate or without."""

    def __init__(self, gateway, certificate=None, address="127.0.0.1"):
        super().__init__(gateway.port)
        self.address = address
        self.context = ssl.create_default_context(cafile=gateway.authority.certificate)
        if certificate:
            self.context.load_cert_chain(*certificate)

    def connect(self, timeout):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context)

    def request(self, method, path, body=None, headers=None, timeout=DEADLINE_S) -> Answer:
        return super().request(method, path, body, {"X-Test-Address": self.address, **(headers or {})}, timeout)


@pytest.fixture(scope="module")
def protected(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    certificate, key = authority.issue("/CN=gateway", "gateway")
    service = Service()

    def ready(gateway):
        gateway.authority = authority
        gateway.await_link(TlsClient(gateway))

    made = start(ready, "protected/nginx.conf",
                 "real_ip_header X-Test-Address; set_real_ip_from 127.0.0.1;",  # for the test to come from anywhere
                 {"/etc/rollout/gateway.pem": certificate, "/etc/rollout/gateway.key": key,
                  "/etc/rollout/writers-ca.pem": authority.certificate, "127.0.0.1:9000": f"127.0.0.1:{service.server_port}"})
    made.service = service
    made.ci = authority.issue("/O=Example/CN=ci", "ci")
    made.other = authority.issue("/O=Example/CN=other", "other")
    made.strange = Authority(made.home / "stranger").issue("/O=Example/CN=ci", "ci")
    yield made
    service.shutdown()
    assert all(status == 0 for _, status in made.close())


def deploys(client, **headers):
    return client.post("/deploy", {"model_id": "m"}, **headers)


def test_protected_reads_are_for_the_private_networks(protected):
    for address in ("127.0.0.1", "10.7.7.7"):
        assert TlsClient(protected, address=address).get("/models").status == 200
    for address in ("127.0.0.2", "192.0.2.1", "11.0.0.1", "2001:db8::1"):
        TlsClient(protected, address=address).get("/models").problem(403)


def test_protected_writes_take_the_certificate_the_network_and_the_services_word(protected):
    protected.make_model("m", "hello")
    task = deploys(TlsClient(protected, protected.ci, "10.1.2.3")).task()
    asked = protected.service.asked[-1]
    assert asked["x-original-method"] == "POST" and asked["x-original-uri"] == "/deploy" and asked["x-client-address"] == "10.1.2.3"
    assert asked["x-client-certificate"] == "CN=ci,O=Example" and "content-length" not in asked
    client = TlsClient(protected)
    wait_until(lambda: client.get(f"/deploy/{task['task_id']}").json["status"] == "completed", "the deployment")

    before = len(protected.service.asked)
    deploys(TlsClient(protected)).problem(403)                                  # no certificate
    deploys(TlsClient(protected, protected.ci, "10.2.0.1")).problem(403)        # may read from there, not write
    deploys(TlsClient(protected, protected.ci, "192.0.2.1")).problem(403)
    assert TlsClient(protected, protected.strange).post("/deploy", {"model_id": "m"}).status == 400  # of another authority
    assert len(protected.service.asked) == before
    deploys(TlsClient(protected, protected.other)).problem(403)                 # the service says no
    assert len(protected.service.asked) == before + 1
    for path in ("/delete", f"/deploy/{task['task_id']}/rollback"):
        TlsClient(protected).post(path, {"model_id": "m"}).problem(403)
    (line,) = [line for line in protected.rolloutd.lines() if line.get("audit")]
    assert line["remote_addr"] == "10.1.2.3" and line["client_certificate"] == "CN=ci,O=Example"


def test_protected_a_flood_of_writes_is_limited_and_reads_are_not(protected):
    client = TlsClient(protected, address="10.1.9.9")  # without a certificate: limits come before
    statuses = [deploys(client).status for _ in range(60)]
    assert set(statuses) == {403, 429} and statuses.count(429) > 0, statuses
    assert {client.get("/models").status for _ in range(60)} == {200}


def test_protected_without_the_service_nobody_writes(protected):
    protected.service.shutdown()
    protected.service.server_close()
    deploys(TlsClient(protected, protected.ci)).problem(500)
    assert TlsClient(protected).get("/models").status == 200
    assert answer_of(TlsClient(protected, address="192.0.2.1").post("/v2/models/m/infer", {"inputs": []})) == "hello"


# README.md

def readmes_blocks(language):
    return [textwrap.dedent(block) for block in
            re.findall(rf"^ *```{language}\n(.*?)^ *```$", (ROOT / "README.md").read_text(), re.M | re.S)]


def test_the_readmes_lines_serve_in_a_configuration_that_has_nothing_else(tmp_path):
    """The block of "A gateway of your own", whole, with conf/rolloutd.json's name for the upstream."""
    lines, = [block for block in readmes_blocks("nginx") if block.startswith("load_module")]
    file = tmp_path / "readme.conf"
    file.write_text(lines.replace("\n", "\nuser www-data;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log notice;\nevents {}\n", 1))
    gateway = start(Gateway.await_link, file, "access_log off;", state_folder, rolloutd={"rollout": {"steps": [{"weight": 100}]}})
    try:
        assert gateway.get("/healthz").status == 200
        wait_until(lambda: gateway.get("/readyz").status == 200, "all that rolloutd knows")
        gateway.make_model("m", "hello")
        gateway.deploy("m")
        assert gateway.infer("m") == "hello"
        assert gateway.post("/v2/models/m/infer", {"inputs": [], "parameters": {"text": "x" * 2 ** 21}}).status == 200
        assert "\nrollout_link_up 1\n" in gateway.get("/metrics").body.decode()
        for path in ("/metrics", "/deploy", "/models"):
            assert Client(gateway.port, source=STRANGER).get(path).status == 403
        assert Client(gateway.port, source=STRANGER).get("/readyz").status == 200
        wait_until(lambda: "m__r1" in (gateway.home / "state/routes.json").read_text(), "the state file")
    finally:
        assert all(status == 0 for _, status in gateway.close())


def state_folder(home):
    folder = home / "state"
    folder.mkdir()
    shutil.chown(folder, worker_user())
    return {"/var/lib/nginx/rollout": folder}
