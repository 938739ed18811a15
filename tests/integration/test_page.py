"""The operator's page as nginx serves it: files, headers, settings. What the page shows is in tests/page."""

import gzip
import http.client
import subprocess

import pytest

from gateway import Client
from processes import DEADLINE_S

NGINX = {"locations": """
    location ~ ^/((deploy|delete)(-status)?|models|healthz|readyz)(/|$) { rollout_api; }
    location /rollout/ { rollout_page; }
    location /operator/ { rollout_page write=on api=/internal/models; }
    location /off/ { rollout_page write=off; }
    location /by-user/ { rollout_page write=$arg_write; }
    location = /exact/ { rollout_page; }
    location ~ ^/by-pattern/ { rollout_page; }
    location /vary/ { rollout_page; gzip_vary on; gzip on; gzip_types *; }
    location /if/ { rollout_page write=on; if ($arg_x) { set $y 1; } }
    location /closed/ { rollout_page; deny all; }
    location /own/ { rollout_page; add_header X-Own yes always; error_page 404 /own-page; }
    location = /own-page { return 200 own; }
"""}
FILES = {"": "text/html; charset=utf-8", "page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}


def must_be_secure(answer):
    for name, value in SECURITY.items():
        assert answer.headers.get_all(name) == [value], (name, answer)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", ("/rollout/", "/operator/", "/exact/", "/by-pattern/", "/by-pattern/deeper/", "/if/"))
def test_every_file_is_served(gateway, place, name):
    if place == "/exact/" and name:
        assert gateway.get(place + name).status == 404
        return
    answer = gateway.get(place + name)
    assert answer.status == 200 and answer.headers["Content-Type"] == FILES[name], answer
    assert len(answer.body) == int(answer.headers["Content-Length"])
    assert answer.headers["Cache-Control"] == "no-cache" and answer.headers["ETag"].startswith('"')
    must_be_secure(answer)


def test_the_page_loads_nothing_from_elsewhere(gateway):
    page = gateway.get("/rollout/").body.decode()
    assert 'href="page.css"' in page and 'src="page.js"' in page
    assert "http://www.w3.org/2000/svg" in page  # a namespace, not an address
    assert "//" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<script>" not in page and "<style" not in page and " style=" not in page and " on" not in page.partition("<body>")[2]


@pytest.mark.parametrize("name", FILES)
def test_compressed_it_is_the_same(gateway, name):
    plain = gateway.get("/rollout/" + name)
    packed = gateway.get("/rollout/" + name, Accept_Encoding="gzip")
    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for answer in (plain, packed):
        assert answer.headers.get_all("Vary") == ["Accept-Encoding"]
    assert gateway.get("/rollout/" + name, Accept_Encoding="gzip;q=0").body == plain.body
    assert gateway.get("/rollout/" + name, Accept_Encoding="gzip", Via="1.1 proxy").body == plain.body  # gzip_proxied is off


def test_nginx_own_gzip_does_not_pack_it_again(gateway):
    packed = gateway.get("/vary/page.js", Accept_Encoding="gzip")
    assert gzip.decompress(packed.body) == gateway.get("/rollout/page.js").body
    assert packed.headers.get_all("Vary") == ["Accept-Encoding"]
    assert packed.headers.get_all("Content-Encoding") == ["gzip"]


@pytest.mark.parametrize("encoding", ("identity", "gzip"))
@pytest.mark.parametrize("name", FILES)
def test_an_etag_saves_the_transfer(gateway, name, encoding):
    first = gateway.get("/rollout/" + name, Accept_Encoding=encoding)
    again = gateway.get("/rollout/" + name, Accept_Encoding=encoding, If_None_Match=first.headers["ETag"])
    assert again.status == 304 and again.body == b"" and again.headers["ETag"] == first.headers["ETag"]
    must_be_secure(again)
    assert gateway.get("/rollout/" + name, Accept_Encoding=encoding, If_None_Match='"other"').status == 200
    assert gateway.get("/rollout/" + name, If_Match='"other"').status == 412


def test_the_etag_stays_over_a_reload(make_gateway):
    gateway = make_gateway(nginx=NGINX).start()
    before = [gateway.get("/rollout/" + name).headers["ETag"] for name in FILES]
    gateway.nginx.reload()
    gateway.await_link()
    assert [gateway.get("/rollout/" + name).headers["ETag"] for name in FILES] == before


@pytest.mark.parametrize("name", [*FILES, "settings.json"])
def test_head_has_the_headers_alone(gateway, name):
    got, asked = gateway.get("/rollout/" + name), gateway.request("HEAD", "/rollout/" + name)
    assert asked.status == 200 and asked.body == b""
    assert {**asked.headers, "Date": ""} == {**got.headers, "Date": ""}


@pytest.mark.parametrize("method", ("POST", "PUT", "DELETE", "OPTIONS"))
@pytest.mark.parametrize("name", [*FILES, "settings.json"])
def test_other_methods_are_refused(gateway, name, method):
    answer = gateway.request(method, "/rollout/" + name, "x" if method in ("POST", "PUT") else None)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("name", ("x", "page.jsx", "page.js.map", "index.html", "..%2fpage", "PAGE.JS", "settings.json/x"))
def test_other_names_are_not_found(gateway, name):
    assert gateway.get("/rollout/" + name).status == 404


def test_without_the_last_slash_it_redirects(gateway):
    answer = gateway.get("/rollout")
    assert answer.status == 301 and answer.headers["Location"].endswith("/rollout/")


@pytest.mark.parametrize("place, api, write", [
    ("/rollout/", "", False), ("/operator/", "/internal/models", True), ("/off/", "", False), ("/if/", "", True), ("/if/?x=1", "", True),
    ("/by-user/", "", False), ("/by-user/?write=", "", False), ("/by-user/?write=0", "", False), ("/by-user/?write=off", "", False),
    ("/by-user/?write=1", "", True), ("/by-user/?write=on", "", True)])
def test_settings_say_what_the_directive_does(gateway, place, api, write):
    path, _, query = place.partition("?")
    answer = gateway.get(f"{path}settings.json?{query}")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"api": api, "write": write, "version": answer.json["version"]}
    assert answer.headers["Cache-Control"] == "no-cache" and "ETag" not in answer.headers
    must_be_secure(answer)


def test_nginx_own_directives_are_in_force(gateway):
    assert gateway.get("/closed/").status == 403 and gateway.get("/closed/settings.json").status == 403
    assert gateway.get("/own/page.js").headers["X-Own"] == "yes"
    assert gateway.get("/own/other").body == b"own"


def test_a_kept_connection_carries_it_all(gateway):
    client = Client(gateway.nginx.port, keep=True)
    for _ in range(3):
        for name in FILES:
            assert client.get("/rollout/" + name).status == 200
        assert client.request("POST", "/rollout/", "x" * 10000).status == 405


def test_http2_carries_it_too(gateway):
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "--compressed", f"http://127.0.0.1:{gateway.nginx.http2_port}/rollout/page.js"],
                          capture_output=True, timeout=DEADLINE_S, check=True)
    assert done.stdout == gateway.get("/rollout/page.js").body


def test_a_client_that_goes_away_harms_nobody(gateway):
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.nginx.port, timeout=DEADLINE_S)
        connection.request("GET", "/rollout/page.js")
        connection.close()
    assert gateway.get("/rollout/").status == 200


def test_it_is_served_without_rolloutd(make_gateway):
    gateway = make_gateway(nginx=NGINX).start()
    gateway.rolloutd.kill()
    assert gateway.get("/rollout/").status == 200 and gateway.get("/rollout/settings.json").status == 200
