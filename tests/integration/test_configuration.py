"""What `nginx -t` and `rolloutd --check` refuse, and how they say it."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from processes import DEADLINE_S, MODULE, NGINX as NGINX_PROGRAM, ROLLOUTD, ROOT, merge, nginx_environment, worker_user

HTTP = "rollout_zone r 1m; rollout_worker unix:/tmp/x.sock;"
API = "server { listen 127.0.0.1:1; location / { rollout_api; } }"


def nginx_t(folder, http, main=""):
    conf = folder / "nginx.conf"
    conf.write_text(f"load_module {MODULE};\n{main}\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{http}\n}}\n")
    return run_nginx_t(conf)


def run_nginx_t(conf):
    done = subprocess.run([NGINX_PROGRAM, "-t", "-c", str(conf), "-e", "stderr"], capture_output=True, text=True, timeout=DEADLINE_S,
                          env={**os.environ, **nginx_environment()})
    return done.returncode, done.stderr


# What else answers a location's requests.
OTHER_HANDLERS = ("proxy_pass http://u", "proxy_pass http://127.0.0.1:1", "fastcgi_pass u", "uwsgi_pass u", "scgi_pass u", "memcached_pass u",
                  "grpc_pass u", "stub_status", "empty_gif", "mp4", "flv")


@pytest.mark.parametrize("http", [
    "",  # the module is loaded and not used
    "rollout_zone r 128k;",
    HTTP, HTTP + API,
    "rollout_zone r 1m state=/tmp/state.json; rollout_worker unix:/tmp/x.sock ack_timeout=2s reconnect=50ms;",
    "rollout_worker unix:/tmp/x.sock; rollout_zone r 1m;",
    "rollout_zone r 1m; rollout_worker unix:/tmp/x.sock max_waiting=1 ack_timeout=2s reconnect=50ms;",
    "rollout_zone r 1m; rollout_worker unix:/tmp/x.sock max_waiting=65536;",
    HTTP + "server { listen 127.0.0.1:1; location /a/ { rollout_api base=/a dialect=embedding_studio identity=off; } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_route $arg_m part=$arg_p key=$arg_k preview=$arg_v; return 200; } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_api; limit_except GET { deny all; } } }",
    "rollout_zone r 1m; server { listen 127.0.0.1:1; location / { rollout_metrics; limit_except GET { deny all; } } }",
    "server { listen 127.0.0.1:1; location / { rollout_route off; } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_route $arg_m; location /a { rollout_route off; } location /b { rollout_api; } } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_route off; rollout_api; } location /m { rollout_api; location /m/m { rollout_metrics; } } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_api; limit_except GET { proxy_pass http://127.0.0.1:1; } } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_api; if ($arg_x) { proxy_pass http://127.0.0.1:1; } } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_metrics; if ($arg_x) { fastcgi_pass 127.0.0.1:1; } } }",
    "server { listen 127.0.0.1:1; location /rollout/ { rollout_page; limit_except GET { deny all; } } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_page write=$remote_user api=/a/b; location /m { rollout_api; } } }",
    HTTP + "server { listen 127.0.0.1:1; location / { rollout_page write=off; if ($arg_x) { proxy_pass http://127.0.0.1:1; } } }",
])
def test_what_is_right_is_taken(tmp_path, http):
    status, said = nginx_t(tmp_path, http)
    assert status == 0, said


@pytest.mark.parametrize("http, said", [
    ("rollout_zone r;", 'invalid number of arguments in "rollout_zone" directive'),
    ("rollout_zone r 1m state=/x more;", 'invalid number of arguments in "rollout_zone" directive'),
    ("rollout_zone r much;", 'invalid zone size "much"'),
    ("rollout_zone r 0;", 'zone "r" is too small, it takes at least 128k'),
    ("rollout_zone r 127k;", 'zone "r" is too small, it takes at least 128k'),
    ('rollout_zone "" 1m;', 'invalid zone name ""'),
    ("rollout_zone r 1m path=/x;", 'invalid parameter "path=/x"'),
    ("rollout_zone r 1m state=;", 'invalid parameter "state="'),
    ("rollout_zone r 1m; rollout_zone s 1m;", '"rollout_zone" directive is duplicate'),
    ("limit_req_zone $uri zone=r:1m rate=1r/s; rollout_zone r 1m;", 'the shared memory zone "r" is already declared'),
    ("rollout_zone r 1m; server { rollout_zone s 1m; }", '"rollout_zone" directive is not allowed here'),
    ("rollout_zone r 1m; rollout_worker;", 'invalid number of arguments in "rollout_worker" directive'),
    ("rollout_zone r 1m; rollout_worker 127.0.0.1:80;", 'invalid address "127.0.0.1:80", it must be "unix:" and a path'),
    ("rollout_zone r 1m; rollout_worker unix:;", 'invalid address "unix:"'),
    ("rollout_zone r 1m; rollout_worker unix:relative;", "its path must be absolute"),
    (f"rollout_zone r 1m; rollout_worker unix:/{'x' * 108};", "under 108 bytes"),
    ("rollout_zone r 1m; rollout_worker unix:/x ack_timeout=never;", 'invalid parameter "ack_timeout=never"'),
    ("rollout_zone r 1m; rollout_worker unix:/x ack_timeout=0;", 'invalid parameter "ack_timeout=0"'),
    ("rollout_zone r 1m; rollout_worker unix:/x reconnect=-1s;", 'invalid parameter "reconnect=-1s"'),
    ("rollout_zone r 1m; rollout_worker unix:/x retry=1s;", 'invalid parameter "retry=1s"'),
    ("rollout_zone r 1m; rollout_worker unix:/x reconnect=1s reconnect=2s;", 'invalid parameter "reconnect=2s"'),
    ("rollout_zone r 1m; rollout_worker unix:/x max_waiting=0;", 'invalid parameter "max_waiting=0"'),
    ("rollout_zone r 1m; rollout_worker unix:/x max_waiting=65537;", 'invalid parameter "max_waiting=65537"'),
    ("rollout_zone r 1m; rollout_worker unix:/x max_waiting=many;", 'invalid parameter "max_waiting=many"'),
    ("rollout_zone r 1m; rollout_worker unix:/x max_waiting=1 max_waiting=2;", 'invalid parameter "max_waiting=2"'),
    (HTTP + "rollout_worker unix:/y;", '"rollout_worker" directive is duplicate'),
    ("rollout_worker unix:/x;", 'no "rollout_zone" is defined for "rollout_worker" in'),
    (API, 'no "rollout_zone" is defined for "rollout_api" in'),
    ("rollout_zone r 1m;" + API, 'no "rollout_worker" is defined for "rollout_api" in'),
    ("server { location / { rollout_route m; } }", 'no "rollout_zone" is defined for "rollout_route" in'),
    (HTTP + "rollout_api;", '"rollout_api" directive is not allowed here'),
    (HTTP + "server { rollout_api; }", '"rollout_api" directive is not allowed here'),
    (HTTP + "server { location / { rollout_api base=x; } }", 'invalid parameter "base=x"'),
    (HTTP + "server { location / { rollout_api base=/x/; } }", 'invalid parameter "base=/x/"'),
    (HTTP + "server { location / { rollout_api base=; } }", 'invalid parameter "base="'),
    (HTTP + "server { location / { rollout_api dialect=klingon; } }", 'invalid parameter "dialect=klingon"'),
    (HTTP + "server { location / { rollout_api identity=maybe; } }", 'invalid parameter "identity=maybe"'),
    (HTTP + "server { location / { rollout_api identity=on identity=off; } }", 'invalid parameter "identity=off"'),
    (HTTP + "server { location / { rollout_api base=/a base=/b; } }", 'invalid parameter "base=/b"'),
    (HTTP + "server { location / { rollout_api; rollout_api; } }", '"rollout_api" directive is duplicate'),
    (HTTP + "server { location / { rollout_api; rollout_route m; } }", "is incompatible with"),
    (HTTP + "server { location / { rollout_route m; rollout_api; } }", "is incompatible with"),
    (HTTP + "server { location / { rollout_route m; rollout_metrics; } }", 'is incompatible with "rollout_route" in one location'),
    (HTTP + "server { location / { rollout_metrics; rollout_route m; } }", 'is incompatible with "rollout_metrics" in one location'),
    (HTTP + "server { location / { rollout_metrics; rollout_api; } }", 'is incompatible with "rollout_metrics" in one location'),
    (HTTP + "server { location / { rollout_api; rollout_metrics; } }", 'is incompatible with "rollout_api" in one location'),
    (HTTP + "server { location / { rollout_metrics; rollout_metrics; } }", "is duplicate"),
    (HTTP + "server { location / { rollout_metrics models; } }", 'invalid number of arguments in "rollout_metrics" directive'),
    (HTTP + "server { location / { rollout_page; rollout_page; } }", "is duplicate"),
    (HTTP + "server { location / { rollout_page; rollout_api; } }", 'is incompatible with "rollout_page" in one location'),
    (HTTP + "server { location / { rollout_page; rollout_route m; } }", 'is incompatible with "rollout_page" in one location'),
    (HTTP + "server { location / { rollout_metrics; rollout_page; } }", 'is incompatible with "rollout_metrics" in one location'),
    *[(HTTP + f"server {{ location / {{ rollout_page {wrong}; }} }}", f'invalid parameter "{wrong.split()[-1]}"')
      for wrong in ("write=", "write=yes", "write=1", "write=on write=off", "api=", "api=/", "api=/a/", "api=a", "api=//a", "api=/a//b", "api=/a?b",
                    "api=/a%2f", "api=http://a", "api=/a api=/b", "read=on", "on")],
    (HTTP + "server { location / { rollout_page write=on api=/a read=on; } }", 'invalid number of arguments in "rollout_page" directive'),
    (HTTP + "server { location / { rollout_page write=$no_such_variable; } }", 'unknown "no_such_variable" variable'),
    (HTTP + "rollout_page;", '"rollout_page" directive is not allowed here'),
    ("server { location / { rollout_metrics; } }", 'no "rollout_zone" is defined for "rollout_metrics"'),
    (HTTP + "server { location / { rollout_route; } }", 'invalid number of arguments in "rollout_route" directive'),
    (HTTP + 'server { location / { rollout_route ""; } }', 'invalid parameter ""'),
    (HTTP + "server { location / { rollout_route m key=; } }", 'invalid parameter "key="'),
    (HTTP + "server { location / { rollout_route m sticky=$uri; } }", 'invalid parameter "sticky=$uri"'),
    (HTTP + "server { location / { rollout_route m key=$uri key=$uri; } }", 'invalid parameter "key=$uri"'),
    (HTTP + "server { location / { rollout_route $no_such_variable; } }", 'unknown "no_such_variable" variable'),
    (HTTP + "server { location / { rollout_route m; rollout_route n; } }", '"rollout_route" directive is duplicate'),
    (HTTP + "server { location / { rollout_route m; rollout_route off; } }", '"rollout_route" directive is duplicate'),
    (HTTP + "server { location / { rollout_route off; rollout_route m; } }", '"rollout_route" directive is duplicate'),
    (HTTP + "server { location / { rollout_route off; rollout_route off; } }", '"rollout_route" directive is duplicate'),
    (HTTP + "server { location / { rollout_route off key=x; } }", 'invalid parameter "key=x"'),
    (HTTP + "rollout_route m;", '"rollout_route" directive is not allowed here'),
    (HTTP + "server { rollout_route m; }", '"rollout_route" directive is not allowed here'),
    *[(HTTP + f"server {{ location / {{ {block} {{ {directive}; }} }} }}", f'"{directive.split()[0]}" directive is not allowed here')
      for block in ("if ($arg_x)", "limit_except GET") for directive in ("rollout_api", "rollout_route m", "rollout_route off", "rollout_metrics", "rollout_page")],
    *[(HTTP + f"upstream u {{ server 127.0.0.1:1; }} server {{ location / {{ {pair} }} }}", f'"{ours.split()[0]}" directive is incompatible with another')
      for ours in ("rollout_api", "rollout_api base=/x dialect=embedding_studio", "rollout_metrics", "rollout_page write=on") for other in OTHER_HANDLERS
      for pair in (f"{ours}; {other};", f"{other}; {ours};")],
])
def test_what_is_wrong_is_refused_with_its_line(tmp_path, http, said):
    status, text = nginx_t(tmp_path, http)
    assert status == 1
    assert "[emerg]" in text and said in text, text
    if "no_such_variable" not in http:  # nginx looks at variables when all is read
        assert re.search(r"nginx\.conf:\d+", text), text


@pytest.mark.skipif(os.geteuid() != 0, reason="worker processes are of another user if nginx is root's")
@pytest.mark.parametrize("mode, warns", [(0o777, False), (0o755, True), (None, True)])
def test_a_state_file_that_cannot_be_written_is_said(mode, warns):
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        folder = pathlib.Path(home) / "state"
        if mode is not None:
            folder.mkdir()
            folder.chmod(mode)
        status, said = nginx_t(pathlib.Path(home), f"rollout_zone r 1m state={folder}/routes.json;", f"user {worker_user()};")
        assert status == 0 and ("[warn]" in said and f'state file "{folder}/routes.json" of rollout_zone cannot be written' in said) == warns, said
        assert not warns or f'user "{worker_user()}"' in said


@pytest.mark.skipif(os.geteuid() != 0, reason="worker processes are of another user if nginx is root's")
@pytest.mark.parametrize("mode, folder_mode, warns", [(0o666, 0o755, False), (0o660, 0o755, True), (0o666, 0o700, True), (None, 0o755, False)])
def test_a_socket_that_is_closed_to_the_worker_processes_is_said(mode, folder_mode, warns):
    with tempfile.TemporaryDirectory() as home, socket.socket(socket.AF_UNIX) as listener:
        path = pathlib.Path(home) / "rolloutd.sock"
        if mode is not None:
            listener.bind(str(path))
            path.chmod(mode)
        os.chmod(home, folder_mode)
        status, said = nginx_t(pathlib.Path(home), f"rollout_zone r 1m; rollout_worker unix:{path};", f"user {worker_user()};")
        assert status == 0 and ("[warn]" in said and f'may not connect to "unix:{path}"' in said) == warns, said
        assert not warns or "listen.allow_users" in said


def test_a_zone_too_small_for_so_many_worker_processes_is_refused(tmp_path):
    status, text = nginx_t(tmp_path, "rollout_zone r 128k;", "worker_processes 512;")
    assert status == 1 and 'rollout_zone "r" is too small for 512 worker processes' in text, text
    assert nginx_t(tmp_path, "rollout_zone r 2m;", "worker_processes 512;")[0] == 0


@pytest.mark.parametrize("folder", ["conf", "conf/embedding-studio", "conf/vllm"])
def test_the_examples_work_as_they_stand(tmp_path, folder):
    conf = (ROOT / folder / "nginx.conf").read_text().replace("modules/ngx_http_rollout_module.so", str(MODULE))
    conf = conf.replace("/run/nginx.pid", f"{tmp_path}/nginx.pid").replace("/var/log/nginx", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(conf)
    status, said = run_nginx_t(tmp_path / "nginx.conf")
    assert status == 0, said
    done = check(ROOT / folder / "rolloutd.json")
    assert done.returncode == 0, done.stderr
    assert "the configuration is good" in done.stdout


# rolloutd.json

LEAST = {"listen": {"path": "/tmp/x.sock"}, "journal": {"path": "/tmp/x.db"},
         "backends": {"default": {"url": "http://127.0.0.1:8000", "repository": "/tmp/repository"}}}

# The contract's own example, with all that this version knows.
WHOLE = {
    "listen": {"path": "/run/rollout/rolloutd.sock", "mode": "0660", "allow_users": ["root"]},
    "journal": {"type": "sqlite", "path": "/var/lib/rollout/journal.db", "retain_days": 30},
    "limits": {"max_deployed_models": 100, "max_concurrent_rollouts": 4, "max_queue": 100000, "time_limit_s": 18000, "retries": 3},
    "artifacts": {"source": "file:///srv/models/{model_id}", "allow": ["file:///srv/models/", "https://models.example.com/"],
                  "max_bytes": 53687091200, "max_files": 10000},
    "backends": {"default": {"type": "triton", "url": "http://127.0.0.1:8000", "control": "explicit", "upstream": "inference",
                             "repository": "/var/lib/rollout/repository", "model_name": "{model_id}__r{revision}"}},
    "rollout": {
        "ready_timeout_s": 600,
        "smoke": {"request": {"inputs": []}, "timeout_s": 30, "repeat": 1},
        "steps": [{"weight": 5, "hold_s": 30}, {"weight": 25, "hold_s": 60}, {"weight": 100, "hold_s": 60}],
        "gate": {"min_requests": 50, "max_error_rate": 0.01, "max_p99_ms": 500, "max_error_ratio_to_blue": 2.0},
        "old": "delete", "drain_s": 30,
    },
}


def check(file):
    return subprocess.run([ROLLOUTD, "--config", str(file), "--check"], capture_output=True, text=True, timeout=DEADLINE_S)


def checked(folder, config):
    file = folder / "rolloutd.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return check(file)


def test_a_journal_in_etcd_needs_the_program_that_has_its_client(tmp_path):
    config = {**LEAST, "journal": {"path": str(tmp_path / "replica.db"), "type": "etcd", "etcd": {"endpoints": ["http://127.0.0.1:2379"]}}}
    alone = tmp_path / "rolloutd"
    shutil.copy(ROLLOUTD, alone)
    (tmp_path / "rolloutd.json").write_text(json.dumps(config))

    def checked_alone():
        return subprocess.run([alone, "--config", str(tmp_path / "rolloutd.json"), "--check"], capture_output=True, text=True, timeout=DEADLINE_S)

    done = checked_alone()
    assert done.returncode == 1
    assert f"/journal/type: the client of etcd is a program of its own, and {tmp_path}/rolloutd-etcd cannot be started: No such file or directory. " \
           "Install the package rolloutd-etcd" in done.stderr
    with_client = ROLLOUTD.with_name("rolloutd-etcd")
    if not with_client.exists():
        pytest.skip("built without the client of etcd")
    (tmp_path / "rolloutd-etcd").symlink_to(with_client)
    done = checked_alone()
    assert done.returncode == 0 and "the configuration is good" in done.stdout, done.stderr


PROGRAM = {"type": "command", "command": ["/usr/local/bin/serve"], "upstream": "inference", "staging": "/srv/staging"}
SMOKE = {"request": {"inputs": []}}


@pytest.mark.parametrize("config", [LEAST, WHOLE], ids=["the least", "the contract's example"])
def test_a_right_configuration_is_good(tmp_path, config):
    done = checked(tmp_path, config)
    assert done.returncode == 0, done.stderr


def test_a_whole_number_is_whole_however_it_is_written(tmp_path):
    config = json.dumps(WHOLE)
    for old, new in (('"drain_s": 30', '"drain_s": 30.0'), ('"retain_days": 30', '"retain_days": 3e1'), ('"weight": 25', '"weight": 25.0')):
        assert old in config
        config = config.replace(old, new)
    done = checked(tmp_path, config)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("changes, pointer", [
    ({"listen": None}, "/listen"), ({"listen": {"path": None}}, "/listen/path"), ({"listen": {"path": "relative"}}, "/listen/path"),
    ({"listen": {"path": "/" + "x" * 108}}, "/listen/path"), ({"listen": {"mode": "0999"}}, "/listen/mode"),
    ({"listen": {"mode": 660}}, "/listen/mode"), ({"listen": {"allow_users": ["no-such-user-here"]}}, "/listen/allow_users/0"),
    ({"listen": {"port": 80}}, "/listen/port"),
    ({"journal": None}, "/journal"), ({"journal": {"path": 5}}, "/journal/path"), ({"journal": {"type": "redis"}}, "/journal/type"),
    ({"journal": {"type": "etcd"}}, "/journal/etcd"), ({"journal": {"type": "etcd", "etcd": {"endpoints": ["ftp://x"]}}}, "/journal/etcd/endpoints"),
    ({"journal": {"type": "etcd", "etcd": {"endpoints": ["http://127.0.0.1:2379"], "prefix": "x"}}}, "/journal/etcd/prefix"),
    ({"journal": {"retain_days": 0}}, "/journal/retain_days"), ({"journal": {"x/y": 1}}, "/journal/x~1y"),
    ({"limits": {"max_queue": -1}}, "/limits/max_queue"), ({"limits": {"max_unwritten": 0}}, "/limits/max_unwritten"), ({"limits": {"retries": 1.5}}, "/limits/retries"),
    ({"limits": {"max_concurrent_rollouts": "4"}}, "/limits/max_concurrent_rollouts"), ({"limits": []}, "/limits"),
    ({"limits": {"time_limit_s": 0}}, "/limits/time_limit_s"), ({"limits": {"max_tasks": 1}}, "/limits/max_tasks"),
    ({"artifacts": {"source": "file:///srv/{nothing}"}}, "/artifacts/source"), ({"artifacts": {"allow": "file:///srv/"}}, "/artifacts/allow"),
    ({"artifacts": {"allow": [5]}}, "/artifacts/allow/0"), ({"artifacts": {"max_bytes": 0}}, "/artifacts/max_bytes"),
    ({"backends": None}, "/backends"), ({"backends": {"default": None}}, "/backends"),
    ({"backends": {"default": {"url": None}}}, "/backends/default/url"), ({"backends": {"default": {"url": "unix:/x"}}}, "/backends/default/url"),
    ({"backends": {"default": {"type": "magic"}}}, "/backends/default/type"),
    ({"backends": {"default": {"repository": "here"}}}, "/backends/default/repository"),
    ({"backends": {"default": {"repository": None}}}, "/backends/default/repository"),
    ({"backends": {"default": {"model_name": "{model}"}}}, "/backends/default/model_name"),
    ({"backends": {"default": {"color": "red"}}}, "/backends/default/color"),
    ({"rollout": {"steps": [{"weight": 101}]}}, "/rollout/steps/0/weight"),
    ({"rollout": {"steps": [{"weight": 50}, {"weight": 50}]}}, "/rollout/steps/1/weight"),
    ({"rollout": {"gate": {"max_error_rate": 2}}}, "/rollout/gate/max_error_rate"), ({"rollout": {"old": "burn"}}, "/rollout/old"),
    ({"rollout": {"smoke": {"timeout_s": 5}}}, "/rollout/smoke/request"), ({"rollout": {"drain_s": None, "drains": 5}}, "/rollout/drains"),
    ({"backends": {"program": PROGRAM}, "rollout": {"smoke": SMOKE}}, "/rollout/smoke"),
    ({"backends": {"program": PROGRAM}, "models": {"m": {"backend": "program", "rollout": {"smoke": SMOKE}}}}, "/models/m/rollout/smoke"),
    ({"colour": "red"}, "/colour"),
])
def test_a_fault_is_named_with_its_pointer(tmp_path, changes, pointer):
    config = json.loads(json.dumps(LEAST))
    merge(config, changes)
    done = checked(tmp_path, config)
    assert done.returncode == 1
    assert any(f"rolloutd.json: {pointer}: " in line for line in done.stderr.splitlines()), done.stderr


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system than the repository is on."""
    folder = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        if folder.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("this machine has one file system")
        yield folder
    finally:
        shutil.rmtree(folder)


def apart(tmp_path, elsewhere):
    (tmp_path / "repository").mkdir()
    config = json.loads(json.dumps(LEAST))
    merge(config, {"backends": {"default": {"repository": str(tmp_path / "repository"), "staging": str(elsewhere / "staging")}}})
    return config


def test_a_staging_folder_that_nothing_can_come_from_is_named(tmp_path, elsewhere):
    done = checked(tmp_path, apart(tmp_path, elsewhere))
    assert done.returncode == 1 and "good" not in done.stdout
    said = next(line for line in done.stderr.splitlines() if "/backends/default/staging: " in line)
    assert "are on different file systems" in said and 'set the backend\'s member "staging"' in said
    assert list(elsewhere.iterdir()) == list((tmp_path / "repository").iterdir()) == []
    (tmp_path / "repository").rmdir()  # the server may make it yet
    assert checked(tmp_path, {**LEAST, "backends": {"default": {**LEAST["backends"]["default"], "repository": str(tmp_path / "repository")}}}).returncode == 0


def test_a_deployment_to_where_nothing_can_come_fails_before_it_fetches(make_gateway, elsewhere):
    gateway = make_gateway(rolloutd={"backends": {"default": {"staging": str(elsewhere / "staging")}}, "artifacts": {"require_sha256": False}})
    (gateway.home / "repository").mkdir(exist_ok=True)
    gateway.start()
    assert any("/backends/default/staging: " in line["message"] for line in gateway.rolloutd.lines() if line["level"] == "error")
    gateway.make_model("m", "x")
    task = gateway.deploy("m", "failed")
    fetch = next(step for step in task["metadata"]["steps"] if step["name"] == "fetch")
    assert fetch["state"] == "failed" and fetch["attempts"] == 1 and "are on different file systems" in task["detail"]
    assert list(elsewhere.iterdir()) == []


def test_every_fault_is_reported_at_once(tmp_path):
    done = checked(tmp_path, {"listen": {"path": "x"}, "journal": {"path": "y"}, "backends": {}, "limits": {"retries": -1}, "more": 1})
    assert done.returncode == 1
    for pointer in ("/listen/path", "/journal/path", "/backends", "/limits/retries", "/more"):
        assert f": {pointer}: " in done.stderr, done.stderr


@pytest.mark.parametrize("text, said", [("", "not JSON"), ("{", "not JSON"), ("[]", "must be an object"), ('{"a": 1, "a": 2}', "not JSON")])
def test_what_is_no_json_object_is_said_so(tmp_path, text, said):
    done = checked(tmp_path, text)
    assert done.returncode == 1 and said in done.stderr


@pytest.mark.parametrize("name, why", [("nothing.json", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_said_so(tmp_path, name, why):
    done = check(tmp_path / name)
    assert done.returncode == 1 and str(tmp_path / name) in done.stderr and f"cannot be read: {why}" in done.stderr


def test_rolloutd_does_not_start_with_a_fault(tmp_path):
    file = tmp_path / "rolloutd.json"
    file.write_text("{}")
    done = subprocess.run([ROLLOUTD, "--config", str(file)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 78 and "/listen" in done.stderr
    done = subprocess.run([ROLLOUTD, "--colour", "red"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 78 and "--config" in done.stderr


@pytest.mark.parametrize("spoil, said, status", [
    (lambda folder: (folder / "j.db").write_bytes(b"this is no database, but long enough to be looked at" * 40), "j.db", 78),
    (lambda folder: (folder / "j.db").mkdir(), "j.db", 1),
    (lambda folder: subprocess.run(["/usr/bin/python3", "-c", f"import sqlite3; d = sqlite3.connect('{folder}/j.db'); "
                                    "d.execute('CREATE TABLE t (x)'); d.commit()"], check=True), "is not a journal of rolloutd", 78),
])
def test_a_journal_that_is_none_stops_the_start_and_stays_as_it_is(tmp_path, spoil, said, status):
    spoil(tmp_path)
    config = {**LEAST, "listen": {"path": f"{tmp_path}/s.sock"}, "journal": {"path": f"{tmp_path}/j.db"}}
    before = (tmp_path / "j.db").read_bytes() if (tmp_path / "j.db").is_file() else None
    file = tmp_path / "rolloutd.json"
    file.write_text(json.dumps(config))
    done = subprocess.run([ROLLOUTD, "--config", str(file)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == status and "rolloutd cannot start" in done.stderr and said in done.stderr, done.stderr
    if before is not None:
        assert (tmp_path / "j.db").read_bytes() == before


def test_what_may_not_work_is_said_and_is_no_fault(tmp_path):
    missing = tmp_path / "missing"
    (tmp_path / "models").mkdir()
    (tmp_path / "repository").mkdir()
    backend = {"url": "http://127.0.0.1:8000", "repository": str(tmp_path / "repository")}
    good = {"listen": {"path": str(tmp_path / "x.sock")}, "journal": {"path": str(tmp_path / "x.db")},
            "artifacts": {"source": f"file://{tmp_path}/models/{{model_id}}"}, "backends": {"default": backend}}
    for change, warning in [
            ({}, None),
            ({"journal": {"path": str(missing / "x.db")}}, "/journal/path: the folder"),
            ({"listen": {"path": str(missing / "x.sock")}}, "/listen/path: the folder"),
            ({"artifacts": {"source": f"file://{missing}/{{model_id}}"}}, "/artifacts/source: the folder"),
            ({"artifacts": {"source": f"file://{tmp_path}/models/{{model_id}}", "allow": ["file:///srv/others/"]}},
             "is under none of artifacts.allow"),
            ({"backends": {"default": {**backend, "repository": str(missing)}}}, "/backends/default/repository: the folder"),
            ({"backends": {"default": backend, "other": {**backend, "url": "http://127.0.0.1:9000"}}}, "is that of backend default too"),
            ({"backends": {"default": {"type": "command", "command": [str(missing)], "upstream": "u", "staging": str(tmp_path)}}},
             "/backends/default/command: "),
            ({"rollout": {"steps": [{"weight": 5, "hold_s": 20000}, {"weight": 100}]}}, "limits.time_limit_s"),
            ({"rollout": {"gate": {"max_error_rate": 0.1}}}, "/rollout: The gate judges nothing"),
            ({"rollout": {"steps": [{"weight": 5, "hold_s": 30}], "gate": {"max_error_rate": 0}}}, "/rollout: gate.max_error_rate is 0"),
            ({"models": {"m": {"rollout": {"gate": {"max_error_rate": 0.1}}}}}, "/models/m/rollout: The gate judges nothing")]:
        path = tmp_path / "rolloutd.json"
        path.write_text(json.dumps({**good, **change}))
        done = check(path)
        assert done.returncode == 0, (change, done.stderr)
        if warning is None:
            assert done.stdout.endswith("the configuration is good\n") and done.stderr == ""
        else:
            assert warning in done.stderr and "the configuration is good, with " in done.stdout, (change, done)
