"""Names inside messages: what reading and writing them costs, against the same without."""

import re
import subprocess

from figures import BrokenLoad, Load, compare_rates, wrk
from processes import free_port
from routing import route
from stand_in import StandIn

LOCATIONS = """
        access_log off;
        keepalive_requests 1000000000;
        client_max_body_size 64m;
        client_body_buffer_size 2m;
        location ~ ^/client/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {{
            rollout_route $model names=client;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
        }}
        location ~ ^/server/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {{
            rollout_route $model names=server;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest;
        }}
        location = /json/v1/embeddings {{
            rollout_json_model;
            rollout_route $rollout_json_model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v1/embeddings;
        }}
        location = /plain/v1/embeddings {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://inference/v1/embeddings;
        }}
        location = /inference.GRPCInferenceService/ModelInfer {{
            rollout_grpc;
            rollout_route $rollout_grpc_model;
            grpc_buffer_size 64k;
            grpc_pass grpc://127.0.0.1:{grpc};
        }}
        location = /plain/ModelInfer {{
            grpc_buffer_size 64k;
            grpc_pass grpc://127.0.0.1:{grpc};
        }}
"""

# Reads the whole call, and answers with a file.
GRPC_SERVER = """
    server {{
        listen 127.0.0.1:{grpc} http2 backlog=1024;
        client_max_body_size 64m;
        client_body_buffer_size 2m;
        location / {{
            root {home};
            mirror /none;
            default_type application/grpc;
            error_page 404 405 =200 /answer;
        }}
        location = /answer {{ root {home}; default_type application/grpc; }}
        location = /none {{ internal; return 204; }}
    }}
"""

POSTS = """
function init(args) wrk.method = "POST"; wrk.path = args[1]; wrk.body = io.open(args[2]):read("*a"); wrk.headers["Content-Type"] = "application/json" end
"""


def varint(value):
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7f | 0x80])
        value >>= 7
    return data + bytes([value])


def call(name, size):
    """A message of that size with the model's name and numbers."""
    message = b"\x0a" + varint(len(name)) + name + b"\x3a" + varint(size) + b"\x0a" * size
    return b"\0" + len(message).to_bytes(4, "big") + message


def h2load(url, seconds, body):
    said = subprocess.run(["h2load", "-c16", "-m4", f"-D{seconds}", "-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers", url],
                          capture_output=True, text=True, check=True).stdout
    done = int(re.search(r"status codes: (\d+) 2xx", said)[1])
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
    if any(int(number) for number in failed.groups()):
        raise BrokenLoad(f"{url}: {said}")
    return Load(float(re.search(r"([\d.]+) req/s", said)[1]), 0, done)


def measure(options):
    grpc = free_port()
    one = StandIn(LOCATIONS.format(grpc=grpc), routes=[route(0)], upstream_more=GRPC_SERVER.replace("{grpc}", str(grpc)))
    try:
        (one.home / "answer").write_bytes(call(b"m0__r6", 300))
        posts = options.folder / "posts.lua"
        posts.write_text(POSTS)

        def post(path, body):
            return lambda: wrk(one.url("/"), options.seconds, script=posts, arguments=[path, body])

        def body(name, text):
            file = options.folder / name
            file.write_bytes(text)
            return file

        empty = body("empty", b'{"inputs":[]}')
        yield compare_rates("inference with names=client", "names=server", 0.97, options.rounds,
                            post("/client/v2/models/m0/infer", empty), post("/server/v2/models/m0/infer", empty))
        for size, bound in ((1000, 0.90), (100_000, 0.90)):
            numbers = b",".join([b"0.1234567"] * (size // 10))
            file = body(f"json{size}", b'{"input":[' + numbers + b'],"model":"m0"}')
            yield compare_rates(f"a JSON body of {size // 1000} KB through rollout_json_model", "plain proxy_pass", bound, options.rounds,
                                post("/json/v1/embeddings", file), post("/plain/v1/embeddings", file))
        for size in (1000, 1_000_000):
            file = body(f"call{size}", call(b"m0", size))
            yield compare_rates(f"a call of {size // 1000} KB through rollout_grpc", "plain grpc_pass", 0.95, options.rounds,
                                lambda: h2load(f"http://127.0.0.1:{one.nginx.http2_port}/inference.GRPCInferenceService/ModelInfer", options.seconds, file),
                                lambda: h2load(f"http://127.0.0.1:{one.nginx.http2_port}/plain/ModelInfer", options.seconds, file))
    finally:
        one.close()
