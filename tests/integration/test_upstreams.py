"""A backend's name on nginx's side: what a gateway cannot reach is said before any traffic goes there."""

import json

import pytest

import link
from gateway import Traffic
from processes import LOCATIONS, wait_until
from test_configuration import LEAST, checked


def backend(**settings):
    return {"backends": {"default": settings}}


def refused(gateway, model, status="refused"):
    """Why a deployment of the model was refused."""
    gateway.make_model(model, "green")
    task = gateway.deploy(model, status)
    assert task["metadata"]["traffic_weight"] == 0
    return task["detail"]


def test_a_host_name_without_an_upstream_block_is_refused_before_anything_is_loaded(make_gateway):
    gateway = make_gateway()
    gateway.rolloutd.config["backends"]["default"] |= {"url": f"http://localhost:{gateway.inference.port}", "upstream": None}
    del gateway.rolloutd.config["backends"]["default"]["upstream"]
    gateway.start()
    upstream = f"localhost:{gateway.inference.port}"
    detail = refused(gateway, "m")
    assert f'no upstream block "{upstream}"' in detail and "no resolver" in detail, detail
    assert f"upstream inference {{ server {upstream}; }}" in detail and "nginx.conf" in detail and "rolloutd.json" in detail
    gateway_id = next(line["gateway"] for line in gateway.rolloutd.lines() if line["message"] == "A worker process of nginx is linked")
    assert gateway_id in detail
    assert gateway.loaded() == [] and gateway.files() == []


@pytest.mark.parametrize("upstream", ["elsewhere", "elsewhere:80", "inference:80", "example.com", "inference2"])
def test_a_block_that_nginx_does_not_have_is_refused(make_gateway, upstream):
    gateway = make_gateway(rolloutd=backend(upstream=upstream)).start()
    assert f'no upstream block "{upstream}"' in refused(gateway, "m")


@pytest.mark.parametrize("upstream", ["inference", "INFERENCE", "127.0.0.1:{port}", "[::1]:{port}", "localhost:{port}", "implicit"])
def test_what_nginx_can_reach_is_good(make_gateway, upstream):
    gateway = make_gateway()
    upstream = upstream.replace("{port}", str(gateway.inference.port))
    gateway.rolloutd.config["backends"]["default"]["upstream"] = upstream
    # What another proxy_pass names, nginx knows as well.
    gateway.nginx.pieces["http"] = f"""
        upstream implicit {{ server 127.0.0.1:{gateway.inference.port}; }}
        server {{ listen unix:{gateway.home}/other.sock; location / {{ proxy_pass http://localhost:{gateway.inference.port}; }} }}
    """
    gateway.start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    assert upstream.startswith("[") or gateway.infer("m") == "blue", gateway.last  # the test server has no IPv6


def test_a_resolver_may_find_what_no_block_names(make_gateway):
    gateway = make_gateway(rolloutd=backend(upstream="no-such-host.invalid:80"), nginx={"http": "resolver 127.0.0.1:1;"}).start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")  # what it finds is its own


def test_a_gateway_that_goes_to_a_fixed_place_is_not_asked(make_gateway):
    gateway = make_gateway(rolloutd=backend(upstream="elsewhere"),
                           nginx={"locations": LOCATIONS.replace("http://$rollout_upstream", "http://inference")}).start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    assert gateway.infer("m") == "blue"


def test_blue_serves_on_when_green_would_go_where_no_gateway_can(make_gateway):
    gateway = make_gateway()
    config = gateway.rolloutd.config["backends"]
    config["other"] = config["default"] | {"upstream": "elsewhere"}
    gateway.start()
    gateway.serve_blue("m")
    with Traffic(gateway, "m") as traffic:
        task = gateway.deploy("m", "refused", backend="other")
        assert 'no upstream block "elsewhere"' in task["detail"]
        traffic.await_answers("blue")
    assert not traffic.failures and set(traffic.answers) == {"blue"}
    gateway.deploy("m")
    assert gateway.infer("m") == "green"


def test_a_block_that_a_reload_brings_is_known(make_gateway):
    gateway = make_gateway(rolloutd=backend(upstream="later")).start()
    assert 'no upstream block "later"' in refused(gateway, "m")
    gateway.nginx.write(http=f"upstream later {{ server 127.0.0.1:{gateway.inference.port}; }}")
    gateway.nginx.reload()
    gateway.await_link()
    gateway.deploy("m")
    assert gateway.infer("m") == "green"


def test_one_gateway_of_several_that_lacks_it_is_named(make_gateway):
    gateway = make_gateway().start()
    for upstreams, status in ((["other"], "refused"), (["other", "Inference"], "completed"), (None, "completed"), ("nonsense", "completed"),
                              ([], "refused"), ([7, None], "refused")):
        other = link.Gateway(gateway.rolloutd.socket, hello=False)
        hello = {"type": "hello", "protocol": link.PROTOCOL, "pid": 7, "gateway": "another", "journal": "", "revision": 0}
        other.send(hello | ({} if upstreams is None else {"upstreams": upstreams}))
        assert other.receive_type("welcome")
        if status == "refused":
            detail = refused(gateway, f"m{upstreams}".translate({ord(c): "-" for c in "[]', "}))
            assert "gateway another, worker process 7" in detail, detail
        other.send({"type": "bye"})
        assert other.receive_type("end of the link") is None
        other.close()
    gateway.make_model("m", "blue")
    gateway.deploy("m")


def test_what_is_routed_to_a_place_that_a_new_gateway_lacks_is_said(make_gateway):
    gateway = make_gateway().start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    gateway.nginx.stop()
    since = len(gateway.rolloutd.text())
    text = gateway.nginx.conf.read_text().replace("upstream inference", "upstream renamed")
    gateway.nginx.write = lambda **_: gateway.nginx.conf.write_text(text)
    gateway.nginx.start()
    said = wait_until(lambda: [line for line in gateway.rolloutd.lines(since) if line["level"] == "warning"], "the warning")[0]["message"]
    assert 'no upstream block "inference"' in said and "502" in said, said


def test_check_warns_of_a_host_that_is_no_upstream(tmp_path):
    config = json.loads(json.dumps(LEAST))
    for url, warns in (("http://localhost:8000", True), ("http://triton.example:8000/", True), ("http://127.0.0.1:8000", False), ("http://[::1]:8000", False)):
        config["backends"]["default"]["url"] = url
        done = checked(tmp_path, config)
        assert done.returncode == 0 and "the configuration is good" in done.stdout
        assert ("/backends/default/upstream: " in done.stderr) == warns, done.stderr
        assert ("upstream inference { server" in done.stderr) == warns
        config["backends"]["default"]["upstream"] = "inference"
        assert "upstream" not in checked(tmp_path, config).stderr
        del config["backends"]["default"]["upstream"]


def test_several_servers_that_nginx_would_take_out_are_said(make_gateway):
    """A bad green must not take blue's servers away."""
    gateway = make_gateway(rolloutd=backend(upstream="two"))
    port = gateway.inference.port
    gateway.nginx.pieces["http"] = f"upstream two {{ server 127.0.0.1:{port}; server localhost:{port}; }}"
    gateway.start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    assert 'upstream "two" has several servers with max_fails' in gateway.nginx.errors()


@pytest.mark.parametrize("servers", ["server 127.0.0.1:{port};", "server 127.0.0.1:{port} max_fails=0; server 127.0.0.1:{port} max_fails=0;"])
def test_servers_that_nginx_keeps_are_not(make_gateway, servers):
    gateway = make_gateway(rolloutd=backend(upstream="two"))
    gateway.nginx.pieces["http"] = f"upstream two {{ {servers.replace('{port}', str(gateway.inference.port))} }}"
    gateway.start()
    gateway.make_model("m", "blue")
    gateway.deploy("m")
    assert "max_fails" not in gateway.nginx.errors()
