"""What a benchmark is made of: loads that are put on two things in turn, and the ratio of the two."""

import dataclasses
import os
import re
import statistics
import subprocess
import time


@dataclasses.dataclass
class Load:
    """What one run of wrk saw."""
    rate: float  # requests a second
    p99_ms: float
    requests: int
    cpu_us: float = 0  # of the processes that served them, a request


class BrokenLoad(Exception):
    """A load whose answers were not all good measures something else than it says."""


def wrk(url, seconds, connections=64, script=None, arguments=(), threads=1):
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    command += ["-s", str(script)] if script else []
    said = subprocess.run([*command, url, "--", *map(str, arguments)], capture_output=True, text=True, check=True).stdout
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)\n", said)
    if "Non-2xx" in said or "Socket errors" in said or latency is None:
        raise BrokenLoad(f"{url}: {said}")
    amount, unit = latency.groups()
    p99_ms = float(amount) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return Load(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), p99_ms, int(re.search(r"(\d+) requests in", said)[1]))


def cpu_seconds(pids):
    """What these processes have used, in user space and in the kernel."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def with_cpu(load, pids):
    """The same load, which says what it took of these processes' time. They must live on."""
    def run():
        before = cpu_seconds(pids)
        seen = load()
        seen.cpu_us = (cpu_seconds(pids) - before) * 1e6 / seen.requests
        return seen
    return run


@dataclasses.dataclass
class Figure:
    """One line of the table: a ratio, and what it must be."""
    what: str
    against: str
    bound: float | None  # none: a figure to know, not to meet
    at_least: bool
    ratios: list
    note: str = ""  # what stands behind the ratio, in its own units

    @property
    def median(self):
        return statistics.median(self.ratios)

    @property
    def met(self):
        if self.bound is None:
            return True
        return self.median >= self.bound if self.at_least else self.median <= self.bound

    def as_json(self):
        return {**dataclasses.asdict(self), "median": self.median, "met": self.met}


def side_by_side(rounds, one, other):
    """Runs both in turn, each round in the other order; a list of pairs."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            second = other()
            pairs.append((one(), second))
        else:
            first = one()
            pairs.append((first, other()))
    return pairs


def warm_pairs(rounds, one, other):
    """Pairs of two loads. The first of each is thrown away: caches are cold."""
    one(), other()
    return side_by_side(rounds, one, other)


def rates_figure(what, against, bound, pairs):
    rates = [statistics.median(side) for side in zip(*((a.rate, b.rate) for a, b in pairs))]
    return Figure(what, against, bound, True, [a.rate / b.rate for a, b in pairs],
                  f"{rates[0]:,.0f} and {rates[1]:,.0f} requests a second")


def cpu_figure(what, against, bound, pairs):
    used = [statistics.median(side) for side in zip(*((a.cpu_us, b.cpu_us) for a, b in pairs))]
    return Figure(what, against, bound, False, [a.cpu_us / b.cpu_us for a, b in pairs],
                  f"{used[0]:.1f} and {used[1]:.1f} µs of all their processes")


def compare_rates(what, against, bound, rounds, one, other):
    """A figure of two loads' rates."""
    return rates_figure(what, against, bound, warm_pairs(rounds, one, other))


def timed(action):
    """Seconds, and what it returned."""
    began = time.monotonic()
    value = action()
    return time.monotonic() - began, value


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
