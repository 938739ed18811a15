"""Runs the benchmarks and writes what they found: a table for people, the figures as JSON, and plots.

usage: see ./tests/bench/run"""

import argparse
import json
import pathlib
import platform
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "harness"))

import builds  # noqa: E402
import cluster  # noqa: E402
import cores  # noqa: E402
import large  # noqa: E402
import names  # noqa: E402
import plots  # noqa: E402
import posts  # noqa: E402
import purge  # noqa: E402
import reads  # noqa: E402
import rollouts  # noqa: E402
import routing  # noqa: E402
import sizes  # noqa: E402

BENCHMARKS = {"reads": reads.measure, "routing": routing.measure, "names": names.measure, "posts": posts.measure, "memory": sizes.zone, "daemon": sizes.daemon,
              "refill": sizes.refill, "rollouts": rollouts.measure, "large": large.measure, "cores": cores.measure, "purge": purge.measure,
              "cluster": cluster.posts, "takeover": cluster.takeover}


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="tests/bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--against", type=pathlib.Path, metavar="BUILD_FOLDER",
                        help=f"compares this build with another one, beside each other: {', '.join(builds.BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="shows that all of it works; its figures mean nothing")
    parser.add_argument("--into", type=pathlib.Path, default=pathlib.Path("build/bench"))
    parser.add_argument("--large-gib", type=float, default=2, help="the size of the benchmark large's model")
    options = parser.parse_args(arguments)
    options.benchmarks = BENCHMARKS
    if options.against:
        options.against, options.against_name = options.against.resolve(), f"{options.against}"
        options.benchmarks = builds.BENCHMARKS
        if not (options.against / "worker/rolloutd").exists():
            parser.error(f"there is no build in {options.against}: it has no worker/rolloutd")
    for name in options.names:
        if name not in options.benchmarks:
            parser.error(f"there is no benchmark {name}: {', '.join(options.benchmarks)}")
    quick = options.quick
    options.rounds = 1 if quick else options.rounds
    options.seconds = 1 if quick else 2
    options.tasks = 20_000 if quick else 1_000_000
    options.cluster_tasks = 2000 if quick else 200_000
    options.old_tasks = 20_000 if quick else 500_000
    options.models = 1000 if quick else 10_000
    options.large_bytes = 64 << 20 if quick else int(options.large_gib * (1 << 30))
    options.rollouts = 50 if quick else 1000
    return options


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())
    with open("/proc/cpuinfo") as info:
        cores = sum(line.startswith("processor") for line in info)
    version = ".".join(platform.release().split(".")[:2])
    return f"{cores} cores ({model}), Linux {version}"


def table(found, where):
    lines = [f"Measured on {where}: medians of the rounds, and their spread.", "",
             "| what | against | bound | median | spread | |", "|---|---|---|---|---|---|"]
    for figure in found:
        lines.append(f"| {figure.what} | {figure.against} | {plots.bound_of(figure)} | {figure.median:.3g}{'' if figure.met else ' ✗'} | "
                     f"{min(figure.ratios):.3g} … {max(figure.ratios):.3g} | {figure.note} |")
    return "\n".join(lines) + "\n"


def main():
    options = options_of(sys.argv[1:])
    options.into.mkdir(parents=True, exist_ok=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="rollout-bench.") as folder:
        options.folder = pathlib.Path(folder)
        for name in options.names or options.benchmarks:
            began = time.monotonic()
            for figure in options.benchmarks[name](options):
                found.append(figure)
                print(f"{'  ' if figure.met else '✗ '}{figure.what}, against {figure.against}: {figure.median:.3g} ({figure.note})", flush=True)
            print(f"  [{name}: {time.monotonic() - began:.0f} s]", flush=True)
    where = machine()
    (options.into / "figures.json").write_text(json.dumps({"machine": where, "figures": [one.as_json() for one in found]}, indent=1) + "\n")
    (options.into / "table.md").write_text(table(found, where))
    plots.draw(found, options.into)
    print(f"Written to {options.into}: table.md, figures.json and plots as SVG.")
    missed = [one.what for one in found if not one.met]
    if missed:
        print(f"{len(missed)} of {len(found)} figures missed their bound: {'; '.join(missed)}")
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
