"""Pages of other sites: what a browser sends for them changes nothing, whatever the route, the protocol and the location's settings."""

import socket
import subprocess

import pytest

from description import check_answer
from gateway import Answer, DEADLINE_S
from test_steering import VERBS

ROLLOUTD = {"limits": {"max_concurrent_rollouts": 0}}  # tasks are accepted and held
NGINX = {"locations": """
        location ~ ^/((deploy|delete)(-status)?|models|healthz|readyz)(/|$) { rollout_api; }
        location /large/ { rollout_api base=/large; client_max_body_size 20m; }
        location /internal/inference-deployment/ { rollout_api base=/internal/inference-deployment dialect=embedding_studio; }
"""}
BASES = ("", "/large", "/internal/inference-deployment")


def fresh(name, counter=iter(range(10**6))):
    return f"{name}-{next(counter)}"


def raw(gateway, text, port=None):
    """The answer to a request as it stands."""
    with socket.create_connection(("127.0.0.1", port or gateway.nginx.port), DEADLINE_S) as connection:
        connection.sendall(text.encode())
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    answer = Answer(int(line.split()[1]), dict(header.split(": ", 1) for header in headers), body)
    method, target = text.split()[:2]
    check_answer(port or gateway.nginx.port, method, target, None, answer.status, answer.headers, answer.body)
    return answer


def post(gateway, path, *headers, host=None, body="", target=None):
    return raw(gateway, "\r\n".join([f"POST {target or path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{gateway.nginx.port}'}", *headers,
                                     "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close", "", body]))


FOREIGN = [
    ["Origin: https://evil.example"], ["Origin: null"], ["Origin: NULL"], ["Origin:"], ["Origin: http://127.0.0.1"], ["Origin: http://127.0.0.1:1"],
    ["Origin: http://localhost:{port}"], ["Origin: http://127.0.0.1:{port}.evil.example"], ["Origin: http://127.0.0.1:{port}@evil.example"],
    ["Origin: http://[::1]:{port}"], ["Origin: chrome-extension://127.0.0.1:{port}"], ["origin: https://evil.example"],
    ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"], ["Sec-Fetch-Site: anything"], ["SEC-FETCH-SITE: cross-site"], ["Sec-Fetch-Site:"],
    ["Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: cross-site"], ["Origin: https://evil.example", "Sec-Fetch-Site: same-origin"],
    ["Origin: http://127.0.0.1:{port}", "Origin: https://evil.example"], ["Origin: https://evil.example", "Origin: http://127.0.0.1:{port}"],
    ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-origin, cross-site"],
]

OWN = [
    [], ["Origin: http://127.0.0.1:{port}"], ["Origin: HTTP://127.0.0.1:{port}"], ["Origin: https://127.0.0.1:{port}"],
    ["Sec-Fetch-Site: same-origin"], ["Sec-Fetch-Site: none"], ["Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: same-origin"],
    ["Origin: http://127.0.0.1:{port}", "Origin: http://127.0.0.1:{port}"],
]


def with_port(headers, gateway):
    return [header.replace("{port}", str(gateway.nginx.port)) for header in headers]


@pytest.mark.parametrize("headers", FOREIGN, ids=" | ".join)
def test_another_sites_page_cannot_cancel(gateway, headers):
    task = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    answer = post(gateway, f"/deploy/{task['task_id']}/cancel", *with_port(headers, gateway))
    problem = answer.problem(403)
    assert "Origin" in problem["detail"] and "Sec-Fetch-Site" in problem["detail"]
    assert gateway.task(task) == task


@pytest.mark.parametrize("headers", OWN, ids=lambda headers: " | ".join(headers) or "a program")
def test_the_own_page_and_programs_can(gateway, headers):
    task = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    answer = post(gateway, f"/deploy/{task['task_id']}/cancel", *with_port(headers, gateway))
    assert answer.task()["status"] == "canceled"


@pytest.mark.parametrize("base", BASES)
def test_no_route_is_open_to_another_site(gateway, base):
    task = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    model = fresh("m")
    body = f'{{"model_id": "{model}"}}'
    evil = "Origin: https://evil.example"
    for route in ("/deploy", "/delete"):
        post(gateway, base + route, evil, body=body).problem(403)
        post(gateway, base + route, evil).problem(403)
        post(gateway, f"{base}{route}?x=1", evil, body=body).problem(403)
        post(gateway, f"{base}{route}-status/{model}", evil).problem(403)
        post(gateway, f"{base}{route}/{task['task_id']}", evil).problem(403)
        for verb in VERBS:
            post(gateway, f"{base}{route}/{task['task_id']}/{verb}", evil).problem(403)
            post(gateway, f"{base}{route}/no-such-task/{verb}", evil).problem(403)
    post(gateway, f"{base}/deploy/a/b/c", evil).problem(403)
    gateway.get(f"/deploy-status/{model}").problem(404)
    gateway.get(f"/delete-status/{model}").problem(404)
    assert gateway.task(task) == task


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_forms_body_makes_no_difference(gateway, content_type):
    model = fresh("m")
    answer = gateway.request("POST", "/deploy", f'{{"model_id": "{model}"}}', {"Content-Type": content_type, "Origin": "https://evil.example"})
    answer.problem(403)
    gateway.get(f"/deploy-status/{model}").problem(404)


@pytest.mark.parametrize("host, origin, status", [
    ("gw.example", "http://gw.example", 200), ("GW.example", "http://gw.EXAMPLE", 200), ("gw.example:80", "http://gw.example", 200),
    ("gw.example", "http://gw.example:80", 200), ("gw.example", "https://gw.example", 200), ("gw.example", "https://gw.example:443", 200),
    ("gw.example:443", "https://gw.example", 200), ("[::1]:8080", "http://[0:0::1]:8080", 200), ("[2001:db8::A]", "http://[2001:DB8::a]", 200),
    ("gw.example:8080", "http://gw.example", 403), ("gw.example", "http://gw.example:8080", 403), ("gw.example:80", "https://gw.example", 403),
    ("[::1]:8080", "http://[::2]:8080", 403), ("gw.example", "http://evil.example", 403), ("gw.example", "http://xgw.example", 403),
    ("gw.example", "http://gw.example.evil", 403), ("gw.example", "http://gw.example/", 403),
])
def test_an_origin_is_the_hosts_own_by_host_and_port(gateway, host, origin, status):
    answer = post(gateway, "/deploy", f"Origin: {origin}", host=host, body=f'{{"model_id": "{fresh("m")}"}}')
    assert answer.status == status, answer
    if status != 200:
        answer.problem(403)


def test_a_uri_in_absolute_form_says_the_host(gateway):
    body = '{"model_id": "%s"}'
    target = "http://gw.example:8080/deploy"
    post(gateway, "/deploy", "Origin: http://gw.example:8080", target=target, host="other.example", body=body % fresh("m")).task()
    post(gateway, "/deploy", "Origin: http://other.example", target=target, host="other.example", body=body % fresh("m")).problem(403)


def test_reads_are_open(gateway):
    """A page of another site cannot see the answers: the gateway does not allow it to (CORS)."""
    task = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    answer = gateway.get(f"/deploy/{task['task_id']}", Origin="https://evil.example", Sec_Fetch_Site="cross-site")
    assert answer.task() == task
    assert not any(name.lower().startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize("headers, status", [
    (["Origin: https://evil.example"], 403), (["Origin: null"], 403), (["Sec-Fetch-Site: cross-site"], 403), (["Sec-Fetch-Site: same-site"], 403),
    (["Origin: http://127.0.0.1:{port}"], 200), (["Sec-Fetch-Site: same-origin"], 200), (["Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: none"], 200),
    (["Origin: http://127.0.0.1:1"], 403)])
def test_http2_is_no_way_around(gateway, headers, status):
    task = gateway.post("/deploy", {"model_id": fresh("m")}).task()
    port = gateway.nginx.http2_port
    given = [part for header in headers for part in ("-H", header.replace("{port}", str(port)))]
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code} %{content_type}", "-X", "POST", *given,
                           f"http://127.0.0.1:{port}/deploy/{task['task_id']}/cancel"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.stdout == f"{status} application/{'problem+' if status == 403 else ''}json", done
    assert gateway.task(task)["status"] == ("pending" if status == 403 else "canceled")


def test_a_refused_post_leaves_its_connection_to_the_next(gateway):
    from gateway import Client
    client = Client(gateway.nginx.port, keep=True)
    client.post("/deploy", {"model_id": "m", "config": {"a": "x" * 30000}}, Origin="https://evil.example").problem(403)
    connection = client.connection.sock
    client.post("/deploy", {"model_id": fresh("m")}).task()
    assert client.connection.sock is connection
