"""What the tests of faults say to a person, and the seed of what is left to chance in them."""

import contextlib
import os
import random

import pytest


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
