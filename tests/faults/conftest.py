"""What a person says to the tests of faults: `./tests/run --long`, `--seed 7`, `--point "deletion rename:"`."""

import random

import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="every failpoint, and a storm of 500 kills")
    parser.addoption("--seed", type=int, help="of what is left to chance, as an earlier run has printed it")
    parser.addoption("--kills", type=int, help="how many kills a storm has")
    parser.addoption("--point", action="append", default=[], help="only this failpoint, as a failure has named it, or all whose names begin so")


@pytest.fixture
def seed(request):
    """Printed, so that a failure can be replayed."""
    given = request.config.getoption("--seed")
    chosen = random.SystemRandom().randrange(10**6) if given is None else given
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{request.node.name}: --seed {chosen}", flush=True)
    return chosen


@pytest.fixture
def tell(request):
    """Says something to whoever watches a long run."""
    manager = request.config.pluginmanager.getplugin("capturemanager")

    def say(*words):
        with manager.global_and_fixture_disabled():
            print(*words, flush=True)
    return say
