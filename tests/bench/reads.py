"""Status reads against nginx's own constant answer of the same bytes, and what a full table and a stream of updates cost."""

from figures import compare_rates, wrk
from gateway import Gateway
from journals import fill, task_id
from processes import BUILD, use_build
from stand_in import StandIn

CONSTANT = """
        access_log off;
        keepalive_requests 1000000000;
        location /deploy {{ rollout_api; }}
        location /constant {{
            default_type application/json;
            add_header ETag '{etag}';
            add_header Cache-Control no-cache;
            return 200 '{body}';
        }}
"""

RANDOM_READS = """
local count = 1
function init(args) math.randomseed(os.time()); count = tonumber(args[1]) end
function request() return wrk.format("GET", string.format("/deploy/%08x-0000-7000-8000-000000000000", math.random(0, count - 1))) end
"""


def filled(count, zone, workers=1, build=BUILD):
    gateway = Gateway(nginx={"workers": workers, "zone": zone, "locations": CONSTANT.format(etag='"x"', body="{}")})
    use_build(build, gateway.rolloutd, gateway.nginx)
    fill(gateway.rolloutd, count)
    gateway.start()
    return gateway


def settled(gateway):
    """With the constant answer set to what a read of this gateway says."""
    answer = gateway.get(f"/deploy/{task_id(0)}")
    answer.task()
    gateway.nginx.stop()
    gateway.nginx.start(locations=CONSTANT.format(etag=answer.headers["ETag"], body=answer.body.decode()))
    gateway.await_link()
    constant = gateway.get("/constant")
    assert constant.headers["ETag"] == answer.headers["ETag"], "another journal?"
    assert constant.body == answer.body
    assert {name for name, _ in constant.headers.items()} == {name for name, _ in answer.headers.items()}, \
        (constant.headers.items(), answer.headers.items())
    return gateway


def url(gateway, path):
    return f"http://127.0.0.1:{gateway.nginx.port}{path}"


def measure(options):
    script = options.folder / "random-reads.lua"
    script.write_text(RANDOM_READS)
    seconds, rounds = options.seconds, options.rounds
    small, large = settled(filled(1000, "8m")), None
    try:
        for path, name in ((f"/deploy/{task_id(0)}", "GET /deploy/{id}"), ("/deploy-status/m0", "GET /deploy-status/{model}")):
            yield compare_rates(name, "nginx's constant answer", 0.95, rounds,
                                lambda: wrk(url(small, path), seconds), lambda: wrk(url(small, "/constant"), seconds))

        many = options.tasks
        large = filled(many, f"{max(many // 1250, 8)}m")
        yield compare_rates(f"the same with {many:,} tasks", "with 1,000", 0.95, rounds,
                            lambda: wrk(url(large, "/"), seconds, script=script, arguments=[many]),
                            lambda: wrk(url(small, "/"), seconds, script=script, arguments=[1000]))
    finally:
        small.close()
        if large:
            large.close()

    path = f"/deploy/{task_id(0)}"
    quiet, busy = StandIn(), StandIn(rate=5000)
    try:
        yield compare_rates("the same while 5,000 updates a second arrive", "while none does", 0.90, rounds,
                            lambda: wrk(busy.url(path), seconds), lambda: wrk(quiet.url(path), seconds))
        assert busy.lag_s() < 1, "the updates did not arrive at that rate"
    finally:
        quiet.close()
        busy.close()


