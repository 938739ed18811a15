"""Reads, inferences and posts with 1 nginx worker process, with 2, and with one for each core: what more cores bring."""

import os

from figures import compare_rates, wrk
from posts import POSTS, ours
from routing import ASKS, LOCATIONS, route
from stand_in import API_LOCATION, StandIn


def measure(options):
    cores = os.cpu_count()
    inferences, posts = options.folder / "inferences.lua", options.folder / "posts.lua"
    inferences.write_text(ASKS)
    posts.write_text(POSTS)

    def of(workers):
        return StandIn(LOCATIONS + API_LOCATION, routes=[route(0)], zone="64m", workers=workers), ours(workers)

    one = of(1)
    try:
        for workers in sorted({2, cores} - {1}):
            many = of(workers)
            try:
                def rates(what, load):
                    return compare_rates(f"{what}, {workers} worker processes", "one", None, options.rounds,
                                         lambda: load(*many, min(workers, cores)), lambda: load(*one, 1))
                yield rates("GET /deploy-status/{model}", lambda nginx, _, threads: wrk(nginx.url("/deploy-status/m0"), options.seconds, threads=threads))
                yield rates("inference through rollout_route", lambda nginx, _, threads: wrk(
                    nginx.url("/"), options.seconds, script=inferences, arguments=["", 1, "m"], threads=threads))
                yield rates("durable POST /deploy, 256 connections", lambda _, gateway, threads: wrk(
                    f"http://127.0.0.1:{gateway.nginx.port}/", options.seconds, 256, posts, threads=threads))
            finally:
                for gateway in many:
                    gateway.close()
    finally:
        for gateway in one:
            gateway.close()
