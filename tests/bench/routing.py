"""Inference through rollout_route, in the middle of a rollout, against plain proxy_pass to the same upstream."""

from figures import compare_rates, wrk
from stand_in import StandIn

# An inference of a user's: the key is in a header.
ASKS = """
local path, models, letter = "", 1, "m"
function init(args) path = args[1]; models = tonumber(args[2]); letter = args[3]; math.randomseed(1) end
function request()
  local model = math.random(0, models - 1)
  return wrk.format("POST", path .. "/v2/models/" .. letter .. model .. "/infer", {["X-User"] = "user-" .. math.random(1000000)}, '{"inputs":[]}')
end
"""

LOCATIONS = """
        access_log off;
        keepalive_requests 1000000000;
        location ~ ^/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
            rollout_route $model key=$http_x_user;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://$rollout_upstream/v2/models/$rollout_backend_model$rest$is_args$args;
        }
        location ~ ^/plain/v2/models/(?<model>[^/]+)(?<rest>/.*)?$ {
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://inference/v2/models/$model$rest$is_args$args;
        }
"""

def route(number, upstream="inference", peers=None):
    """In the middle of a rollout: a quarter of the users is on green."""
    def slot(revision):
        made = {"revision": revision, "upstream": upstream, "model": f"m{number}__r{revision}"}
        return made if peers is None else made | {"peers": peers}
    return {"model_id": f"m{number}", "part": "", "weight": 25, "blue": slot(6), "green": slot(7)}


def servers(port):
    return [f"127.0.0.{number}:{port}" for number in range(1, 9)]


def blocks(port):
    """The same eight servers with rollout_ready and without."""
    listed = "".join(f"server {address};" for address in servers(port))
    return "".join(f"upstream {name} {{ zone {name} 128k; {listed} {ready} keepalive 64; }}\n"
                   for name, ready in (("ready", "rollout_ready;"), ("unready", "")))


def measure(options):
    script = options.folder / "inferences.lua"
    script.write_text(ASKS)
    one = StandIn(LOCATIONS, routes=[route(0)])
    eight = StandIn(LOCATIONS, http=blocks, routes=lambda port: [route(0, "ready", servers(port)), {**route(1, "unready"), "model_id": "n0"}])
    many = StandIn(LOCATIONS, routes=[route(n) for n in range(options.models)], zone="64m")
    try:
        def load(of, path, models, letter="m"):
            return lambda: wrk(of.url("/"), options.seconds, script=script, arguments=[path, models, letter])
        yield compare_rates("inference through rollout_route with a key, mid-rollout", "plain proxy_pass", 0.97, options.rounds,
                            load(one, "", 1), load(one, "/plain", 1))
        yield compare_rates("rollout_route and rollout_ready with 8 servers", "the same block without rollout_ready", 0.97, options.rounds,
                            load(eight, "", 1), load(eight, "", 1, "n"))
        yield compare_rates(f"the same with {options.models:,} models", "with 1", 0.97, options.rounds,
                            load(many, "", options.models), load(one, "", 1))
    finally:
        one.close()
        eight.close()
        many.close()
