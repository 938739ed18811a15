"""rollout_ready where a `server` is a host's name with several addresses, which nginx asks for at its start."""

import pathlib
import socket
import tempfile

import pytest

import processes
from gateway import Client
from model_servers import ModelServer
from routed_servers import RoutedServers
from test_ready import SocketServer, location

METHODS = {"round": "", "least": "least_conn;", "hashed": "hash $http_x_user consistent;", "chance": "random two;", "shared": "zone shared 128k;"}


class Named(RoutedServers):
    """both.test is two servers on the same port; nginx reads it from a hosts file of the test's own."""

    def __init__(self):
        self.first, self.other = ModelServer(), ModelServer()
        self.second = SocketServer(("127.0.0.9", self.first.port), socket.AF_INET)
        self.name = f"both.test:{self.first.port}"
        blocks = "".join(f"upstream {name} {{ {method} server {self.name}; server {self.other.address}; rollout_ready; keepalive 4; }}\n"
                         for name, method in METHODS.items())
        super().__init__(self.first, self.other, location("m"), blocks.replace("{", "{{").replace("}", "}}"))

    def asked(self, upstream, peers, count=24):
        for server in (self.first, self.second, self.other):
            server.received.clear()
        blue = {"revision": 1, "upstream": upstream, "model": "m__r1", "peers": peers}
        self.routes["m"] = {"model_id": "m", "part": "", "weight": 0, "watched": True, "blue": blue}
        self.send_routes()
        for number in range(count):
            answer = Client(self.nginx.port).post("/m/m", {"inputs": []}, X_User=str(number))
            assert answer.status == 200, self.nginx.errors()[-2000:]
        return [len(server.received) for server in (self.first, self.second, self.other)]


@pytest.fixture(scope="module")
def named():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.1 both.test\n127.0.0.9 both.test\n")
    environment = processes.nginx_environment()
    environment["LD_PRELOAD"] = f"{environment.get('LD_PRELOAD', '')} libnss_wrapper.so".strip()
    environment |= {"NSS_WRAPPER_HOSTS": str(hosts), "NSS_WRAPPER_DISABLE_DEEPBIND": "1"}  # which a sanitizer does not bear
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "nginx_environment", lambda: environment)
        made = Named()
    yield made
    made.second.close()
    made.close()
    hosts.unlink()
    folder.rmdir()


@pytest.mark.parametrize("upstream", METHODS)
def test_all_addresses_of_a_name_are_one_server(named, upstream):
    first, second, other = named.asked(upstream, [named.name])
    assert first and second and not other


@pytest.mark.parametrize("upstream", METHODS)
def test_and_each_address_may_be_one(named, upstream):
    port = named.first.port
    assert named.asked(upstream, [f"127.0.0.9:{port}"]) == [0, 24, 0]
    assert named.asked(upstream, [f"127.0.0.1:{port}"]) == [24, 0, 0]
    assert named.asked(upstream, [named.other.address]) == [0, 0, 24]
