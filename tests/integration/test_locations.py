"""Where our directives meet nginx's in a location, and in those inside of it: which of them answers a request. What is refused is in
test_configuration.py."""

import json

import pytest

import description

ROLLOUTD = {"limits": {"max_concurrent_rollouts": 0}}  # tasks are accepted and held
PROXY = "proxy_pass http://$server_addr:$server_port/probe/$request_method;"
NGINX = {"locations": f"""
    location /probe/ {{ return 200 probe; }}
    location ~ ^/((deploy|delete)(-status)?|models|readyz)(/|$) {{ rollout_api; }}

    location /limited/ {{ rollout_api base=/limited; limit_except GET {{ {PROXY} }} }}
    location /limited-deny/ {{ rollout_api base=/limited-deny; limit_except GET {{ deny all; }} }}
    location /limited-auth/ {{ rollout_api base=/limited-auth; limit_except GET {{ auth_basic members; auth_basic_user_file /dev/null; }} }}
    location /if/ {{ rollout_api base=/if dialect=embedding_studio; if ($request_method = POST) {{ {PROXY} }} }}
    location /if-set/ {{ rollout_api base=/if-set; set $x 0; if ($request_method = POST) {{ set $x 1; }} add_header X $x; }}
    location /if-return/ {{ rollout_api base=/if-return; if ($request_method = POST) {{ return 405; }} }}
    location /metrics/ {{ rollout_metrics; if ($arg_proxied) {{ {PROXY} }} }}

    location /nest/ {{
        rollout_api base=/nest;
        location /nest/probe/ {{ {PROXY} }}
        location /nest/files/ {{ }}
        location /nest/deeper/ {{ rollout_api base=/nest/deeper; }}
    }}
    location @api {{ rollout_api base=/named; }}
    location /named/ {{ error_page 418 = @api; return 418; }}
    location /tried/ {{ try_files /no/such/file @tried; }}
    location @tried {{ rollout_api base=/tried; }}
    location /inner/ {{ internal; rollout_api base=/inner; }}
    location /outer/ {{ rewrite ^/outer/(.*)$ /inner/$1 last; }}

    location /mirrored/ {{ rollout_api base=/mirrored; mirror /probe/mirror; }}
    location /authorized/ {{ rollout_api base=/authorized; auth_request /probe/auth; }}
    location /asked-api/ {{ auth_request /readyz; {PROXY} }}
    location /any/ {{ rollout_api base=/any; satisfy any; deny all; auth_request /probe/auth; }}
    location /none/ {{ rollout_api base=/none; satisfy any; deny all; auth_request /no/such/place; }}
    location /posted/ {{ rollout_api base=/posted; post_action /probe/post; }}
    location /own-page/ {{ rollout_api base=/own-page; error_page 404 413 /probe/page; client_max_body_size 1k; }}
    location /tried-first/ {{ rollout_api base=/tried-first; try_files /no/such/file =404; }}
    location /rooted/ {{ rollout_api base=/rooted; root /nowhere; index index.html; autoindex on; }}

    location /route/ {{
        rollout_route $arg_model;
        {PROXY}
        location /route/inherits/ {{ {PROXY} }}
        location /route/off/ {{
            rollout_route off;
            {PROXY}
            location /route/off/still/ {{ {PROXY} }}
            location /route/off/again/ {{ rollout_route $arg_model; {PROXY} }}
        }}
        location /route/if/ {{ if ($arg_x) {{ set $y 1; }} {PROXY} }}
        location /route/if-proxy/ {{ if ($arg_x) {{ {PROXY} }} {PROXY} }}
        location /route/limited/ {{ limit_except GET {{ {PROXY} }} {PROXY} }}
        location /route/api/ {{ rollout_api base=/route/api; }}
        location /route/metrics/ {{ rollout_metrics; }}
    }}
    location @routed {{ rollout_route $arg_model; {PROXY} }}
    location /routed/ {{ try_files /no/such/file @routed; }}
"""}



@pytest.fixture(scope="module", autouse=True)
def a_probe_answers_where_the_api_is(gateway):
    description.forget(gateway.nginx)


BODY = {"model_id": "m"}
CREATED, PROBE, PROBLEM, PAGE, HTML, METRICS = "a task", "probe", "a problem", "the operator's page", "nginx's page", "metrics"


def what_came(answer):
    """Who has answered."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind == "application/problem+json":
        return answer.status, PROBLEM
    if kind == "application/json" and "task_id" in answer.json:
        return answer.status, CREATED
    if answer.body == b"probe":
        return answer.status, PROBE
    return answer.status, METRICS if b"rollout_module_info" in answer.body else HTML if kind == "text/html" else kind


@pytest.mark.parametrize("method, path, came", [
    # a block's own directive answers; without one the API goes on
    ("POST", "/limited/deploy", (200, PROBE)), ("GET", "/limited/deploy/nothing", (404, PROBLEM)),
    ("POST", "/limited-deny/deploy", (403, PROBLEM)), ("GET", "/limited-deny/deploy/nothing", (404, PROBLEM)),
    ("POST", "/limited-auth/deploy", (401, PROBLEM)), ("GET", "/limited-auth/deploy/nothing", (404, PROBLEM)),
    ("POST", "/if/deploy", (200, PROBE)), ("GET", "/if/deploy/nothing", (404, PROBLEM)),
    ("POST", "/if-set/deploy", (200, CREATED)), ("GET", "/if-set/deploy/nothing", (404, PROBLEM)),
    ("POST", "/if-return/deploy", (405, PROBLEM)), ("GET", "/if-return/deploy/nothing", (404, PROBLEM)),
    ("GET", "/metrics/", (200, METRICS)), ("GET", "/metrics/?proxied=1", (200, PROBE)),
    # a location inside of one has no handler of it, as with proxy_pass
    ("POST", "/nest/deploy", (200, CREATED)), ("POST", "/nest/probe/deploy", (200, PROBE)), ("GET", "/nest/files/deploy", (404, HTML)),
    ("POST", "/nest/deeper/deploy", (200, CREATED)), ("GET", "/nest/deeper/deploy/nothing", (404, PROBLEM)),
    # named and internal locations
    ("POST", "/named/deploy", (200, CREATED)), ("GET", "/named/deploy/nothing", (404, PROBLEM)),
    ("POST", "/tried/deploy", (200, CREATED)), ("GET", "/tried/deploy/nothing", (404, PROBLEM)),
    ("POST", "/inner/deploy", (404, PROBLEM)), ("POST", "/outer/deploy", (200, CREATED)), ("GET", "/outer/deploy/nothing", (404, PROBLEM)),
    # subrequests, and what comes before and after an answer
    ("POST", "/mirrored/deploy", (200, CREATED)), ("GET", "/mirrored/deploy/nothing", (404, PROBLEM)),
    ("POST", "/authorized/deploy", (200, CREATED)), ("POST", "/asked-api/deploy", (200, PROBE)),
    ("POST", "/any/deploy", (200, CREATED)), ("POST", "/none/deploy", (500, PROBLEM)),
    ("POST", "/posted/deploy", (200, CREATED)), ("GET", "/posted/deploy/nothing", (404, PROBLEM)),
    ("GET", "/own-page/deploy/nothing", (404, PROBLEM)), ("POST", "/own-page/large", (413, PROBE)),
    ("POST", "/tried-first/deploy", (404, PROBLEM)), ("GET", "/rooted/deploy/", (404, PROBLEM)), ("POST", "/rooted/deploy", (200, CREATED)),
    # rollout_route goes on in a location inside, until it is switched off
    ("GET", "/route/x?model=none", (404, PROBLEM)), ("GET", "/route/inherits/x?model=none", (404, PROBLEM)),
    ("GET", "/route/off/x?model=none", (200, PROBE)), ("GET", "/route/off/still/x?model=none", (200, PROBE)),
    ("GET", "/route/off/again/x?model=none", (404, PROBLEM)),
    ("GET", "/route/if/x?model=none&x=1", (404, PROBLEM)), ("GET", "/route/if/x?model=none", (404, PROBLEM)),
    ("GET", "/route/if-proxy/x?model=none&x=1", (404, PROBLEM)), ("POST", "/route/limited/x?model=none", (404, PROBLEM)),
    ("POST", "/route/api/deploy", (200, CREATED)), ("GET", "/route/metrics/", (200, METRICS)),
    ("GET", "/routed/x?model=none", (404, PROBLEM)),
])
def test_who_answers_is_who_nginx_users_expect(gateway, method, path, came):
    body = json.dumps(BODY if "large" not in path else {**BODY, "config": {"a": "x" * 2000}}) if method == "POST" else None
    answer = gateway.request(method, path, body, {"Content-Type": "application/json"})
    assert what_came(answer) == came, answer
    if came == (200, CREATED):
        assert gateway.get(f"/deploy/{answer.json['task_id']}").json["model_id"] == "m"


def test_a_blocks_proxy_takes_the_post_alone(gateway):
    """What went to the proxy has made no task."""
    before = gateway.get("/deploy?limit=1000").json["tasks"]
    for path in ("/limited/deploy", "/if/deploy", "/nest/probe/deploy"):
        assert what_came(gateway.post(path, BODY)) == (200, PROBE)
    assert gateway.get("/deploy?limit=1000").json["tasks"] == before


def test_a_block_has_its_locations_base_and_dialect(gateway):
    task = gateway.post("/if-set/deploy", BODY)
    assert task.headers["Location"] == f"/if-set/deploy/{task.task()['task_id']}" and task.headers["X"] == "1"
    assert gateway.get("/deploy?status=nonsense").problem(422)["detail"].count("in_progress") == 1
    assert gateway.get("/if/deploy?status=nonsense").problem(422)["detail"].count("processing") == 1
