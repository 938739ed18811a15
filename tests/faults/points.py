"""Failpoints as rolloutd names them (worker/base/failpoint.hpp): which a run passes, and a sample of them."""

import collections


class Point:
    """The `number`-th pass of a place, and what happens there."""

    def __init__(self, scenario, name, number, action):
        self.scenario, self.name, self.number, self.action = scenario, name, number, action

    @classmethod
    def read(cls, text):
        scenario, _, rest = text.partition(" ")
        rest, _, action = rest.partition("=")
        name, _, number = rest.partition("#")
        return cls(scenario, name, int(number or 1), action or "crash")

    def wanted(self):
        """For ROLLOUT_FAILPOINT."""
        return f"{self.name}#{self.number}={self.action}"

    def passed(self, trace):
        return any(line.split()[0] == f"{self.name}#{self.number}" for line in lines(trace))

    def earlier(self, trace):
        """The same at the last pass before it that this run has noted; None where there was none."""
        passes = [line.split()[0].rpartition("#") for line in lines(trace)]
        before = [int(number) for name, _, number in passes if name == self.name and int(number) < self.number]
        return Point(self.scenario, self.name, max(before), self.action) if before else None

    def lasts(self):
        """Its failure is one that trying again does not mend."""
        return self.action == "permanent"

    def group(self):
        return self.scenario, self.name.partition(":")[0], self.action

    def __str__(self):
        return f"{self.scenario} {self.wanted()}"


def lines(trace):
    return trace.read_text().splitlines() if trace.exists() else []


def points_of(scenario, trace):
    """One for each pass that a run has noted, and for each thing that can happen there."""
    found = []
    for line in lines(trace):
        name, *actions = line.split()
        name, _, number = name.partition("#")
        found += [Point(scenario, name, int(number), action) for action in actions]
    return found


def sample(points, count, chance):
    """So many of them, in their order: some of every scenario, kind of place and action."""
    groups = collections.defaultdict(list)
    for point in points:
        groups[point.group()].append(point)
    chosen = {chance.choice(group) for group in groups.values()}
    if len(chosen) > count:
        chosen = set(chance.sample(sorted(chosen, key=str), count))
    rest = [point for point in points if point not in chosen]
    chosen |= set(chance.sample(rest, min(count - len(chosen), len(rest))))
    return [point for point in points if point in chosen]
