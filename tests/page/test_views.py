"""What the operator's page shows: models, a rollout from its post to its end, history; to the eye, to the keyboard and to a screen reader."""

import json
import re

import pytest

from browser import PAGE_LOCATIONS
from gateway import Traffic

NGINX = {"locations": PAGE_LOCATIONS}
ROLLOUTD = {"limits": {"max_concurrent_rollouts": 64}}
HELD = {"steps": [{"weight": 30, "hold_s": 600}, {"weight": 100}], "gate": {"min_requests": 5, "max_error_rate": 0.2}}
BAD = {"steps": [{"weight": 50, "hold_s": 600}, {"weight": 100}], "gate": {"min_requests": 5, "max_error_rate": 0.01}}
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture
def m(request):
    """A model of the test's own."""
    return re.sub(r"\W+", "_", request.node.name[5:])[:60].strip("_")


@pytest.fixture
def held(gateway, m):
    gateway.serve_blue(m)
    task = gateway.start_deployment(m, **HELD)
    gateway.await_weight(task, 30)
    return task


def deploy_at(task):
    return f"/deploy/{task['task_id']}"


def test_without_models_it_says_how_to_deploy_one(make_gateway, show):
    gateway = make_gateway(nginx=NGINX).start()
    with show(gateway) as page:
        page.see("h2", "No model is deployed")
        assert f"http://127.0.0.1:{gateway.port}/deploy" in page.text("pre")
        page.must_be_accessible()
        gateway.make_model("first", "x")
        gateway.deploy("first")
        page.see("table.models", "first")
        assert page.count("h2:has-text('No model is deployed')") == 0


def test_a_rollout_is_seen_from_its_post_to_its_end(gateway, show, m):
    gateway.serve_blue(m)
    with show(gateway) as page, Traffic(gateway, m) as traffic:
        page.see("tr", m)
        task = gateway.start_deployment(m, **HELD)
        page.see(".work li", "30 % green")
        page.click(f".work li:has-text('{m}') a:has-text('revision 2')")
        page.see(".sentence", "Revision 2 has 30 % of the traffic")
        page.see("li.step.busy", "shift")
        traffic.await_answers("green")
        gateway.request("POST", f"/deploy/{task['task_id']}/promote")
        page.see(".sentence", f"Revision 2 serves all traffic of model {m}.")
        page.see("li.step.good", "retire")
        assert page.run("document.querySelector('[role=status]').textContent").startswith("Revision 2 serves")
        assert page.run("document.title") == f"{m}: completed – Rollout"
        assert page.count("button:has-text('Cancel')") == 0
        page.must_be_accessible()


def test_opened_midway_it_shows_all_that_was(gateway, show, held, m):
    with show(gateway, deploy_at(held)) as page:
        page.see(".sentence", "30 %")
        assert page.text("h1") == f"{m}: revision 2"
        steps = page.texts("ol.steps > li")
        assert [text.split()[0] for text in steps] == ["fetch", "stage", "load", "ready", "smoke", "shift", "promote", "retire"]
        assert "1 file" in steps[0] and "done" in steps[0] and "running" in steps[5] and "pending" in steps[7]
        assert "30 % for 10 min, 100 %" in page.text("section[aria-labelledby=plan]")
        with Traffic(gateway, m) as traffic:
            traffic.await_answers("green")
            page.until(lambda: page.count(".plot canvas") == 3, "the plots")
            page.until(lambda: "green 0 %" in page.run("document.querySelectorAll('.plot [role=img]')[1].getAttribute('aria-label')"), "green's failures")
        assert "new weight" in page.text("ol.marks")
    with show(gateway, deploy_at(held)) as page:  # what the gate has seen is there for who comes later
        page.see(".plot canvas")
        page.must_be_accessible()


def test_a_failing_gate_says_why_first(gateway, show, m):
    gateway.serve_blue(m, faults=[{"kind": "failed_infer", "share": 1}])
    task = gateway.start_deployment(m, **BAD)
    with show(gateway, deploy_at(task)) as page, Traffic(gateway, m):
        page.see(".verdict.bad .sentence", "Revision 2 failed")
        sentence = page.text(".sentence")
        assert gateway.task(task)["detail"] in sentence
        assert page.text(".verdict > .bad").startswith("The gate: ")
        broken = page.text(".judgements .bad")
        assert "failed 100 %" in broken.replace("\n", " ") and "at most 1 %" in broken
        page.see("ol.marks", "verdict")
        page.must_be_accessible()
    with show(gateway) as page:
        page.see("tr", m)
        first = page.text("table.models tbody tr")
        assert m in first and "failed" in first  # problems first


def test_the_history_has_filters_that_are_links(gateway, show, m):
    gateway.make_model(m, "1")
    done = gateway.deploy(m)
    gone = gateway.delete(m)
    wrong = gateway.wait(gateway.post("/delete", {"model_id": m}).task(), "delete", "refused")
    with show(gateway, f"/history?model={m}") as page:
        page.see("table.tasks", "refused")
        assert page.count("table.tasks tbody tr") == 3
        page.do("choose", of="select >> nth=0", option="refused")
        page.see("table.tasks tbody tr", "refused")
        page.until(lambda: page.count("table.tasks tbody tr") == 1, "the filter")
        assert page.run("location.hash") == f"#/history?model={m}&status=refused"
        page.click("table.tasks tbody a:has-text('deletion')")
        page.see(".sentence", "Refused: ")
        assert page.run("location.hash") == f"#/delete/{wrong['task_id']}"
    with show(gateway, f"/history?model={m}&kind=delete&status=completed") as page:
        page.see("table.tasks", "deletion")
        assert page.count("table.tasks tbody tr") == 1
        page.click("table.tasks tbody a:has-text('deletion')")
        page.see(".sentence", f"Model {m} is deleted.")
        page.must_be_accessible()
        assert gone["task_id"] in page.run("location.hash")
    with show(gateway, f"/models/{m}") as page:
        page.see("p", "No model of this name is deployed.")
        page.see("table.tasks", "completed")
        assert page.count("table.tasks tbody tr") == 3
        page.must_be_accessible()
    assert done["status"] == "completed"


def test_a_model_shows_what_serves_and_what_was(gateway, show, held, m):
    with show(gateway, f"/models/{m}") as page:
        page.see("dl", f"{m}__r1")
        text = page.text("dl")
        assert f"{m}__r2" in text and "30 % green" in text and "no revision is kept" in text
        page.see("section[aria-labelledby=last]", "Revision 2 has 30 % of the traffic")
        assert page.count("table.tasks tbody tr") == 2
        page.must_be_accessible()


def test_hostile_texts_stay_texts(gateway, show, m):
    gateway.make_model(m, HOSTILE)
    task = gateway.wait(gateway.post("/deploy", {"model_id": m, "config": {HOSTILE: HOSTILE, "source": f"file://{gateway.home}/models/{HOSTILE}"}}).task())
    assert task["status"] == "failed" and "<img" in task["detail"]
    for at in (deploy_at(task), f"/models/{m}", f"/history?model={m}", "/", f"/models/{HOSTILE}", f"/deploy/{HOSTILE}", f"/{HOSTILE}", "/?filter=<b>"):
        with show(gateway, at) as page:
            page.see("main h1, main h2")
            page.see("main")
            page.until(lambda: page.count(".loading") == 0, "the answers")
            assert page.count("img") == 0 and page.count("main b") == 0
            assert page.run("document.title") != "1"
    with show(gateway, deploy_at(task)) as page:
        page.see(".sentence", "<img")
        page.click("summary:has-text('Configuration')")
        assert HOSTILE.replace('"', '\\"') in page.text("pre")


def test_a_task_that_does_not_exist_has_words_of_its_own(gateway, show):
    with show(gateway, "/deploy/none") as page:
        page.see(".panel", "There is nothing here")
        assert '"none"' in page.text(".panel")
        page.must_be_accessible()
    with show(gateway, "/nowhere/else") as page:
        page.see(".panel", "There is no such page")
        page.must_be_accessible()


@pytest.mark.parametrize("dark", (False, True), ids=("light", "dark"))
@pytest.mark.parametrize("width", (320, 1280))
def test_every_view_is_accessible_and_fits(gateway, show, held, dark, width):
    model = held["model_id"]
    with show(gateway, dark=dark, width=width, reduced=True) as page:
        for at, what in (("/", "table.models"), (f"/models/{model}", "table.tasks"), (deploy_at(held), "ol.steps"), ("/history", "table.tasks")):
            page.run(f"location.hash = {at!r}")
            page.see(what)
            page.must_be_accessible()
            assert page.run("document.documentElement.scrollWidth") <= width, at
            page.do("media", print=True)
            assert page.run("document.documentElement.scrollWidth") <= width, at
            page.do("media", print=False)


def test_it_can_be_used_by_keyboard_alone(gateway, show, held, m):
    with show(gateway) as page:
        page.see("tr", m)
        page.press("Tab")
        assert page.run("document.activeElement.textContent") == "To the content"
        page.press("Enter")
        assert page.run("document.activeElement.id") == "main"
        for _ in range(40):
            page.press("Tab")
            if page.run("document.activeElement.textContent") == m:
                break
        page.press("Enter")
        page.see("h1", m)
        assert page.run("document.activeElement.id") == "main"
        for _ in range(40):
            page.press("Tab")
            if page.run("document.activeElement.textContent") == "Pause…":
                break
        page.press("Enter")
        page.see("dialog[open]", "keeps 30 %")
        page.press("Escape")
        page.see_gone("dialog[open]")
        assert page.run("document.activeElement.textContent") == "Pause…"
        page.press("Enter")
        page.see("dialog[open]")
        for _ in range(5):
            if page.run("document.activeElement.textContent") == "Pause":
                break
            page.press("Tab")
        page.press("Enter")
        page.see("button:has-text('Resume…')")
    assert gateway.task(held)["metadata"]["paused"] is True


def listed(number, **what):
    return {"model_id": f"m{number}", "state": "deployed", "blue": {"revision": 1, "model": f"m{number}__r1"}, "green": None, "weight": 0, "kept": [], "task_ids": [], **what}


def test_a_thousand_models_are_drawn_as_they_are_seen(make_gateway, show):
    """The list is a file: deploying so many takes minutes."""
    gateway = make_gateway()
    gateway.nginx.pieces["locations"] = (f"location = /many/models {{ default_type application/json; alias {gateway.home}/many.json; }}\n"
                                         "location ~ ^/many/events { deny all; } location ~ ^/many/ { rollout_api base=/many; }\n"
                                         "location /page/ { rollout_page api=/many; }\n" + PAGE_LOCATIONS)

    def write(models):
        (gateway.home / "new.json").write_text(json.dumps({"models": models, "next_page_token": None}))
        (gateway.home / "new.json").rename(gateway.home / "many.json")

    models = [listed(number) for number in range(1000)]
    write(models)
    gateway.start()
    with show(gateway, place="/page/") as page:
        page.see("h2", "1,000 models")
        assert page.count("table.models tbody tr") < 200
        assert page.run("document.querySelector('table.models').getAttribute('aria-rowcount')") == "1001"
        page.run("scrollTo(0, document.documentElement.scrollHeight)")
        page.see("th", "m999")
        page.run("scrollTo(0, 0)")
        page.see("th", "m0")
        write([listed(500, state="lost", detail="It is gone.")] + [one for one in models if one["model_id"] != "m500"])
        page.until(lambda: "m500" in page.text("table.models tbody tr"), "the problem on top")
        assert page.run("document.querySelectorAll('table.models tbody tr')[1].textContent").startswith("m0")
        page.fill("input[type=search]", "m123")
        page.until(lambda: page.count("table.models tbody tr") == 1, "the filter")
        assert page.run("location.hash") == "#/?filter=m123"
        page.fill("input[type=search]", "")
        page.must_be_accessible()
        page.do("size", width=320, height=700)
        page.run("scrollTo(0, document.documentElement.scrollHeight)")
        page.see("th", "m999")
        assert page.run("document.documentElement.scrollWidth") <= 320


def test_a_models_requests_are_shown_as_they_come(gateway, show, m):
    gateway.make_model(m, "x")
    gateway.deploy(m)
    with show(gateway, f"/?filter={m}") as page, Traffic(gateway, m):
        page.see("tr td[data-name=Requests]", "/s")
        page.until(lambda: page.text("tr td[data-name=Requests]") not in ("–", "0/s"), "the rate")
        assert page.text("tr td[data-name=Failed]") == "0 %" and page.text("tr td[data-name=p99]").endswith(" ms")
        page.run(f"location.hash = '/models/{m}'")
        page.see("dd", "/s, 0 % failed")
