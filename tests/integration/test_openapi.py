"""The API's description, GET /openapi.json: it is valid, it is what the gateway serves, with the base and the words of the location, and a client
that is made from it works. That answers are as it says is checked of every answer in every test: tests/harness/description.py."""

import gzip
import json
import re
import shutil
import subprocess

import journals
import pytest

from description import FILE, description
from processes import DEADLINE_S, ROOT

NPM = ROOT / "tests/support/openapi"
LOCATION = "location ~ ^/((deploy|delete)(-status)?|models|events|healthz|readyz|openapi\\.json)(/|$)"
NGINX = {"locations": f"""
    {LOCATION} {{ rollout_api; }}
    location /es/ {{ rollout_api base=/es dialect=embedding_studio identity=off; }}
    location "/a \\"b/" {{ rollout_api "base=/a \\"b"; }}
    location /zipped/ {{ rollout_api base=/zipped; gzip on; gzip_types application/json; gzip_min_length 0; add_header X-Own here always; }}
    location /closed/ {{ rollout_api base=/closed; auth_basic members; auth_basic_user_file /dev/null; }}
    location /asks/ {{ auth_request /openapi.json; return 200; }}
"""}

DOCUMENT = json.loads(FILE.read_text())
PATHS = DOCUMENT["paths"]


def node(*command, cwd=NPM):
    done = subprocess.run(["node", *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The file.

def test_the_linter_finds_no_fault():
    node("lint.js", FILE)


def test_the_linter_finds_faults(tmp_path):
    wrong = json.loads(FILE.read_text())
    del wrong["paths"]["/models"]["get"]["operationId"]
    (tmp_path / "openapi.json").write_text(json.dumps(wrong))
    done = subprocess.run(["node", "lint.js", tmp_path / "openapi.json"], cwd=NPM, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1 and "operation-operationId" in done.stdout + done.stderr


def test_every_component_is_used():
    text = FILE.read_text()
    components = {f"#/components/{kind}/{name}" for kind, all_of_kind in DOCUMENT["components"].items() for name in all_of_kind}
    # 405 is what any other method gets, and so no answer of a described one.
    assert components - set(re.findall(r'"\$ref": "([^"]+)"', text)) == {"#/components/responses/MethodNotAllowed"}


def test_its_version_is_the_programs():
    project = re.search(r"project\(rollout VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert DOCUMENT["info"]["version"] == project


def test_what_the_benchmarks_write_into_journals_is_a_deployment():
    of = description()
    answer = of.resolved(of.checked["paths"]["/deploy/{task_id}"]["get"]["responses"]["200"])
    schema = answer["content"]["application/json"]["schema"]
    assert of.fault_of_content(schema, journals.document(0, "m-1")) is None
    assert of.fault_of_content(schema, journals.document(0, "m-1", status="lost")) is not None


# The routes.

def paths_with_words(template):
    """The paths that a template stands for, with each word of an enumeration."""
    verbs = [one["schema"]["enum"] for one in map(description().resolved, PATHS[template].get("parameters", [])) if "enum" in one["schema"]]
    filled = template.replace("{task_id}", "t-1").replace("{model_id}", "m-1")
    return [filled.replace("{verb}", verb) for verb in verbs[0]] if verbs else [filled]


@pytest.mark.parametrize("template", PATHS)
def test_every_path_is_a_route_with_these_methods(gateway, template):
    described = {method.upper() for method in PATHS[template] if method in ("get", "post", "put", "patch", "delete")}
    if "GET" in described:
        described.add("HEAD")
    for path in paths_with_words(template):
        answer = gateway.request("OPTIONS", path)
        if not re.match("/((deploy|delete)(-status)?|models|events|healthz|readyz|openapi)", path):
            pytest.fail(f"{LOCATION} does not have {path}")
        assert answer.status == 204, answer
        assert set(answer.headers["Allow"].split(", ")) == described, path


# What is served.

def test_the_gateway_serves_the_file(gateway):
    answer = gateway.get("/openapi.json")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json == DOCUMENT
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_location_puts_in_its_base_and_its_words(gateway):
    served = gateway.get("/es/openapi.json").json
    assert served["servers"] == [{"url": "/es"}]
    assert served["components"]["schemas"]["Status"]["enum"] == ["pending", "processing", "done", "failed", "refused", "canceled"]
    served["servers"] = DOCUMENT["servers"]
    served["components"]["schemas"]["Status"] = DOCUMENT["components"]["schemas"]["Status"]
    assert served == DOCUMENT


def test_a_base_of_any_characters_is_a_url(gateway):
    assert gateway.get("/a%20%22b/openapi.json").json["servers"] == [{"url": "/a%20%22b"}]


def test_a_client_that_has_it_is_not_sent_it_again(gateway):
    etag = gateway.get("/openapi.json").headers["ETag"]
    again = gateway.get("/openapi.json", If_None_Match=f'"other", W/{etag}')
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert gateway.get("/openapi.json", If_None_Match="*").status == 304
    assert gateway.get("/openapi.json", If_None_Match='"other"').status == 200
    assert gateway.get("/openapi.json", If_Match=etag).status == 200
    gateway.get("/openapi.json", If_Match='"other"').problem(412)


def test_each_location_has_its_own_etag_and_keeps_it(gateway):
    def etags():
        return [gateway.get(f"{base}/openapi.json").headers["ETag"] for base in ("", "/es", "/zipped")]

    before = etags()
    assert len(set(before)) == 3
    gateway.nginx.reload()
    assert etags() == before


def test_head_has_the_headers_alone(gateway):
    whole, head = gateway.get("/openapi.json"), gateway.request("HEAD", "/openapi.json")
    assert head.status == 200 and head.body == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


def test_it_is_compressed_as_nginx_is_told_to(gateway):
    answer = gateway.get("/zipped/openapi.json", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and answer.headers["X-Own"] == "here"
    assert json.loads(gzip.decompress(answer.body))["paths"] == PATHS
    etag = answer.headers["ETag"]
    assert etag.startswith("W/")
    assert gateway.get("/zipped/openapi.json", Accept_Encoding="gzip", If_None_Match=etag).status == 304


def test_it_takes_no_arguments_and_no_post(gateway):
    gateway.get("/openapi.json?format=yaml").problem(422)
    refused = gateway.post("/openapi.json", {})
    refused.problem(405)
    assert refused.headers["Allow"] == "GET, HEAD"
    gateway.get("/openapi.json/").problem(404)


def test_nginx_decides_who_reads_it(gateway):
    gateway.get("/closed/openapi.json").problem(401)
    assert gateway.get("/asks/").status == 200  # as a subrequest


def test_http2_clients_get_it_too(gateway, tmp_path):
    subprocess.run(["curl", "-sS", "--fail", "--http2-prior-knowledge", "-o", tmp_path / "it",
                    f"http://127.0.0.1:{gateway.nginx.http2_port}/openapi.json"], check=True, timeout=DEADLINE_S)
    assert json.loads((tmp_path / "it").read_text()) == DOCUMENT


def test_it_is_served_while_rolloutd_is_down(make_gateway):
    gateway = make_gateway(nginx=NGINX)
    gateway.nginx.start()
    assert gateway.get("/openapi.json").json == DOCUMENT


# A client.

def make_client(gateway, folder, base=""):
    """Compiles the client with the types that are made of what the gateway serves."""
    for name in ("client.ts", "process.d.ts", "tsconfig.json", "package.json"):
        shutil.copy(NPM / name, folder)
    (folder / "node_modules").symlink_to(NPM / "node_modules")
    (folder / "openapi.json").write_bytes(gateway.get(f"{base}/openapi.json").body)
    node("node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "api.d.ts", cwd=folder)
    node("node_modules/typescript/bin/tsc", "-p", ".", cwd=folder)


def test_a_client_made_from_it_deploys_a_model(gateway, tmp_path):
    make_client(gateway, tmp_path)
    gateway.make_model("typed", "typed")
    printed = json.loads(node("client.js", f"http://127.0.0.1:{gateway.nginx.port}", "typed", cwd=tmp_path))
    task = printed["task"]
    assert (task["status"], task["model_id"], task["metadata"]["config"]["own"]) == ("completed", "typed", 1)
    assert printed["revision"] == 1 and "is over" in printed["refused"]


def test_the_types_have_the_words_of_the_location(gateway, tmp_path):
    with pytest.raises(AssertionError, match="completed"):
        make_client(gateway, tmp_path, "/es")


# The check itself.

@pytest.mark.parametrize(("of", "fault"), [
    ({"status": 200, "content": b"{}"}, "'task_id' is a required property"),
    ({"status": 418}, "status is not described"),
    ({"headers": {}}, "no header ETag"),
    ({"headers": {"ETag": "no quotes", "Cache-Control": "no-cache"}}, "ETag is not as described"),
    ({"kind": "text/html"}, "type 'text/html' is not described"),
    ({"status": 304}, "has content"),
    ({"status": 304, "content": b"", "more": {"Location": "/"}}, "Location is not described"),
    ({"status": 404, "kind": "application/problem+json", "content": b'{"type":"about:blank","title":"Gone","status":410,"detail":"It is gone."}'}, "another one"),
    ({"status": 404, "kind": "application/problem+json",
      "content": b'{"type":"about:blank","title":"Gone","status":404,"detail":"It is gone.","secret":1}'}, "'secret' was unexpected"),
    ({"method": "HEAD"}, "HEAD has no content"),
    ({"method": "PUT", "status": 200}, "neither 405 nor 403"),
])
def test_an_answer_that_is_not_described_is_found(of, fault):
    headers = of.get("headers", {} if of.get("status") == 404 else {"ETag": '"1"', "Cache-Control": "no-cache"})
    headers = {**headers, "Content-Type": of.get("kind", "application/json"), **of.get("more", {})}
    found = description().fault_of_answer("/deploy/{task_id}", of.get("method", "GET"), of.get("status", 200), headers, of.get("content", b"{}"))
    assert found and fault in found, found
