"""The page when something is away: rolloutd, the gateway, the right to read, events. What it shows then is designed, and it recovers by itself."""

import json
import os
import signal

import pytest

from browser import PAGE_LOCATIONS
from pretended_rolloutd import PretendedRolloutd, kept_alive
from processes import wait_until

CLOSED = """
        location ~ ^/closed/ { rollout_api base=/closed; deny all; }
        location /no-right/ { rollout_page api=/closed; }
        location ~ ^/secret/ { rollout_api base=/secret; auth_basic members; auth_basic_user_file /dev/null; }
        location /no-name/ { rollout_page api=/secret; }
        location /no-api/ { rollout_page api=/nowhere; }
        location ~ ^/calm/events { deny all; }
        location ~ ^/calm/ { rollout_api base=/calm; }
        location /no-events/ { rollout_page api=/calm; }
        location ~ ^/studio/ { rollout_api base=/studio dialect=embedding_studio; }
        location /words/ { rollout_page api=/studio write=on; }
        location ~ ^/slow/ { rollout_api base=/slow; limit_req zone=slow; limit_req_status 429; }
        location /too-often/ { rollout_page api=/slow; }
        location = /many/models { default_type application/json; alias HOME/many-$arg_page_token.json; }
        location ~ ^/many/ { rollout_api base=/many; }
        location /too-many/ { rollout_page api=/many; }
"""
NGINX = {"locations": PAGE_LOCATIONS + CLOSED, "http": "limit_req_zone $server_port zone=slow:1m rate=1r/m;"}
HELD = {"steps": [{"weight": 30, "hold_s": 600}, {"weight": 100}]}


@pytest.fixture
def own(make_gateway):
    """A gateway that the test may break, with one model."""
    def made(**settings):
        gateway = make_gateway(nginx={"locations": PAGE_LOCATIONS}, **settings).start()
        gateway.make_model("m", "x")
        gateway.deploy("m")
        return gateway

    return made


def deploy(gateway, name):
    gateway.make_model(name, "x")
    gateway.deploy(name)


def test_rolloutd_that_is_down_is_said_and_the_page_goes_on(own, show):
    gateway = own()
    with show(gateway) as page:
        page.see("tr", "deployed")
        page.see(".signs", "live")
        gateway.rolloutd.kill()
        page.see(".banner", "rolloutd is down.")
        page.see(".signs", "rolloutd is down")
        assert page.count("tr:has-text('deployed')") == 1
        page.must_be_accessible()
        gateway.rolloutd.start()
        gateway.await_link()
        page.see_gone(".banner")
        deploy(gateway, "after")
        page.see("tr", "after")


def test_a_page_that_is_opened_without_rolloutd_says_what_is_missing(own, show):
    gateway = own()
    task = gateway.get("/deploy-status/m").json
    gateway.rolloutd.kill()
    wait_until(lambda: gateway.get("/readyz").status == 503, "the gateway's notice")
    with show(gateway) as page:
        page.see(".banner", "rolloutd is down.")
        page.see(".panel", "rolloutd does not answer")
        page.must_be_accessible()
        page.run(f"location.hash = '/deploy/{task['task_id']}'")
        page.see(".sentence", "Revision 1 serves all traffic")  # the gateway has that itself
        page.run("location.hash = '/'")
        gateway.rolloutd.start()
        page.see("tr", "deployed")
        page.see_gone(".banner")


def test_a_gateway_that_is_still_being_filled_says_so(make_gateway, show):
    gateway = make_gateway(nginx={"locations": PAGE_LOCATIONS, "workers": 1})
    with PretendedRolloutd(gateway.rolloutd.socket) as rolloutd:
        gateway.nginx.start()
        link = rolloutd.accept()
        link.welcome(True)
        with kept_alive(link) as say, show(gateway) as page:
            page.see(".banner", "The gateway is not ready yet. The gateway has not yet received the models from rolloutd.")
            say(type="routes", routes=[], revision=0, begin=True, end=True)
            page.see(".banner", "The gateway is not ready yet. The gateway is still receiving the tasks from rolloutd.")
            say(type="update", revision=0, filled=True, complete=True)
            page.see_gone(".banner")


def test_a_gateway_that_is_gone_makes_the_page_stale_until_it_is_back(own, show):
    gateway = own()
    with show(gateway) as page:
        page.see(".signs", "live")
        gateway.nginx.stop()
        page.see(".signs", "connecting")
        page.see(".banner", "The gateway does not answer.")
        assert page.text(".banner").startswith("The gateway does not answer. What you see is ") and " old." in page.text(".banner")
        assert page.count("main.stale tr:has-text('deployed')") == 1
        page.must_be_accessible()
        gateway.nginx.start()
        page.see_gone(".banner")
        page.see(".signs", "live")
        assert page.count("main.stale") == 0


def test_a_reload_goes_unnoticed(own, show):
    gateway = own()
    with show(gateway) as page:
        page.see(".signs", "live")
        for number in range(3):
            gateway.nginx.reload()
            gateway.await_link()
            deploy(gateway, f"m{number}")
            page.see("tr", f"m{number}")
        page.see(".signs", "live")
        assert page.count(".banner") == 0


def test_an_upgrade_of_nginx_goes_unnoticed(own, show):
    gateway = own(daemon=True)
    gateway.serve_blue("held")
    task = gateway.start_deployment("held", **HELD)
    gateway.await_weight(task, 30)
    with show(gateway, f"/deploy/{task['task_id']}") as page:
        page.see(".sentence", "30 %")
        old, new = gateway.nginx.upgrade()
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: gateway.nginx.worker_pids(new), "the new worker processes")
        gateway.await_link()
        assert gateway.request("POST", f"/deploy/{task['task_id']}/pause").status == 200
        page.see(".sentence", "is paused")
        assert page.count(".banner") == 0


def test_a_hidden_tab_rests_and_is_up_to_date_when_it_is_seen(own, show):
    gateway = own()
    with show(gateway) as page:
        page.see(".signs", "live")
        page.do("visible", **{"is": False})
        log = gateway.home / "access.log"
        wait_until(lambda: "/events" in log.read_text(), "the end of the stream")
        deploy(gateway, "meanwhile")
        asked = log.read_text().count("GET /models ")
        deploy(gateway, "more")
        assert log.read_text().count("GET /models ") == asked
        page.do("visible", **{"is": True})
        page.see("tr", "more")


@pytest.mark.parametrize("place, title, says", [
    ("/no-right/", "You may not see this", "/closed/models"),
    ("/no-name/", "The gateway asks for credentials", "sign in"),
    ("/no-api/", "There is no API here", "rollout_page api=/path"),
])
def test_who_may_not_read_is_told_what_to_do(gateway, show, place, title, says):
    with show(gateway, place=place) as page:
        page.see(".panel", title)
        assert says in page.text(".panel")
        page.must_be_accessible()


def test_who_reads_too_often_is_told_to_wait(gateway, show):
    gateway.get("/slow/healthz")  # the one request that a minute has
    with show(gateway, place="/too-often/") as page:
        page.see(".panel", "Too many requests")
        page.must_be_accessible()


def test_without_events_it_asks_again_and_again(gateway, show):
    with show(gateway, place="/no-events/") as page:
        page.see(".signs", "up to date every few seconds")
        deploy(gateway, "asked-for")
        page.see("tr", "asked-for")
        assert page.count(".banner") == 0


def test_another_dialects_words_are_understood(gateway, show):
    gateway.serve_blue("words")
    task = gateway.start_deployment("words", **HELD)
    gateway.await_weight(task, 30)
    with show(gateway, place="/words/") as page:
        page.see(".work", "Revision 2 has 30 % of the traffic")
        page.run(f"location.hash = '/deploy/{task['task_id']}'")
        page.see(".sentence", "30 %")
        page.click("button:has-text('Cancel…')")
        page.fill("dialog input", "words")
        page.click("dialog [type=submit]")
        page.see(".sentence", "Canceled: ")


def test_more_models_than_it_reads_are_said(make_gateway, show):
    gateway = make_gateway(nginx=NGINX)
    gateway.nginx.pieces["locations"] = NGINX["locations"].replace("HOME", str(gateway.home))
    for number in range(6):
        models = [{"model_id": f"m{number}-{one}", "state": "deployed", "blue": {"revision": 1, "model": "x"}, "green": None, "weight": 0, "kept": [], "task_ids": []}
                  for one in range(1000)]
        (gateway.home / f"many-{number or ''}.json").write_text(json.dumps({"models": models, "next_page_token": str(number + 1) if number < 5 else None}))
    gateway.start()
    with show(gateway, place="/too-many/") as page:
        page.see("h2", "5,000 models, the first 5,000")
        page.see("p", "There are more than 5,000 models.")
        assert page.count("table.models tbody tr") < 200
        page.must_be_accessible()
