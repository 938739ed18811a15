"""rolloutctl on a terminal, as pyte draws it: the picture is redrawn in place, fits, and ends with the task."""

import json

import pytest

from gateway import Client, Traffic
from listener import Listener
from processes import LOCATIONS, wait_until
from rolloutctl import Ctl

NGINX = {"locations": LOCATIONS + "location ~ ^/(healthz|readyz)$ { rollout_api; }"}


@pytest.fixture
def ctl(gateway):
    return Ctl(gateway)


def held(gateway, ctl, model, *arguments):
    gateway.serve_blue(model)
    task = json.loads(ctl.run("deploy", model, "--steps", "50:600s,100", "--no-wait", "--json", *arguments))
    gateway.await_weight(task, 50)
    return task


def test_a_rollout_is_drawn_in_place_until_it_is_over(gateway, ctl):
    task = held(gateway, ctl, "m", "--config", '{"rollout": {"gate": {"min_requests": 5, "max_error_rate": 0.5}}}')
    with ctl.on_terminal("watch", "m") as terminal, Traffic(gateway, "m") as traffic:
        traffic.await_answers("green", 20)
        lines = terminal.await_text("revision 2 beside 1", "rolloutd ✔", "shift ● 1 of 2", "50 %", "to go")
        assert lines[0].startswith("m  revision 2 beside 1  in progress  rolloutd ✔")
        assert any(line.startswith("━") and line.split("  ")[0].endswith("100") for line in lines)
        first = len(terminal.bytes)
        ctl.run("pause", "m")
        terminal.await_text("paused")
        ctl.run("resume", "m")
        ctl.run("promote", "m")
        assert terminal.wait() == 0
        lines = terminal.lines()
        assert "completed" in lines[0] and "Revision 2 serves all traffic of model m." in terminal.text()
        # One picture, at the same place: nothing of the earlier ones is left, and nothing went into the scrollback.
        assert len(terminal.bytes) > first and terminal.text().count("fetch ✔") == 1
        assert terminal.scrolled() == []
        assert terminal.screen.cursor.x == 0 and lines[terminal.screen.cursor.y] == ""  # where the shell goes on
    assert gateway.task(task)["status"] == "completed"


def test_a_small_terminal_shows_what_counts_and_never_scrolls(gateway, ctl):
    held(gateway, ctl, "small")
    with ctl.on_terminal("watch", "small", columns=40, rows=10) as terminal:
        lines = terminal.await_text("small  revision 2", "in progress", "50 %")
        assert all(len(line) <= 40 for line in lines)
        ctl.run("cancel", "small")
        assert terminal.wait() == 3
        assert "canceled" in terminal.text() and terminal.scrolled() == []


def test_a_picture_that_is_too_high_is_cut_at_the_bottom(gateway, ctl):
    held(gateway, ctl, "high")
    with ctl.on_terminal("watch", "high", columns=40, rows=6) as terminal:
        lines = terminal.await_text("high  revision 2", "more lines")
        assert lines[4].startswith("… ") and lines[5] == "" and terminal.scrolled() == []
        ctl.run("cancel", "high", "--wait", status=3)
        assert terminal.wait() == 3


def test_the_picture_follows_the_terminals_size(gateway, ctl):
    held(gateway, ctl, "resized")
    with ctl.on_terminal("watch", "resized", columns=80, rows=24) as terminal:
        terminal.await_text("resized  revision 2 beside 1", "task ")
        for columns, rows in ((40, 10), (120, 30), (80, 24)):
            terminal.resize(columns, rows)
            wait_until(lambda: "resized  revision 2" in terminal.text() and max(map(len, terminal.lines())) > columns // 2, f"{columns} columns")
            wait_until(lambda: terminal.text().count("fetch ✔") == 1 or rows < 24, "one picture")
        assert terminal.lines()[0].startswith("resized  revision 2 beside 1")
        ctl.run("cancel", "resized")
        assert terminal.wait() == 3 and terminal.text().count("resized  revision 2") == 1


def test_no_color_is_no_color(gateway, ctl):
    held(gateway, ctl, "plain")
    for env, is_colored in (({}, True), ({"NO_COLOR": "1"}, False)):
        with ctl.on_terminal("watch", "plain", "--until", "weight=50", **env) as terminal:
            assert terminal.wait() == 0
            assert (b"\x1b[1m" in terminal.bytes) == is_colored
            assert "plain  revision 2" in terminal.text()
    with ctl.on_terminal("watch", "plain", "--until", "weight=50", TERM="dumb") as terminal:
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.bytes and "plain revision 2 in progress" in terminal.text()
    ctl.run("cancel", "plain", "--wait", status=3)


def test_a_pipe_gets_lines_and_no_escape(gateway, ctl):
    held(gateway, ctl, "piped")
    text = ctl.run("watch", "piped", "--until", "weight=50") + ctl.run("status", "piped") + ctl.run("models") + ctl.run("list")
    assert "\x1b" not in text and "piped revision 2 in progress, shift, 50 %" in text
    ctl.run("cancel", "piped", "--wait", status=3)


def test_what_destroys_asks_and_names_the_model(gateway, ctl):
    gateway.make_model("asked", "x")
    ctl.run("deploy", "asked", "--wait")
    for answer, status in (("n\n", 3), ("\n", 3), ("\x04", 3)):
        with ctl.on_terminal("delete", "asked", "--wait") as terminal:
            terminal.await_text("Delete model asked? Its traffic ends, and it is unloaded and removed. [y/N]")
            terminal.type(answer)
            assert terminal.wait() == status and "Nothing was changed." in terminal.text()
    assert "asked" in gateway.serving()
    with ctl.on_terminal("delete", "asked", "--wait") as terminal:
        terminal.await_text("[y/N]")
        terminal.type("y\n")
        assert terminal.wait() == 0
    assert "asked" not in gateway.serving()
    ctl.run("deploy", "asked", "--wait")
    with ctl.on_terminal("delete", "asked", "-y", "--wait") as terminal:
        assert terminal.wait() == 0 and "[y/N]" not in terminal.text()


def test_a_failed_rollout_ends_with_its_reason(gateway, ctl):
    gateway.serve_blue("broken", faults=[{"kind": "failed_load", "error": "no such opset"}])
    with ctl.on_terminal("deploy", "broken") as terminal:
        assert terminal.wait() == 1
        assert "failed" in terminal.lines()[0] and "load ✘" in terminal.text()
        assert "no such opset" in " ".join(terminal.text().split())  # whichever line it is broken into


def test_a_gateway_that_goes_away_and_comes_back(make_gateway):
    gateway = make_gateway(nginx=NGINX).start()
    ctl = Ctl(gateway)
    held(gateway, ctl, "m")
    with ctl.on_terminal("watch", "m") as terminal:
        terminal.await_text("rolloutd ✔")
        gateway.rolloutd.stop()
        terminal.await_text("rolloutd ✘")
        gateway.rolloutd.start()
        terminal.await_text("rolloutd ✔")
        gateway.nginx.stop()
        terminal.await_text("no answer for", "No gateway answers at", "m  revision 2")
        gateway.nginx.start()
        wait_until(lambda: "no answer for" not in terminal.text(), "the gateway's answer")
        gateway.await_link()
        ctl.run("promote", "m")
        assert terminal.wait() == 0 and terminal.text().count("fetch ✔") == 1


def test_a_thousand_tasks_are_watched(make_gateway):
    gateway = make_gateway(nginx=NGINX, rolloutd={"limits": {"max_concurrent_rollouts": 0}}).start()  # which holds all tasks
    ctl = Ctl(gateway)
    client = Client(gateway.port, keep=True)
    for number in range(1000):
        client.post("/deploy", {"model_id": f"crowd-{number:04}"}).task()
    with ctl.on_terminal("watch", rows=20) as terminal:
        lines = terminal.await_text("0 tasks at work, 1000 waiting", "984 more lines")
        assert "MODEL" in lines[1] and lines[19] == "" and terminal.scrolled() == []
        assert all(len(line) <= 80 for line in lines)
    assert len(ctl.run("list", "--limit", "1000").splitlines()) == 1001
    assert "crowd-0500" in ctl.run("status", "crowd-0500")


def test_a_thousand_models_are_listed(gateway):
    """A list of the length of several of the gateway's frames, in its pages, from something that answers as a gateway does."""
    models = [{"model_id": f"crowd-{number:04}", "state": "deployed", "blue": {"revision": number + 1}, "green": None, "weight": 0, "kept": [],
               "task_ids": []} for number in range(1000)]
    asked = []

    def serve(connection):
        path = connection.recv(65536).decode().split(" ")[1]
        asked.append(path)
        first = 600 if "page_token=crowd-0599" in path else 0
        body = json.dumps({"models": models[first:first + 600], "next_page_token": "crowd-0599" if first == 0 else None})
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())

    listener = Listener(serve)
    try:
        ctl = Ctl(gateway, f"http://127.0.0.1:{listener.port}")
        assert ctl.run("models", "--names").split() == [one["model_id"] for one in models]
        assert asked == ["/models?limit=1000", "/models?limit=1000&page_token=crowd-0599"]
        rows = ctl.run("models").splitlines()
        assert len(rows) == 1001 and rows[1000].split()[:3] == ["crowd-0999", "deployed", "1000"]
    finally:
        listener.close()
