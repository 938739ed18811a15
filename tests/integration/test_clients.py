"""HTTP as client libraries speak it: curl, Python's requests and http.client, Node's fetch and http, and bytes as they stand."""

import gzip
import json
import re
import socket
import subprocess

import pytest
import requests

from description import check_answer
from gateway import Client, DEADLINE_S
from processes import wait_until

ROLLOUTD = {"limits": {"max_concurrent_rollouts": 0}}  # tasks are accepted and held: they stay as they were answered
NGINX = {"locations": """
        gzip on; gzip_types application/json application/problem+json; gzip_min_length 1; gzip_proxied any;
        location ~ ^/((deploy|delete)(-status)?|models|healthz|readyz)(/|$) { rollout_api; }
        location /small/ { rollout_api base=/small; client_max_body_size 2k; }
        location /large/ { rollout_api base=/large; client_max_body_size 20m; client_body_buffer_size 1k; }
"""}


def fresh(name, counter=iter(range(10**6))):
    return f"{name}-{next(counter)}"


@pytest.fixture
def task(gateway):
    return gateway.post("/deploy", {"model_id": fresh("m")}).task()


def url(gateway, path):
    return f"http://127.0.0.1:{gateway.nginx.port}{path}"


def exchange(gateway, text, answers=1):
    """The answers to bytes as they stand, each with its status, its headers and its body."""
    with socket.create_connection(("127.0.0.1", gateway.nginx.port), DEADLINE_S) as connection:
        connection.sendall(text if isinstance(text, bytes) else text.encode())
        stream = connection.makefile("rb")
        return [one_answer(stream) for _ in range(answers)]


def one_answer(stream):
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()):
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    if status == 100:
        return one_answer(stream)
    return status, headers, stream.read(int(headers.get("content-length", 0)))


# Preconditions (RFC 9110, section 13).

@pytest.mark.parametrize("headers, status", [
    ({"If-None-Match": "{etag}"}, 304), ({"If-None-Match": "W/{etag}"}, 304), ({"If-None-Match": '"x", {etag}'}, 304), ({"If-None-Match": '"x",{etag},"y"'}, 304),
    ({"If-None-Match": '"a,b" , W/{etag}'}, 304), ({"If-None-Match": "*"}, 304), ({"If-None-Match": '"x"'}, 200), ({"If-None-Match": "{bare}"}, 200),
    ({"If-None-Match": '"x{bare}"'}, 200), ({"If-None-Match": '"*"'}, 200), ({"If-None-Match": ""}, 200),
    ({"If-Match": "{etag}"}, 200), ({"If-Match": '"x", {etag}'}, 200), ({"If-Match": "*"}, 200),
    ({"If-Match": '"x"'}, 412), ({"If-Match": "W/{etag}"}, 412), ({"If-Match": ""}, 412),
    ({"If-Match": "{etag}", "If-None-Match": "{etag}"}, 304), ({"If-Match": '"x"', "If-None-Match": "{etag}"}, 412),
    # a document without a date: what asks for one does not count, and If-None-Match goes before it
    ({"If-Modified-Since": "Sat, 28 Nov 2099 00:00:00 GMT"}, 200), ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
    ({"If-None-Match": "{etag}", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 304),
    ({"If-None-Match": '"x"', "If-Modified-Since": "Sat, 28 Nov 2099 00:00:00 GMT"}, 200),
    ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200), ({"If-Match": "{etag}", "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_preconditions_are_the_standards(gateway, task, method, headers, status):
    path = f"/deploy/{task['task_id']}"
    etag = gateway.get(path).headers["ETag"]
    given = {name: value.replace("{etag}", etag).replace("{bare}", etag.strip('"')) for name, value in headers.items()}
    answer = gateway.request(method, path, headers=given)
    assert answer.status == status, answer
    if status == 304:
        assert answer.body == b"" and answer.headers["ETag"] == etag
    if status == 412 and method == "GET":
        answer.problem(412)


@pytest.mark.parametrize("path", ["/models", "/deploy", "/healthz", "/readyz"])
@pytest.mark.parametrize("headers, status", [({"If-None-Match": "*"}, 304), ({"If-None-Match": '"x"'}, 200), ({"If-Match": "*"}, 200), ({"If-Match": '"x"'}, 412),
                                             ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200)])
def test_what_has_no_etag_is_there_all_the_same(gateway, path, headers, status):
    assert gateway.request("GET", path, headers=headers).status == status


def test_a_post_makes_its_task_whatever_it_matches(gateway):
    for header in ("If-None-Match", "If-Modified-Since", "If-Unmodified-Since"):
        value = "*" if header == "If-None-Match" else "Thu, 01 Jan 1970 00:00:00 GMT"
        gateway.request("POST", "/deploy", json.dumps({"model_id": fresh("m")}), {"Content-Type": "application/json", header: value}).task()


def test_a_word_to_a_task_that_has_changed_is_not_taken(gateway, task):
    path = f"/deploy/{task['task_id']}"
    etag = gateway.get(path).headers["ETag"]
    for given in ('"x"', f"W/{etag}"):
        gateway.request("POST", f"{path}/cancel", headers={"If-Match": given}).problem(412)
    assert gateway.task(task) == task
    assert gateway.request("POST", f"{path}/cancel", headers={"If-Match": etag}).task()["status"] == "canceled"
    gateway.request("POST", f"{path}/retry", headers={"If-Match": etag}).problem(412)
    gateway.request("POST", f"{path}/retry", headers={"If-Match": "*"}).task()
    gateway.request("POST", "/deploy/no-such-task/cancel", headers={"If-Match": etag}).problem(404)


# Queries.

@pytest.mark.parametrize("query, status", [
    ("wait=0", 200), ("%77ait=0", 200), ("wait=%30", 200), ("&&wait=0&", 200), ("", 200), ("&", 200), ("wait=00", 200),
    ("wait=", 422), ("wait", 422), ("wait=+1", 422), ("wait=1+", 422), ("wait=-1", 422), ("wait=1.0", 422), ("wait=1e1", 422), ("wait=0x1", 422),
    ("wait=0&wait=0", 422), ("wait=0&%77ait=1", 422), ("waits=0", 422), ("Wait=0", 422), ("=0", 422), ("wait=0&x=1", 422), ("limit=1", 422),
])
def test_a_reads_query(gateway, task, query, status):
    for path in (f"/deploy/{task['task_id']}", f"/deploy-status/{task['model_id']}"):
        answer = gateway.get(f"{path}?{query}")
        assert answer.status == status, answer
        if status == 422:
            assert answer.problem(422)["errors"][0]["parameter"] in answer.json["detail"]


@pytest.mark.parametrize("query, status", [
    ("model_id={id}", 200), ("model_id={escaped}", 200), ("status=pending&model_id={id}", 200), ("status=%70ending&limit=%31%30", 200), ("limit=1000", 200),
    ("limit=0", 422), ("limit=1001", 422), ("limit=", 422), ("limit=ten", 422), ("limit=99999999999999999999", 422), ("limit=1&limit=1", 422),
    ("status=", 422), ("status=done", 422), ("status=pending+", 422), ("model_id=", 422), ("model_id=a%2Fb", 422), ("model_id=a&model_id=a", 422),
    ("page_token=x", 422), ("page_token=-1", 422), ("offset=1", 422), ("wait=1", 422),
])
def test_a_lists_query(gateway, task, query, status):
    escaped = "".join(f"%{ord(character):02X}" for character in task["model_id"])
    answer = gateway.get("/deploy?" + query.replace("{id}", task["model_id"]).replace("{escaped}", escaped))
    assert answer.status == status, answer
    if status == 422:
        name = query.partition("=")[0]
        assert answer.problem(422)["errors"][0]["parameter"] == name and name in answer.json["detail"]
    elif "model_id" in query:
        assert answer.json["tasks"] == [task]


def test_an_unknown_argument_is_named_with_those_that_are_known(gateway):
    assert gateway.get("/deploy?offset=1").problem(422)["detail"] == \
        'The argument "offset" is not known here; this route takes "limit", "page_token", "model_id" and "status".'
    assert '"limit" and "page_token"' in gateway.get("/models?status=pending").problem(422)["detail"]
    for method, path in (("GET", "/healthz?x=1"), ("GET", "/readyz?x=1"), ("POST", "/deploy?wait=1"), ("POST", "/delete?x"), ("POST", "/deploy/t/cancel?now=1")):
        assert "takes none" in gateway.request(method, path).problem(422)["detail"]


# Paths, methods, bodies.

@pytest.mark.parametrize("path, status", [
    ("/deploy/{id}", 200), ("/deploy/{escaped}", 200), ("/%64eploy/{id}", 200), ("//deploy//{id}", 200), ("/deploy/./{id}", 200), ("/x/../deploy/{id}", 200),
    ("/deploy/{id}?", 200), ("/deploy/{id}/", 404), ("/deploy%2F{id}", 404), ("/deploy/x%2F..%2F{id}", 404), ("/Deploy/{id}", 404), ("/deploy/{id}%20", 404),
])
def test_paths(gateway, task, path, status):
    escaped = "".join(f"%{ord(character):02x}" for character in task["task_id"])
    (answer, _, body), = exchange(gateway, f"GET {path.replace('{id}', task['task_id']).replace('{escaped}', escaped)} HTTP/1.1\r\nHost: x\r\n"
                                           "Connection: close\r\n\r\n")
    assert answer == status, body


def test_a_slash_that_is_escaped_is_no_slash(gateway, task):
    gateway.request("POST", f"/deploy/{task['task_id']}%2Fcancel").problem(404)
    gateway.request("POST", f"/deploy/{task['task_id']}%2fcancel").problem(404)
    assert gateway.task(task) == task


def test_a_uri_in_absolute_form(gateway, task):
    for host in ("gw.example", "gw.example:8080", f"127.0.0.1:{gateway.nginx.port}"):
        (status, _, body), = exchange(gateway, f"GET http://{host}/deploy/{task['task_id']}?wait=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status == 200 and json.loads(body) == task


@pytest.mark.parametrize("path, allow", [("/deploy", "GET, HEAD, POST"), ("/delete", "GET, HEAD, POST"), ("/deploy/x", "GET, HEAD"), ("/delete-status/x", "GET, HEAD"),
                                         ("/deploy/x/cancel", "POST"), ("/models", "GET, HEAD"), ("/healthz", "GET, HEAD")])
def test_options_say_what_a_route_allows(gateway, path, allow):
    answer = gateway.request("OPTIONS", path)
    assert answer.status == 204 and answer.body == b"" and answer.headers["Allow"] == allow and "Content-Length" not in answer.headers
    assert not any(name.lower().startswith("access-control-") for name in answer.headers)
    assert gateway.request("PUT", path, "{}").headers["Allow"] == allow
    gateway.request("OPTIONS", "/deploy/a/b/c").problem(404)


@pytest.mark.parametrize("content_type, status", [
    ('application/json; charset="utf-8"', 200), ("application/json;charset=UTF8", 200), ("APPLICATION/JSON; CHARSET=Utf-8", 200), ("application/vnd.api+json", 200),
    ("application/merge-patch+json; charset=utf-8", 200), ("application/json; charset=utf-16", 415), ("application/json; charset=iso-8859-1", 415),
    ("application/json, text/plain", 415), ("text/json", 415), ("multipart/form-data; boundary=x", 415)])
def test_content_types(gateway, content_type, status):
    answer = gateway.request("POST", "/deploy", json.dumps({"model_id": fresh("m")}), {"Content-Type": content_type})
    assert answer.status == status, answer


def test_bodies_where_none_are_wanted_are_passed_over(gateway, task):
    client = Client(gateway.nginx.port, keep=True)
    client.get("/healthz")
    connection = client.connection.sock
    for method, path, status in (("GET", f"/deploy/{task['task_id']}?wait=0", 200), ("HEAD", "/models", 200), ("DELETE", f"/deploy/{task['task_id']}", 405),
                                 ("PATCH", "/deploy", 405), ("OPTIONS", "/deploy", 204), ("GET", "/deploy/a/b", 404), ("POST", "/deploy/a/b", 404)):
        assert client.request(method, path, "x" * 50000).status == status
        assert client.request(method, path, iter([b"y" * 700] * 70)).status == status  # chunked
    assert client.get(f"/deploy/{task['task_id']}").task() == task
    assert client.connection.sock is connection


def test_chunks_with_extensions_and_trailers(gateway):
    body = json.dumps({"model_id": fresh("m")})
    text = ("POST /deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n"
            f"5;name=value\r\n{body[:5]}\r\n{len(body) - 5:X}\r\n{body[5:]}\r\n0\r\nDigest: nothing\r\nOrigin: https://evil.example\r\n\r\n"
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (first, _, made), (second, _, _) = exchange(gateway, text, 2)
    assert (first, second) == (200, 200) and json.loads(made)["status"] == "pending"


def test_requests_one_behind_the_other_are_answered_in_their_order(gateway, task):
    body = json.dumps({"model_id": fresh("m")})
    post = f"POST /deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    get = f"GET /deploy/{task['task_id']}?wait=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    evil = f"POST /deploy/{task['task_id']}/cancel HTTP/1.1\r\nHost: x\r\nOrigin: null\r\nContent-Length: 3\r\n\r\nxyz"
    wrong = "POST /deploy HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nxyz"
    answers = exchange(gateway, (post + get + evil + wrong) * 3, 12)
    assert [status for status, _, _ in answers] == [200, 200, 403, 415] * 3
    assert all(json.loads(body)["task_id"] == task["task_id"] for _, _, body in answers[1::4])


def test_a_range_is_not_taken(gateway, task):
    answer = gateway.get(f"/deploy/{task['task_id']}", Range="bytes=0-3")
    assert answer.task() == task and "Accept-Ranges" not in answer.headers and "Content-Range" not in answer.headers
    gateway.get(f"/deploy/{task['task_id']}", Range="bytes=0-3", If_Range='"x"').task()


def test_compressed_documents_have_weak_tags_that_match(gateway, task):
    path = f"/deploy/{task['task_id']}"
    strong = gateway.get(path).headers["ETag"]
    answer = gateway.get(path, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and json.loads(gzip.decompress(answer.body)) == task
    assert answer.headers["ETag"] == f"W/{strong}"
    for wait in ("", "?wait=1"):
        again = gateway.get(path + wait, Accept_Encoding="gzip", If_None_Match=answer.headers["ETag"])
        assert again.status == 304 and again.body == b"" and "Content-Encoding" not in again.headers
    problem = gateway.get("/deploy/nothing", Accept_Encoding="gzip")
    assert problem.status == 404 and json.loads(gzip.decompress(problem.body))["status"] == 404


def test_a_connection_goes_on_after_an_error_with_a_body_that_nobody_read(gateway):
    large = "x" * 300000
    head = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
    text = (head.format("/deploy", "text/plain", len(large)) + large + head.format("/deploy/a/b", "application/json", len(large)) + large
            + head.format("/deploy?x=1", "application/json", len(large)) + large + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [status for status, _, _ in exchange(gateway, text, 4)] == [415, 404, 422, 200]
    # Over nginx's own bound it closes, which is nginx's way.
    (status, headers, _), = exchange(gateway, head.format("/small/deploy", "application/json", 3000))
    assert status == 413 and headers["content-type"] == "application/problem+json"


# Clients as they are.

def curl(gateway, path, *arguments):
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *arguments, url(gateway, path)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body, done.stderr


def test_curl(gateway, tmp_path):
    body = json.dumps({"model_id": fresh("m"), "config": {"a": "x" * 30000}})
    (tmp_path / "body.json").write_text(body)
    json_type = ["-H", "Content-Type: application/json"]
    # A body of that size makes curl ask with Expect: 100-continue by itself in old releases, and when told to.
    status, answer, said = curl(gateway, "/large/deploy", *json_type, "-H", "Expect: 100-continue", "-v", "--data-binary", f"@{tmp_path}/body.json")
    assert status == 200 and "HTTP/1.1 100 Continue" in said
    task = json.loads(answer)
    assert curl(gateway, "/deploy", "--json", json.dumps({"model_id": fresh("m")}))[0] == 200
    assert curl(gateway, f"/deploy/{task['task_id']}", "-G", "--data-urlencode", "wait=1")[0] == 200
    assert curl(gateway, f"/deploy/{task['task_id']}", "--compressed")[1] == json.dumps(task, separators=(",", ":"), ensure_ascii=False)
    assert curl(gateway, f"/deploy/{task['task_id']}", "-I")[0] == 200
    assert curl(gateway, "/deploy", *json_type, "-T", str(tmp_path / "body.json"), "-X", "POST", "-H", "Transfer-Encoding: chunked")[0] == 200
    etags = tmp_path / "etags"
    assert curl(gateway, f"/deploy/{task['task_id']}", "--etag-save", str(etags))[0] == 200
    assert curl(gateway, f"/deploy/{task['task_id']}", "--etag-compare", str(etags))[0] == 304
    status, _, said = curl(gateway, "/small/deploy", *json_type, "-H", "Expect: 100-continue", "-v", "--data-binary", f"@{tmp_path}/body.json")
    assert status == 413 and "100 Continue" not in said
    assert curl(gateway, f"/deploy/{task['task_id']}/cancel", "-X", "POST")[0] == 200


def test_requests(gateway):
    def check(answer, **_):
        of = answer.request
        check_answer(gateway.nginx.port, of.method, of.path_url, of.body, answer.status_code, {**answer.headers, "Content-Encoding": ""}, answer.content)

    with requests.Session() as session:
        session.hooks["response"] = check
        made = session.post(url(gateway, "/deploy"), json={"model_id": fresh("m")}, headers={"Idempotency-Key": fresh("key")})
        assert made.status_code == 200
        task = made.json()
        path = url(gateway, f"/deploy/{task['task_id']}")
        assert session.get(path, params={"wait": 0}).json() == task
        assert session.get(path).headers["Content-Encoding"] == "gzip"
        assert session.get(path, headers={"If-None-Match": session.get(path).headers["ETag"]}).status_code == 304
        page = session.get(url(gateway, "/deploy"), params={"model_id": task["model_id"], "limit": 10, "status": "pending", "page_token": None})
        assert page.json() == {"tasks": [task], "next_page_token": None}
        assert session.get(url(gateway, "/deploy"), params={"limit": [1, 2]}).status_code == 422
        assert session.options(path).headers["Allow"] == "GET, HEAD"
        generated = session.post(url(gateway, "/deploy"), data=iter([b'{"model_id": "', b'm"}']), headers={"Content-Type": "application/json"})
        assert generated.status_code == 200
        assert session.post(url(gateway, "/deploy"), data={"model_id": "m"}).status_code == 415
        assert session.post(f"{path}/cancel").json()["status"] == "canceled"
        assert session.delete(path, json={"x": 1}).status_code == 405


NODE = """
const http = require('node:http');
const [port, model] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}`;
const json = {'Content-Type': 'application/json'};
const say = (...words) => console.log(JSON.stringify(words));

function request(options, body) {
  return new Promise((resolve, reject) => {
    const call = http.request({host: '127.0.0.1', port, ...options}, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part)).on('end', () => resolve([answer.statusCode, Buffer.concat(parts).toString(), answer.headers]));
    }).on('error', reject);
    call.on('continue', () => call.end(body));
    if (!options.headers?.Expect) call.end(body); else call.flushHeaders();
  });
}

(async () => {
  const made = await fetch(`${base}/deploy`, {method: 'POST', headers: json, body: JSON.stringify({model_id: model})});
  const task = await made.json();
  say('fetch POST', made.status, task.model_id === model);
  const read = await fetch(`${base}${made.headers.get('Location')}?${new URLSearchParams({wait: 0})}`);
  say('fetch GET', read.status, (await read.json()).task_id === task.task_id, read.headers.get('Content-Encoding'));
  const same = await fetch(read.url, {headers: {'If-None-Match': read.headers.get('ETag')}});
  say('fetch If-None-Match', same.status);
  const stream = new ReadableStream({start(to) { to.enqueue(new TextEncoder().encode(JSON.stringify({model_id: model}))); to.close(); }});
  const streamed = await fetch(`${base}/deploy`, {method: 'POST', headers: json, body: stream, duplex: 'half'});
  say('fetch stream', streamed.status);
  const gone = new AbortController();
  const waiting = fetch(`${base}/deploy/${task.task_id}?wait=300`, {signal: gone.signal}).catch((error) => error.name);
  setTimeout(() => gone.abort(), 50);
  say('fetch abort', await waiting);
  const agent = new http.Agent({keepAlive: true, maxSockets: 1});
  const large = JSON.stringify({model_id: model, config: {a: 'x'.repeat(30000)}});
  say('http Expect', (await request({agent, method: 'POST', path: '/large/deploy', headers: {...json, Expect: '100-continue', 'Content-Length': large.length}}, large))[0]);
  say('http wrong type', (await request({agent, method: 'POST', path: '/deploy', headers: {'Content-Type': 'text/plain'}}, large))[0]);
  say('http chunked', (await request({agent, method: 'POST', path: '/deploy', headers: {...json, 'Transfer-Encoding': 'chunked'}}, JSON.stringify({model_id: model})))[0]);
  const options = await request({agent, method: 'OPTIONS', path: '/deploy'});
  say('http OPTIONS', options[0], options[2].allow);
  say('http HEAD', (await request({agent, method: 'HEAD', path: `/deploy/${task.task_id}`}))[0]);
  say('http GET with a body', (await request({agent, method: 'GET', path: `/deploy/${task.task_id}`, headers: {'Content-Length': 5}}, 'hello'))[0]);
  say('http DELETE', (await request({agent, method: 'DELETE', path: `/deploy/${task.task_id}`}))[0]);
  const canceled = await fetch(`${base}/deploy/${task.task_id}/cancel`, {method: 'POST'});
  say('fetch cancel', canceled.status, (await canceled.json()).status);
  agent.destroy();
})().catch((error) => { console.error(error); process.exit(1); });
"""


def test_node(gateway, tmp_path):
    (tmp_path / "client.js").write_text(NODE)
    done = subprocess.run(["node", str(tmp_path / "client.js"), str(gateway.nginx.port), fresh("m")], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["fetch POST", 200, True], ["fetch GET", 200, True, "gzip"], ["fetch If-None-Match", 304], ["fetch stream", 200], ["fetch abort", "AbortError"],
        ["http Expect", 200], ["http wrong type", 415], ["http chunked", 200], ["http OPTIONS", 204, "GET, HEAD, POST"], ["http HEAD", 200],
        ["http GET with a body", 200], ["http DELETE", 405], ["fetch cancel", 200, "canceled"]]


def test_a_client_that_leaves_while_it_waits_ends_its_request_alone(gateway, task):
    path = f"/deploy/{task['task_id']}"
    leaving = [socket.create_connection(("127.0.0.1", gateway.nginx.port), DEADLINE_S) for _ in range(20)]
    for connection in leaving:
        connection.sendall(f"GET {path}?wait=300 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody".encode())
    for connection in leaving:
        connection.close()
    wait_until(lambda: len(re.findall(rf"GET {path} 499", (gateway.home / "access.log").read_text())) == 20, "the end of their requests")
    assert gateway.get(path).task() == task
