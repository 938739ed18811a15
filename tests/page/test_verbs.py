"""What the page's buttons do: each says what will happen, waits for the gateway's answer and shows it as it is."""

import re

import pytest

from browser import PAGE_LOCATIONS
from processes import wait_until

NGINX = {"locations": PAGE_LOCATIONS + """
        location ~ ^/no-verbs/(?<rest>.*)$ { limit_except GET { deny all; } rollout_api base=/no-verbs; }
        location /refused/ { rollout_page write=on api=/no-verbs; }
        location /by-user/ { rollout_page write=$cookie_writer; }
"""}
ROLLOUTD = {"limits": {"max_concurrent_rollouts": 64}}
HELD = {"steps": [{"weight": 30, "hold_s": 600}, {"weight": 60, "hold_s": 600}, {"weight": 100}], "old": "keep"}
MANUAL = {"steps": [{"weight": 50, "hold_s": 0}], "promote": "manual", "old": "keep"}


@pytest.fixture
def m(request):
    """A model of the test's own."""
    return re.sub(r"\W+", "_", request.node.name[5:])[:60].strip("_")


def start(gateway, m, weight, rollout):
    gateway.serve_blue(m)
    task = gateway.start_deployment(m, **rollout)
    gateway.await_weight(task, weight)
    return task


def at(task, kind="deploy"):
    return f"/{kind}/{task['task_id']}"


def offered(page):
    return [text.removesuffix("…") for text in page.texts("main .buttons > button")]


def await_offers(page, *names):
    page.until(lambda: offered(page) == list(names), f"the buttons {names}")


def agree(page, says, name=None):
    """Reads the dialog, types the model's name if it must, and sends."""
    page.see("dialog[open] #consent-text", says)
    page.must_be_accessible()
    if name is None:
        assert page.count("dialog input") == 0
    else:
        assert page.run("document.querySelector('dialog [type=submit]').disabled") is True
        page.fill("dialog input", name + "x")
        assert page.run("document.querySelector('dialog [type=submit]').disabled") is True
        page.fill("dialog input", name)
    page.click("dialog [type=submit]")


def test_a_rollout_is_paused_resumed_and_promoted(gateway, show, m):
    task = start(gateway, m, 30, HELD)
    with show(gateway, at(task)) as page:
        await_offers(page, "Promote", "Pause", "Cancel")
        page.click("button:has-text('Pause…')")
        agree(page, f"Revision 2 keeps 30 % of {m}'s traffic until somebody resumes the rollout.")
        page.see_gone("dialog[open]")
        page.see(".sentence", "is paused")
        await_offers(page, "Promote", "Resume", "Cancel")
        page.click("button:has-text('Resume…')")
        agree(page, "The rollout of revision 2 goes on from 30 %.")
        await_offers(page, "Promote", "Pause", "Cancel")
        page.click("button:has-text('Promote…')")
        agree(page, f"The hold at 30 % ends before its time. Revision 2 gets 60 % of {m}'s traffic.", m)
        page.see(".sentence", "60 %")
        page.click("button:has-text('Promote…')")
        agree(page, f"All of {m}'s traffic goes to revision 2.", m)
        page.see(".sentence", f"Revision 2 serves all traffic of model {m}")


def test_what_waits_for_a_person_is_promoted_without_typing(gateway, show, m):
    task = start(gateway, m, 50, MANUAL)
    wait_until(lambda: gateway.task(task)["metadata"].get("waits_for") == "person", "the wait for a person")
    with show(gateway, at(task)) as page:
        page.see(".verdict.waiting .sentence", "waits for you")
        page.click("button:has-text('Promote…')")
        agree(page, f"All of {m}'s traffic goes to revision 2.")
        page.see(".sentence", f"Revision 2 serves all traffic of model {m}")
        await_offers(page, "Roll back")
        page.click("button:has-text('Roll back…')")
        agree(page, f"All of {m}'s traffic goes from revision 2 back to revision 1, as a new rollout.", m)
        page.until(lambda: task["task_id"] not in page.run("location.hash"), "the new task")
        page.see(".meta", "made from")
    wait_until(lambda: gateway.get(f"/deploy-status/{m}").json["parent_id"] == task["task_id"], "the new rollout")


def test_a_cancel_takes_all_back_and_a_retry_starts_anew(gateway, show, m):
    task = start(gateway, m, 30, HELD)
    with show(gateway, at(task)) as page:
        await_offers(page, "Promote", "Pause", "Cancel")
        page.click("button:has-text('Cancel…')")
        agree(page, f"All of {m}'s traffic goes back to the revision that served before, and revision 2 is removed.", m)
        page.see(".sentence", "Canceled: ")
        await_offers(page, "Retry")
        page.click("button:has-text('Retry…')")
        agree(page, f"{m} is deployed again, with the same source and settings, as a new task.")
        page.until(lambda: task["task_id"] not in page.run("location.hash"), "the new task")
        page.see(".sentence", "30 %")


def test_doing_nothing_does_nothing(gateway, show, m):
    task = start(gateway, m, 30, HELD)
    with show(gateway, at(task)) as page:
        page.click("button:has-text('Pause…')")
        page.click("dialog button:has-text('Do nothing')")
        page.see_gone("dialog[open]")
        page.click("button:has-text('Cancel…')")
        page.see("dialog[open]")
        page.press("Escape")
        page.see_gone("dialog[open]")
    assert "paused" not in gateway.task(task)["metadata"] and gateway.task(task)["status"] == "in_progress"


def test_a_refusal_is_shown_as_the_gateway_says_it(gateway, show, m):
    task = start(gateway, m, 30, HELD)
    with show(gateway, at(task), place="/refused/") as page:
        page.click("button:has-text('Pause…')")
        page.click("dialog [type=submit]")
        page.see("dialog [role=alert]", "The gateway does not allow this client to do that.")
        assert "paused" not in gateway.task(task)["metadata"]
        page.must_be_accessible()


def test_a_verb_that_came_too_late_says_so(gateway, show, m):
    task = start(gateway, m, 30, HELD)
    with show(gateway, at(task)) as page:
        page.click("button:has-text('Pause…')")
        page.see("dialog[open]")
        assert gateway.request("POST", f"/deploy/{task['task_id']}/pause").status == 200
        page.click("dialog [type=submit]")
        page.see("dialog [role=alert]", "is paused already.")


def test_an_answer_that_is_lost_can_be_asked_for_again(make_gateway, show):
    gateway = make_gateway(nginx=NGINX).start()
    gateway.make_model("m", "x")
    (gateway.home / "models/m/1/model.json").unlink()
    task = gateway.deploy("m", status="failed")
    with show(gateway, at(task)) as page:
        page.click("button:has-text('Retry…')")
        page.see("dialog[open]")
        gateway.nginx.stop()
        page.click("dialog [type=submit]")
        page.see("dialog [role=alert]", "it is not known whether it has taken this")
        gateway.nginx.start()
        gateway.await_link()
        page.click("dialog [type=submit]:has-text('Send again')")
        page.until(lambda: task["task_id"] not in page.run("location.hash"), "the new task")


@pytest.mark.parametrize("place", ("/read/", "/by-user/"))
def test_without_write_there_are_no_buttons(gateway, show, m, place):
    task = start(gateway, m, 30, HELD)
    with show(gateway, at(task), place=place) as page:
        page.see(".sentence", "30 %")
        page.see(".signs", "read only")
        assert offered(page) == []
        if place == "/by-user/":
            page.run("document.cookie = 'writer=ann; path=/'")
            page.do("reload")
            await_offers(page, "Promote", "Pause", "Cancel")
        page.must_be_accessible()
