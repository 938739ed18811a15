"""Many gRPC calls on connections that are kept, on both sides of nginx: each is answered, and nginx's memory stays where it was.
ROLLOUT_REQUESTS=100000 is the long setting. And a binary upgrade in the middle of calls."""

import os
import signal

import pytest

from grpc_servers import SERVICE, GrpcClient, GrpcServer, GrpcTraffic, field
from processes import alive, free_port, nginx_environment, wait_until
from routed_servers import RoutedServers
from several import GRPC_LOCATION
from test_memory import own_kib

CALLS = int(os.environ.get("ROLLOUT_REQUESTS", "3000"))
WARM_UP = 3000

# What the worker process may have grown by since the warm-up, in KiB, however many calls there were.
GROWTH_KIB = 4096 if nginx_environment() else 512

UNDER_WAY = 40  # calls at a time, which nginx's connections to the server are kept for

# Sizes of what follows the name: in one frame, in several, and in a temporary file.
SIZES = (0, 10, 1000, 20_000) * 4 + (100_000,)

LOCATIONS = """
    client_max_body_size 1m;
    client_body_buffer_size 32k;
    keepalive_requests 1000000;
    location / {
        rollout_grpc;
        rollout_route $rollout_grpc_model;
        grpc_set_header Grpc-Accept-Encoding identity;
        grpc_pass grpc://kept;
    }
"""


@pytest.fixture
def world():
    blue, green = GrpcServer(), GrpcServer()
    made = RoutedServers(blue, green, LOCATIONS, "upstream kept {{ server {green}; keepalive 64; }}")
    made.route("m")
    yield made
    made.close()


def test_calls_on_kept_connections_are_answered_and_leave_memory_where_it_was(world):
    (worker,) = world.nginx.worker_pids()
    client = GrpcClient(world.nginx.http2_port)
    infer = client.channel.unary_unary(SERVICE + "ModelInfer")
    rests = [field(7, b"x" * size) if size else b"" for size in SIZES]

    def send(calls):
        for begun in range(0, calls, UNDER_WAY):
            asked = [field(1, "m") + rests[number % len(rests)] for number in range(begun, begun + UNDER_WAY)]
            under_way = [infer.future(message, timeout=60) for message in asked]
            for number in range(0, UNDER_WAY, 13):
                under_way[number].cancel()  # a client that goes away, at whatever its call is
            for number, (message, call) in enumerate(zip(asked, under_way)):
                if number % 13:
                    assert call.result() == message  # or an RpcError, as a 502 is
        world.green.received.clear()

    def size():
        """The least of some rounds: what they leave behind for a moment comes and goes."""
        seen = []
        for _ in range(8):
            send(UNDER_WAY)
            seen.append(own_kib(worker))
        return min(seen)

    send(WARM_UP)
    before = size()
    send(CALLS)
    after = size()
    client.close()
    print(f"{CALLS} calls; KiB before and after: {before} {after}")
    assert world.nginx.worker_pids() == [worker]
    assert after - before < GROWTH_KIB, f"nginx's worker process grows: {before} KiB, {after} KiB after {CALLS} calls"
    assert " 502 " not in (world.home / "access.log").read_text()


def test_a_binary_upgrade_in_the_middle_of_calls_loses_none(make_gateway):
    port = free_port()
    gateway = make_gateway(daemon=True)
    gateway.inference.grpc_port = port
    gateway.nginx.pieces["http"] = f"upstream inference_grpc {{ server 127.0.0.1:{port}; keepalive 16; }}"
    gateway.nginx.pieces["locations"] += GRPC_LOCATION
    gateway.start()
    gateway.serve_blue("m")
    with GrpcTraffic(gateway.nginx.http2_port, "m", clients=3) as calls:
        calls.await_answers("blue")
        old, _ = gateway.nginx.upgrade()
        calls.await_answers("blue")
        os.kill(old, signal.SIGQUIT)
        gateway.await_link()
        gateway.deploy("m")
        calls.await_answers("green")
    assert calls.failures == [] and set(calls.answers) == {"blue", "green"}
    # Not before the clients end: nginx closes an HTTP/2 connection that is idle, and a worker process may just have accepted one when it is
    # told to end. Such a connection lives on as long as its client goes on calling.
    wait_until(lambda: not alive(old), "the end of the old nginx")
    with GrpcTraffic(gateway.nginx.http2_port, "m") as calls:
        calls.await_answers("green")
    assert calls.failures == []
