"""rollout_metrics as Prometheus reads it, and the routes by which a load balancer asks how the gateway is."""

import json
import re
import subprocess
import urllib.request

import pytest

from gateway import Gateway
from pretended_rolloutd import PretendedRolloutd
from processes import DEADLINE_S, LOCATIONS, ROOT, Process, free_port, wait_until

MORE = """
        location = /metrics { rollout_metrics; }
        location ~ ^/(healthz|readyz)$ { rollout_api; }
        location = /closed { limit_except GET { deny all; } rollout_metrics; }
"""


@pytest.fixture(scope="module")
def gateway():
    own = Gateway(nginx={"locations": LOCATIONS + MORE}).start()
    yield own
    own.close()


def metrics_of(gateway):
    answer = gateway.get("/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", answer
    return answer.body.decode()


def value(text, series):
    """Of one series, named with its labels as they are written; None where there is none."""
    found = re.search("^" + re.escape(series) + " (.*)$", text, re.M)
    return float(found[1]) if found else None


def await_value(gateway, series, wanted):
    wait_until(lambda: value(metrics_of(gateway), series) == wanted, f"{series} to be {wanted}")


# What is counted.

def test_tasks_are_counted_by_kind_and_status_and_rolloutd_says_how_it_stands(gateway):
    before = metrics_of(gateway)
    gateway.make_model("counted", "x")
    gateway.deploy("counted")
    gateway.deploy("counted", "failed", source=f"file://{gateway.home}/models/nowhere")
    gateway.delete("counted")
    after = metrics_of(gateway)

    def grown(series):
        return value(after, series) - value(before, series)
    assert grown('rollout_tasks{kind="deploy",status="completed"}') == 1
    assert grown('rollout_tasks{kind="deploy",status="failed"}') + grown('rollout_tasks{kind="deploy",status="refused"}') == 1
    assert grown('rollout_tasks{kind="delete",status="completed"}') == 1
    assert value(after, 'rollout_tasks{kind="deploy",status="in_progress"}') == 0
    assert grown('rollout_tasks_ended_total{kind="deploy",status="completed"}') == 1
    assert grown('rollout_tasks_ended_total{kind="delete",status="completed"}') == 1
    assert grown("rollout_journal_commit_seconds_count") > 3 and grown("rollout_journal_revision") > 3
    assert value(after, "rollout_journal_failed_commits_total") == 0
    assert value(after, "rollout_link_up") == value(after, "rollout_table_complete") == 1
    assert value(after, "rollout_worker_links") == 2
    assert value(after, "rollout_queue_length") == value(after, "rollout_running_tasks") == 0
    assert value(after, "rollout_table_revision") == value(after, "rollout_journal_revision")
    assert 0 < value(after, "rollout_table_used_bytes") < value(after, "rollout_table_size_bytes") < 8 * 2**20


def test_requests_are_counted_by_model_slot_and_class_wherever_they_are_asked_for(gateway):
    gateway.serve_blue("routed")
    for _ in range(7):
        assert gateway.infer("routed") == "blue"
    assert gateway.post("/v2/models/routed/nothing-there", {}).status == 404
    blue = 'model="routed",slot="blue"'
    text = metrics_of(gateway)
    assert value(text, "rollout_routes") == 1
    assert value(text, f'rollout_route_requests_total{{{blue},code_class="2xx"}}') == 7
    assert value(text, f'rollout_route_requests_total{{{blue},code_class="4xx"}}') == 1
    assert value(text, f'rollout_route_requests_total{{{blue},code_class="5xx"}}') == 0
    assert value(text, f"rollout_route_duration_seconds_count{{{blue}}}") == 8
    assert value(text, f'rollout_route_duration_seconds_bucket{{{blue},le="+Inf"}}') == 8
    assert 'slot="green"' not in text

    task = gateway.start_deployment("routed", steps=[{"weight": 50, "hold_s": 600}], promote="manual")
    gateway.await_weight(task, 50)
    for _ in range(3):
        assert gateway.infer("routed", X_Rollout_Preview="green") == "green"
    gateway.set_faults({"kind": "failed_infer", "model": "routed__r2"})
    assert gateway.infer("routed", X_Rollout_Preview="green") is None
    gateway.set_faults()
    text = metrics_of(gateway)
    green = 'model="routed",slot="green"'
    assert value(text, f'rollout_route_requests_total{{{green},code_class="2xx"}}') == 3
    assert value(text, f'rollout_route_requests_total{{{green},code_class="5xx"}}') == 1

    assert gateway.post(f"/deploy/{task['task_id']}/cancel", {}).status == 200
    gateway.wait(task)
    gateway.delete("routed")
    assert 'model="routed"' not in metrics_of(gateway)  # what is gone is not shown for ever


def test_without_rolloutd_the_gateways_own_metrics_are_there_and_it_is_not_ready(gateway):
    assert gateway.get("/readyz").status == 200
    gateway.rolloutd.stop()
    wait_until(lambda: value(metrics_of(gateway), "rollout_link_up") == 0, "the link to be down")
    text = metrics_of(gateway)
    assert value(text, 'rollout_tasks{kind="deploy",status="pending"}') == 0
    assert "rollout_queue_length" not in text
    assert gateway.get("/healthz").json == {"status": "ok"}
    problem = wait_until(lambda: (answer := gateway.get("/readyz")).status == 503 and answer, "not ready").problem(503)
    assert "rolloutd is down" in problem["detail"]
    gateway.rolloutd.start()
    gateway.await_link()
    await_value(gateway, "rollout_link_up", 1)
    assert gateway.get("/readyz").json == {"status": "ready"}


def test_it_is_not_ready_before_it_has_been_told_all(make_gateway):
    own = make_gateway(nginx={"locations": LOCATIONS + MORE, "workers": 1, "worker_arguments": "reconnect=50ms"})

    def why_not(words):
        wait_until(lambda: words in own.get("/readyz").problem(503)["detail"], words)

    with PretendedRolloutd(own.rolloutd.socket) as rolloutd:
        own.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        why_not("has not yet received the models from rolloutd")
        link.send(type="routes", revision=0, routes=[], begin=True, end=True)
        why_not("still receiving the tasks from rolloutd")
        link.send(type="update", revision=0, complete=True)
        wait_until(lambda: own.get("/readyz").status == 200, "ready")


def test_a_rolloutd_that_does_not_answer_does_not_hold_the_metrics_for_longer_than_ack_timeout(tmp_path):
    own = Gateway(nginx={"locations": LOCATIONS + MORE, "workers": 1, "worker_arguments": "ack_timeout=300ms"}).start()
    try:
        own.rolloutd.send_signal(19)  # SIGSTOP
        text = metrics_of(own)
        assert value(text, "rollout_link_up") == 0 and "rollout_queue_length" not in text
    finally:
        own.rolloutd.send_signal(18)
        own.close()


def test_reading_is_all_that_metrics_and_health_take(gateway):
    for path in ("/healthz", "/readyz"):
        answer = gateway.post(path, {})
        answer.problem(405)
        assert answer.headers["Allow"] == "GET, HEAD"
    assert gateway.post("/metrics", {}).status == 405
    assert gateway.request("HEAD", "/metrics").status == 200
    assert gateway.request("HEAD", "/readyz").status == 200
    assert gateway.post("/closed", {}).status == 403 and gateway.get("/closed").status == 200


# What Prometheus makes of it.

def test_promtool_finds_nothing_to_mend(gateway):
    gateway.make_model("checked", "x")
    gateway.deploy("checked")
    gateway.infer("checked")
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics_of(gateway), capture_output=True, text=True, timeout=DEADLINE_S)
    gateway.delete("checked")
    assert done.returncode == 0 and done.stdout == done.stderr == "", done


class Prometheus(Process):
    """Scrapes the gateway every 200 ms, with the alerts of conf/."""

    def __init__(self, home, target):
        super().__init__(home, "prometheus")
        self.port = free_port()
        (home / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [str(ROOT / "conf/prometheus/rollout-alerts.yml")],
            "scrape_configs": [{"job_name": "rollout", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]}))

    def start(self):
        self.launch(["prometheus", f"--config.file={self.home}/prometheus.yml", f"--storage.tsdb.path={self.home}/prometheus",
                     f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"])
        wait_until(lambda: self.ask("query?query=up") is not None, "Prometheus")

    def ask(self, what):
        self.must_run()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{what}", timeout=DEADLINE_S) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def value(self, query):
        found = self.ask("query?query=" + urllib.request.quote(query))["result"]
        return float(found[0]["value"][1]) if found else None


def test_prometheus_scrapes_it_and_loads_the_alerts(gateway):
    prometheus = Prometheus(gateway.home, gateway.port)
    prometheus.start()
    try:
        wait_until(lambda: prometheus.value("rollout_link_up") == 1, "a scrape")
        gateway.make_model("scraped", "x")
        gateway.deploy("scraped")
        for _ in range(5):
            gateway.infer("scraped")
        wait_until(lambda: prometheus.value('sum(rollout_route_requests_total{model="scraped",code_class="2xx"})') == 5, "the requests")
        wait_until(lambda: prometheus.value('histogram_quantile(0.99, sum by (le) (rollout_route_duration_seconds_bucket{model="scraped"}))')
                   is not None, "a quantile")
        gateway.delete("scraped")
        rules = prometheus.ask("rules")["groups"]
        assert all(rule["health"] == "ok" for group in rules for rule in group["rules"]), rules
    finally:
        prometheus.stop()


PROMETHEUS = ROOT / "conf/prometheus"


def test_the_alerts_fire_when_they_should():
    for arguments in (["check", "rules", "rollout-alerts.yml"], ["test", "rules", "rollout-alerts.test.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "rollout-alerts.yml").read_text()))
    tested = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", (PROMETHEUS / "rollout-alerts.test.yml").read_text()))
    assert alerts and alerts == tested


def test_a_server_that_is_away_shows_in_the_metrics_and_in_the_list_of_models(make_gateway):
    gateway = make_gateway(nginx={"locations": LOCATIONS + MORE}, rolloutd={"backends": {"default": {"check_s": 1}}}).start()
    gateway.make_model("m", "x")
    gateway.deploy("m")
    up = 'rollout_backend_up{backend="default"}'
    await_value(gateway, up, 1)
    gateway.inference.stop()
    await_value(gateway, up, 0)
    model, = gateway.get("/models").json["models"]
    assert model["state"] == "unreachable" and "Backend default does not answer" in model["detail"], model
    gateway.inference.start()
    await_value(gateway, up, 1)
    wait_until(lambda: gateway.get("/models").json["models"][0]["state"] == "deployed", "the model served again")
    assert value(metrics_of(gateway), "rollout_lost_models") == 0


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(gateway):
    gateway.make_model("shown", "x")
    gateway.deploy("shown")
    gateway.infer("shown")
    await_value(gateway, 'rollout_backend_up{backend="default"}', 1)  # once the server has been asked for its models
    there = set(re.findall(r"^(rollout_\w+)", metrics_of(gateway), re.M))
    gateway.delete("shown")
    dashboard = json.loads((PROMETHEUS / "rollout-dashboard.json").read_text())
    asked = "\n".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", []))
    asked += "\n".join(re.findall(r"expr:(.*?)\n +(?:for|labels):", (PROMETHEUS / "rollout-alerts.yml").read_text(), re.S))
    named = set(re.findall(r"\b(rollout_\w+)", asked))
    assert len(named) > 10 and named <= there, named - there
    described = set(re.findall(r"^\| `(rollout_\w+)", (ROOT / "docs/reference/metrics.md").read_text(), re.M))
    families = set(re.findall(r"^# TYPE (\w+)", metrics_of(gateway), re.M))
    assert families <= described, families - described
