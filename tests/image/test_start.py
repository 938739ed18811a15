"""What the image is given at its start: environment, templates and files. What is wrong ends it with one line that says which."""

import json
import os
import pathlib

import pytest

from container import USER, Container
from gateway import Client
from processes import free_port, wait_until

@pytest.fixture
def starts(image, tmp_path):
    """Starts containers with files of the test's: {path inside: text}, or a folder where there is no text. A file goes in with its
    folder, as buildah leaves an empty one where there was none; but for nginx.conf, which there is."""
    started = []
    tmp_path.chmod(0o755)

    def start(role, environment=None, files=None, output="output", writable=False):
        volumes = {}
        for path, text in (files or {}).items():
            inside = pathlib.PurePath(path)
            folder = tmp_path / f"files{len(started)}" / inside.parent.relative_to("/")
            folder.mkdir(parents=True, exist_ok=True)
            if text is None:
                (folder / inside.name).mkdir()
                if writable:
                    os.chown(folder / inside.name, USER, USER)
            else:
                (folder / inside.name).write_text(text)
            alone = text is None or inside.name == "nginx.conf"
            volumes[path if alone else str(inside.parent)] = folder / inside.name if alone else folder
        one = Container(image, tmp_path, f"{role}{len(started)}", role, environment or {}, volumes)
        started.append(one)
        return one.start(output)

    yield start
    for one in started:
        if one.running():
            one.stop()


def refusal(one):
    """The one line that it said."""
    assert one.wait() == 1, one.text()
    (line,) = one.text().splitlines()
    assert line.startswith("rollout: "), line
    return line.removeprefix("rollout: ")


@pytest.mark.parametrize("role, name, value, words", [
    ("gateway", "ROLLOUT_PORT", "80000", "ROLLOUT_PORT is 80000; it must be a number from 1 to 65535"),
    ("nginx", "ROLLOUT_PORT", "http", 'ROLLOUT_PORT is "http"; it must be a number from 1 to 65535'),
    ("gateway", "ROLLOUT_PORT", "tcp://10.96.0.7:80", 'ROLLOUT_PORT is "tcp://10.96.0.7:80", which Kubernetes makes of a Service named rollout: '
     "the pod needs enableServiceLinks: false, or a ROLLOUT_PORT of its own"),
    ("rolloutd", "ROLLOUT_MAX_MODELS", "-1", 'ROLLOUT_MAX_MODELS is "-1"; it must be a number from 0 to 1000000'),
    ("rolloutd", "ROLLOUT_MAX_CONCURRENT", "1001", "ROLLOUT_MAX_CONCURRENT is 1001; it must be a number from 0 to 1000"),
    ("rolloutd", "ROLLOUT_DRAIN_S", "1e3", 'ROLLOUT_DRAIN_S is "1e3"; it must be a number from 0 to 31536000'),
    ("rolloutd", "ROLLOUT_CONTROL", "none", 'ROLLOUT_CONTROL is "none"; it must be explicit or poll, as the server\'s --model-control-mode'),
    ("gateway", "ROLLOUT_INFERENCE", "http://triton:8000", 'ROLLOUT_INFERENCE is "http://triton:8000"; it must be the inference server\'s HOST:PORT'),
    ("rolloutd", "ROLLOUT_INFERENCE", "h:99999", 'ROLLOUT_INFERENCE is "h:99999"; its port must be a number from 1 to 65535'),
    ("gateway", "ROLLOUT_INFERENCE", "triton:8000\n; evil", 'ROLLOUT_INFERENCE is "triton:8000 ; evil"; it must be '),
    ("rolloutd", "ROLLOUT_INFERENCE", "h:8000 h:99999", 'ROLLOUT_INFERENCE is "h:8000 h:99999"; its port must be a number from 1 to 65535'),
    ("rolloutd", "ROLLOUT_INFERENCE", "h:8000,g:8000", 'ROLLOUT_INFERENCE is "h:8000,g:8000"; it must be the inference server\'s HOST:PORT, or several with spaces between'),
    ("rolloutd", "ROLLOUT_INFERENCE", "h:8000 h:8000", "rolloutd refuses its configuration: /tmp/rolloutd.json: /backends/default/servers/1/url: "),
    ("rolloutd", "ROLLOUT_MIN_SERVERS", "0", 'ROLLOUT_MIN_SERVERS is "0"; it must be all, a number of servers, or a percentage of them'),
    ("nginx", "ROLLOUT_INFERENCE", "127.0.0.1:8000 no-such-host.invalid:8000", "nginx refuses its configuration, where ROLLOUT_INFERENCE is "
     "127.0.0.1:8000 no-such-host.invalid:8000: host not found in upstream \"no-such-host.invalid:8000\""),
    ("nginx", "ROLLOUT_ALLOW", "10.0.0.0/8,all;", 'ROLLOUT_ALLOW has "10.0.0.0/8,all;"; it must be addresses and networks'),
    ("nginx", "ROLLOUT_ALLOW", "::1 10.0.0.0/33", 'ROLLOUT_ALLOW has "10.0.0.0/33"; it must be addresses and networks'),
    ("nginx", "ROLLOUT_ALLOW", "fd00::/129", 'ROLLOUT_ALLOW has "fd00::/129"; it must be addresses and networks'),
    ("nginx", "ROLLOUT_METRICS_ALLOW", "10.0.0.256", 'ROLLOUT_METRICS_ALLOW has "10.0.0.256"; it must be addresses and networks'),
    ("nginx", "ROLLOUT_METRICS_ALLOW", "*", 'ROLLOUT_METRICS_ALLOW has "*"; it must be addresses and networks'),
    ("nginx", "NGINX_ENVSUBST_FILTER", "(", 'NGINX_ENVSUBST_FILTER is "("; it must be a regular expression'),
    ("nginx", "ROLLOUT_ZONE", "lots", 'ROLLOUT_ZONE is "lots"; it must be a size for shared memory from 128k to 65536m'),
    ("nginx", "ROLLOUT_ZONE", "127K", "ROLLOUT_ZONE is 127K; it must be a size for shared memory from 128k to 65536m"),
    ("nginx", "ROLLOUT_ZONE", "65537m", "ROLLOUT_ZONE is 65537m; it must be a size for shared memory from 128k to 65536m"),
    ("nginx", "ROLLOUT_INFERENCE", "no-such-host.invalid:8000",
     'nginx refuses its configuration, where ROLLOUT_INFERENCE is no-such-host.invalid:8000: host not found in upstream "no-such-host.invalid:8000"'),
    ("nginx", "ROLLOUT_INFERENCE", "[::::]:80", "nginx refuses its configuration, where ROLLOUT_INFERENCE is [::::]:80: "),
    ("rolloutd", "ROLLOUT_SOURCE", 'file:///x", "y": "', "ROLLOUT_SOURCE is "),
    ("rolloutd", "ROLLOUT_SOURCE", "file:///srv/{nobody}", "rolloutd refuses its configuration: /tmp/rolloutd.json: /artifacts/source: "),
    ("rolloutd", "ROLLOUT_JOURNAL", "/etc/journal.db", "ROLLOUT_JOURNAL is /etc/journal.db, but user 10001 cannot write into /etc"),
    ("rolloutd", "ROLLOUT_REPOSITORY", "/usr/models", "ROLLOUT_REPOSITORY is /usr/models, but user 10001 cannot write into /usr/models"),
    ("rolloutd", "ROLLOUT_REPOSITORY", "/etc/nginx/conf.d", "ROLLOUT_REPOSITORY is /etc/nginx/conf.d, but user 10001 cannot write into "
     "/etc/nginx/conf.d.staging, where files are prepared: mount the volume at /etc/nginx, and not at the repository itself"),
    ("nginx", "ROLLOUT_STATE", "/usr/routes.json", "ROLLOUT_STATE is /usr/routes.json, but user 10001 cannot write into /usr: "),
    ("rolloutd", "ROLLOUT_SOCKET", "rolloutd.sock", 'ROLLOUT_SOCKET is "rolloutd.sock"; it must be the absolute path of rolloutd\'s socket'),
    ("rolloutd", "ROLLOUT_ETCD", "10.0.0.1:2379", 'ROLLOUT_ETCD is "10.0.0.1:2379"; it must be etcd\'s members, as https://10.0.0.1:2379, with spaces between'),
    ("nginx", "ROLLOUT_ETCD", "https://a:2379,https://b:2379", 'ROLLOUT_ETCD is "https://a:2379,https://b:2379"; it must be etcd\'s members'),
    ("rolloutd", "ROLLOUT_ETCD", "https://a:2379 https://b:72379", 'https://b:72379"; its port must be a number from 1 to 65535'),
    ("rolloutd", "ROLLOUT_ETCD_INSECURE", "yes", 'ROLLOUT_ETCD_INSECURE is "yes"; it must be on or off'),
    ("rolloutd", "ROLLOUT_ETCD_HOST", "a b", 'ROLLOUT_ETCD_HOST is "a b"; it must be this host\'s name in the cluster'),
    ("rolloutd", "ROLLOUT_ETCD_PREFIX", "rollout", 'ROLLOUT_ETCD_PREFIX is "rollout"; it must be what the names of all keys begin with, as /rollout/default/'),
    ("rolloutd", "ROLLOUT_ETCD_KEY_FILE", "host.key", 'ROLLOUT_ETCD_KEY_FILE is "host.key"; it must be the absolute path of the key of ROLLOUT_ETCD_CERT_FILE'),
    ("nginx", "NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/other", "/etc/nginx/other/default.conf cannot be written by user 10001, and "),
], ids=lambda value: value if isinstance(value, str) and value.isupper() else None)
def test_a_wrong_variable_is_named(starts, role, name, value, words):
    assert words in refusal(starts(role, {name: value}))


@pytest.mark.parametrize("role, files, words", [
    ("nginx", {"/etc/nginx/templates/site.conf.template": "server { listen ${ROLLOUT_PORT}; return 200 $GREETING; }"},
     "/etc/nginx/templates/site.conf.template, line 1: GREETING is not set in the environment"),
    ("nginx", {"/etc/nginx/templates/site.conf.template": "\nserver { listen 8080; greet; }\n"},
     'nginx refuses its configuration: unknown directive "greet" in /etc/nginx/conf.d/site.conf:2'),
    ("gateway", {"/etc/nginx/nginx.conf": "events { } http { rollout_zone x; }"}, "nginx refuses its configuration: "),
    ("rolloutd", {"/etc/rollout/templates/rolloutd.json.template": '{"listen": {"path": "${SOCKET_OF_MINE}"}}'},
     "/etc/rollout/templates/rolloutd.json.template, line 1: SOCKET_OF_MINE is not set in the environment"),
    ("gateway", {"/etc/rollout/rolloutd.json": '{"listen": {"path": "/run/rollout/x"}, "journal": {"path": "y"}}'},
     "rolloutd refuses its configuration: /etc/rollout/rolloutd.json: /journal/path: "),
    ("rolloutd", {"/etc/rollout/rolloutd.json": "{"}, "rolloutd refuses its configuration: /etc/rollout/rolloutd.json: "),
])
def test_a_wrong_file_is_named(starts, role, files, words):
    assert words in refusal(starts(role, files=files))


def test_a_variable_that_nobody_reads_is_named(starts):
    assert refusal(starts("gateway", {"ROLLOUT_INFERNCE": "triton:8000"})) == "ROLLOUT_INFERNCE is no variable of this image, and no template names it"
    # A template's own is no mistake; what the entry point makes for templates is not to be given.
    files = {"/etc/nginx/templates/site.conf.template": "# ${ROLLOUT_GREETING}\n"}
    one = starts("nginx", {"ROLLOUT_GREETING": "hello", "ROLLOUT_ALLOW_RULES": "allow all;"}, files)
    assert refusal(one) == "ROLLOUT_ALLOW_RULES is no variable of this image, and no template names it"


def test_what_kubernetes_sets_for_services_is_no_mistake(starts):
    """As kubelet does for the Services rollout, which ROLLOUT_PORT is set against, and rollout-canary."""
    links = {}
    for service in ("ROLLOUT", "ROLLOUT_CANARY"):
        links |= {f"{service}_SERVICE_HOST": "10.96.0.7", f"{service}_SERVICE_PORT": "80", f"{service}_SERVICE_PORT_HTTP": "80",
                  f"{service}_PORT": "tcp://10.96.0.7:80", f"{service}_PORT_80_TCP": "tcp://10.96.0.7:80", f"{service}_PORT_80_TCP_PROTO": "tcp",
                  f"{service}_PORT_80_TCP_PORT": "80", f"{service}_PORT_80_TCP_ADDR": "10.96.0.7"}
    one = starts("check", {**links, "ROLLOUT_PORT": free_port()})
    assert (one.wait(), one.text()) == (0, "")
    assert refusal(starts("check", {**links, "ROLLOUT_PORT": free_port(), "ROLLOUT_CANARY_PORT": "8080"})).startswith("ROLLOUT_CANARY_PORT is no variable")


def test_a_repository_that_is_a_volume_itself_is_named(starts):
    """Nothing can be renamed into another mount."""
    one = starts("rolloutd", files={"/models/repository": None}, writable=True)
    assert refusal(one) == ("ROLLOUT_REPOSITORY is /models/repository, a mount of its own, but files are prepared in /models/repository.staging "
                            "and renamed into it: mount the volume at /models, and not at the repository itself")


def test_a_folder_that_cannot_be_written_is_named(starts, tmp_path):
    one = starts("nginx", files={"/etc/nginx/conf.d": None})  # the test's own folder: root's
    assert "/etc/nginx/conf.d/default.conf cannot be written by user 10001" in refusal(one)


@pytest.fixture
def serves(starts):
    """The body of the answer of an nginx with these files; PORT in them is its port."""
    def ask(environment, files):
        port = free_port()
        one = starts("nginx", {"ROLLOUT_PORT": port, **environment}, {path: text.replace("PORT", str(port)) for path, text in files.items()})

        def answer():
            one.must_run()
            try:
                return Client(port).get("/some")
            except OSError:
                return None
        return wait_until(answer, "nginx's answer").body.decode()
    return ask


def test_templates_are_rendered_with_defined_variables_alone(serves):
    site = "server { listen PORT; return 200 '$GREETING ${GREETING}, $uri $MORE'; }"
    assert serves({"GREETING": "hello $uri", "MORE": "a;b"}, {"/etc/nginx/templates/site.conf.template": site}) == "hello /some hello /some, /some a;b"


def test_templates_have_nginxs_own_settings(serves):
    """Another folder, ending and output, folders inside, and a filter: what does not match it is no variable."""
    files = {"/mine/deep/site.conf.tpl": "server { listen PORT; return 200 '${MY_WORD} ok'; } # ${OTHER_WORD} $PWD\n",
             "/mine/left.conf.template": "not rendered",
             "/etc/nginx/nginx.conf": "pid /tmp/nginx.pid; events { } http { include /tmp/out/deep/*.conf; }"}
    assert serves({"NGINX_ENVSUBST_TEMPLATE_DIR": "/mine", "NGINX_ENVSUBST_TEMPLATE_SUFFIX": ".tpl", "NGINX_ENVSUBST_OUTPUT_DIR": "/tmp/out",
                   "NGINX_ENVSUBST_FILTER": "^MY_", "MY_WORD": "it is"}, files) == "it is ok"


def test_a_filter_is_for_the_operators_templates(starts):
    """The image's own have all of their variables."""
    filtered = {"ROLLOUT_PORT": free_port(), "NGINX_ENVSUBST_FILTER": "^MY_"}
    one = starts("check", filtered)
    assert (one.wait(), one.text()) == (0, "")
    mine = '{"listen": {"path": "${MY_SOCKET}"}, "journal": {"path": "$ROLLOUT_JOURNAL"}}'
    one = starts("rolloutd", {**filtered, "MY_SOCKET": "/run/rollout/x"}, {"/etc/rollout/templates/rolloutd.json.template": mine})
    assert "/journal/path: " in refusal(one)


def test_a_name_is_taken_whole(serves):
    """Capitals at its begin make no variable of it."""
    site = "map $uri $MyUri { default it; } server { listen PORT; set $Some_Of_Mine x; return 200 '$MyVar ${MyVar} $MyUri $Some_Of_Mine'; }"
    assert serves({"MyVar": "mine"}, {"/etc/nginx/templates/site.conf.template": site}) == "mine mine it x"


def test_a_file_of_conf_d_takes_the_place_of_the_images_own(serves):
    assert serves({}, {"/etc/nginx/conf.d/mine.conf": "server { listen PORT; return 200 mine; }"}) == "mine"


def test_rolloutd_json_is_rendered_from_the_environment(starts, image):
    one = starts("rolloutd", {"ROLLOUT_MAX_MODELS": "7"}, {"/run/rollout": None, "/var/lib/rollout": None, "/models": None}, writable=True)
    status, said = one.run("sh", "-c", "rollout-entrypoint check && cat /tmp/rolloutd.json")
    assert status == 0, said
    config = json.loads(said)
    assert config["limits"]["max_deployed_models"] == 7 and config["listen"]["path"] == "/run/rollout/rolloutd.sock"


def test_an_image_without_the_client_of_etcd_says_how_one_with_it_is_built(starts):
    one = starts("rolloutd", {"ROLLOUT_ETCD": "https://10.0.0.1:2379"}, {"/run/rollout": None, "/var/lib/rollout": None, "/models": None}, writable=True)
    assert refusal(one) == ("ROLLOUT_ETCD is https://10.0.0.1:2379, but this image has no client of etcd: build it with --build-arg ETCD=1, "
                            "or leave ROLLOUT_ETCD out")


def test_any_other_program_is_run_as_it_is(starts):
    one = starts("gateway", {"ROLLOUT_PORT": "0"})
    assert one.wait() == 1
    assert one.run("rollout-entrypoint", "id", "-u") == (0, "10001")


def test_the_access_log_goes_to_an_output_that_cannot_be_opened_anew(starts):
    """As when a program with more rights holds its other end: buildah, or a su."""
    port = free_port()
    one = starts("nginx", {"ROLLOUT_PORT": port}, output=None)
    wait_until(lambda: one.running() and one.log.exists() and "start worker process" in one.log.read_text(), "nginx's start")
    wait_until(lambda: Client(port).get("/").status == 404, "nginx's answer")
    wait_until(lambda: '"GET / HTTP/1.1" 404' in one.log.read_text(), "the line in the log")
