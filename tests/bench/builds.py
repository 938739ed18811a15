"""The same loads on two builds beside each other: what a change has cost. Only what both can do is measured."""

from figures import compare_rates, rates_figure, side_by_side, Load, wrk
from journals import task_id
from posts import POSTS, ours
from processes import BUILD
from reads import filled, url
from rollouts import LOAD_MS, SIDE_BY_SIDE, deploy_all, gateway_of

BOUND = 0.97


def both(options, make):
    """What `make` makes of each build's folder: this one's, and the other one's."""
    made = []
    try:
        for folder in (BUILD, options.against):
            made.append(make(folder))
    except BaseException:
        for gateway in made:
            gateway.close()
        raise
    return made


def of_posts(options):
    script = options.folder / "posts.lua"
    script.write_text(POSTS)
    gateways = both(options, lambda folder: ours(build=folder))
    try:
        for connections in (256, 64):
            yield compare_rates(f"durable POST /deploy, {connections} connections", options.against_name, BOUND, options.rounds,
                                *(lambda gateway=gateway, connections=connections: wrk(url(gateway, "/"), options.seconds, connections, script)
                                  for gateway in gateways))
    finally:
        for gateway in gateways:
            gateway.close()


def of_reads(options):
    gateways = both(options, lambda folder: filled(1000, "8m", build=folder))
    try:
        for path, name in ((f"/deploy/{task_id(0)}", "GET /deploy/{id}"), ("/deploy-status/m0", "GET /deploy-status/{model}")):
            yield compare_rates(name, options.against_name, BOUND, options.rounds,
                                *(lambda gateway=gateway, path=path: wrk(url(gateway, path), options.seconds) for gateway in gateways))
    finally:
        for gateway in gateways:
            gateway.close()


def of_rollouts(options):
    count, done = options.rollouts, []

    def rate_of(folder):
        gateway = gateway_of(LOAD_MS, folder, max_concurrent_rollouts=SIDE_BY_SIDE)
        done.append(gateway)
        took = deploy_all(gateway, count)
        gateway.stop()
        return Load(count / took, 0, count)

    try:
        pairs = side_by_side(min(options.rounds, 3), lambda: rate_of(BUILD), lambda: rate_of(options.against))
    finally:
        for gateway in done:
            gateway.close()  # all in the end, as in rollouts.py
    figure = rates_figure(f"{count:,} models deployed, {SIDE_BY_SIDE} side by side, {LOAD_MS} ms a load", options.against_name, BOUND, pairs)
    figure.note = figure.note.replace("requests", "rollouts")
    yield figure


BENCHMARKS = {"posts": of_posts, "reads": of_reads, "rollouts": of_rollouts}
