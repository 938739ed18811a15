"""The plots of a rollout, and the numbers beside them, from a series that the test writes."""

import datetime
import json

import pytest

from browser import PAGE_LOCATIONS

HELD = {"steps": [{"weight": 25, "hold_s": 600}, {"weight": 100}]}
FROM = datetime.datetime(2026, 11, 24, 12, 0, 0)
POINTS = 120


def at(second):
    return (FROM + datetime.timedelta(seconds=second)).isoformat() + "Z"


def slot(weights, share, failures, p99):
    return {"requests": [share(weight) for weight in weights], "failures": failures, "client_errors": [0] * POINTS, "p50_ms": [8] * POINTS, "p99_ms": p99}


def series():
    """5, 25 and 50 %; one of green's requests in ten seconds fails, and somebody pauses at 25 %."""
    weights = [5] * 40 + [25] * 50 + [50] * 30
    rare = [1 if second % 10 == 9 else 0 for second in range(POINTS)]
    return {
        "task_id": "t", "model_id": "m", "from": at(0), "period_s": 1, "second": list(range(1, POINTS + 1)), "weight": weights,
        "blue": slot(weights, lambda weight: 2 * (100 - weight), [0] * POINTS, [25] * POINTS),
        "green": slot(weights, lambda weight: 2 * weight, rare, [None] + [27] * (POINTS - 1)),
        "limits": {"min_requests": 50, "max_error_rate": 0.02, "max_p99_ratio_to_blue": 2},
        "marks": [{"at": at(0), "what": "weight", "detail": "5 %"}, {"at": at(40), "what": "weight", "detail": "25 %"}, {"at": at(60), "what": "pause", "detail": "by ann"},
                  {"at": at(90), "what": "weight", "detail": "<b>50 %</b>"}],
    }


@pytest.fixture(scope="module")
def plotted(request):
    """A gateway with a rollout, whose series is a file; and its task."""
    from ending import finish
    from gateway import Gateway
    gateway = Gateway()
    gateway.nginx.pieces["locations"] = (f"location ~ ^/deploy/[^/]+/series$ {{ default_type application/json; alias {gateway.home}/series.json; }}\n"
                                         + PAGE_LOCATIONS)
    write(gateway, series())
    try:
        gateway.start()
        gateway.serve_blue("m")
        task = gateway.start_deployment("m", **HELD)
        gateway.await_weight(task, 25)
        yield gateway, task
    finally:
        finish(request, gateway)


def write(gateway, what):
    made = gateway.home / "series.new"
    made.write_text(json.dumps(what))
    made.rename(gateway.home / "series.json")


def colors(page, plot):
    """How many dots of each of the colours a canvas has."""
    return page.run(f"""(() => {{
        const canvas = document.querySelectorAll('.plot canvas')[{plot}];
        const copy = document.createElement('canvas');
        [copy.width, copy.height] = [canvas.width, canvas.height];
        const context = copy.getContext('2d', {{ willReadFrequently: true }});
        context.drawImage(canvas, 0, 0);
        const data = context.getImageData(0, 0, copy.width, copy.height).data;
        const style = getComputedStyle(document.documentElement);
        const wanted = Object.fromEntries(['--blue', '--green', '--bad', '--mark'].map((name) => {{
            const hex = parseInt(style.getPropertyValue(name).trim().slice(1), 16);
            return [name, [hex >> 16, (hex >> 8) & 255, hex & 255]];
        }}));
        const found = {{}};
        for (let i = 0; i < data.length; i += 4) {{
            for (const [name, [r, g, b]] of Object.entries(wanted)) {{
                if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12 && data[i + 3] > 200) found[name] = (found[name] ?? 0) + 1;
            }}
        }}
        return found;
    }})()""")


@pytest.mark.parametrize("dark", (False, True), ids=("light", "dark"))
def test_lines_limits_and_marks_are_drawn(plotted, show, dark):
    gateway, task = plotted
    write(gateway, series())
    with show(gateway, f"/deploy/{task['task_id']}", dark=dark) as page:
        page.see(".plot canvas")
        page.until(lambda: page.count(".plot canvas") == 3, "the plots")
        weight, failed, p99 = (colors(page, plot) for plot in range(3))
        assert weight["--green"] > 200 and "--blue" not in weight and "--bad" not in weight
        for lines in (failed, p99):
            assert lines["--blue"] > 200 and lines["--green"] > 100 and lines["--bad"] > 50 and lines["--mark"] > 50, (failed, p99)
        page.must_be_accessible()
        # The other colours, as soon as the machine changes to them.
        page.do("media", dark=not dark)
        page.until(lambda: colors(page, 0).get("--green", 0) > 200, "the plots in the other colours")


def test_each_plot_says_its_numbers_in_words(plotted, show):
    gateway, task = plotted
    write(gateway, series())
    with show(gateway, f"/deploy/{task['task_id']}") as page:
        page.see(".plot canvas")
        labels = page.run("[...document.querySelectorAll('.plot [role=img]')].map((plot) => plot.getAttribute('aria-label'))")
        assert labels[0] == "The weight, at last: 50 %."
        assert labels[1].startswith("Failed requests, at last: blue 0 %, green 0.1 %, limit 2 %.")
        assert labels[2].startswith("p99, at last: blue 25 ms, green 27 ms, limit 50 ms.")
        marks = page.texts("ol.marks li")
        assert len(marks) == 4 and "new weight" in marks[0] and "paused" in marks[2] and "by ann" in marks[2] and "<b>50 %</b>" in marks[3]
        page.click("summary:has-text('The numbers')")
        assert page.count(".numbers tbody tr") == POINTS
        assert page.text(".numbers tbody tr").split("\t") == ["2026-11-24 12:02:00", "50 %", "100", "0", "0", "8 ms", "25 ms", "100", "1", "0", "8 ms", "27 ms"]
        page.must_be_accessible()


def test_new_points_appear_as_they_come(plotted, show):
    gateway, task = plotted
    write(gateway, {**series(), "second": [], "weight": [], "from": None, "marks": []})
    with show(gateway, f"/deploy/{task['task_id']}") as page:
        page.see(".sentence", "25 %")
        assert page.count(".plot") == 0
        write(gateway, {**series(), "second": [1], "weight": [5], "limits": None, "marks": []})
        page.until(lambda: page.count(".plot canvas") == 3, "the plots")
        page.until(lambda: "limit" not in page.text("section[aria-label=Plots]"), "no limit")
        write(gateway, series())
        page.until(lambda: "limit 2 %" in page.run("document.querySelectorAll('.plot [role=img]')[1].getAttribute('aria-label')"), "the limit")


def test_plots_fit_a_narrow_screen(plotted, show):
    gateway, task = plotted
    write(gateway, series())
    with show(gateway, f"/deploy/{task['task_id']}", width=1280) as page:
        page.see(".plot canvas")
        page.do("size", width=320, height=700)
        page.until(lambda: page.run("document.documentElement.scrollWidth") <= 320, "the narrow plots")
        page.click("summary:has-text('The numbers')")
        assert page.run("document.documentElement.scrollWidth") <= 320
        page.must_be_accessible()
