"""What a person says to the tests of faults: `./tests/run --long`, `--seed 7`, `--point "deletion rename:"`."""

import contextlib
import os
import random

import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="every failpoint, storms of hundreds of kills, and 100,000 posts to several hosts")
    parser.addoption("--seed", type=int, help="of what is left to chance, as an earlier run has printed it")
    parser.addoption("--kills", type=int, help="how many kills a storm has")
    parser.addoption("--point", action="append", default=[], help="only this failpoint, as a failure has named it, or all whose names begin so")


@pytest.fixture
def tell(request):
    """Says something to whoever watches a long run. Of tests that run beside each other it is shown if they fail."""
    manager = request.config.pluginmanager.getplugin("capturemanager")
    watched = "PYTEST_XDIST_WORKER" not in os.environ

    def say(*words):
        with manager.global_and_fixture_disabled() if watched else contextlib.nullcontext():
            print(*words, flush=True)
    return say


@pytest.fixture
def seed(request, tell):
    """Printed, so that a failure can be replayed."""
    given = request.config.getoption("--seed")
    chosen = random.SystemRandom().randrange(10**6) if given is None else given
    tell(f"\n{request.node.name}: --seed {chosen}")
    return chosen
