"""Fixtures for integration/, faults/ and packages/: a whole gateway of the real nginx, rolloutd and an inference server. A test file says at its top how its own is
configured; a test that breaks things makes one for itself with `make_gateway`."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "harness"))
sys.path.append(str(pathlib.Path(__file__).parent / "bench"))

import description  # noqa: E402
from ending import finish, finish_hosts  # noqa: E402
from gateway import Gateway  # noqa: E402
from hosts import Hosts  # noqa: E402


# What a person says: `./tests/run --long`, `--seed 7`, `--point "deletion rename:"`.
def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="every failpoint, storms of hundreds of kills, and 100,000 posts to several hosts")
    parser.addoption("--seed", type=int, help="of what is left to chance, as an earlier run has printed it")
    parser.addoption("--kills", type=int, help="how many kills a storm has")
    parser.addoption("--point", action="append", default=[], help="only this failpoint, as a failure has named it, or all whose names begin so")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Where tests run beside each other, those of a file stay together, for they share a gateway; those of packages share what they
    build, and so do those of the image."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder in ("packages", "image") else str(item.path)))


@pytest.fixture(autouse=True)
def answers_are_as_described():
    """A test fails that got an answer of the API which module/openapi.json does not describe, in whichever of its threads."""
    description.faults.clear()
    yield
    assert not description.faults, description.faults[0]


@pytest.fixture
def make_gateway(request):
    """Makes gateways (not started); each is ended with the test, and what rolloutd said is shown when the test failed."""
    made = []

    def make(**settings):
        made.append(Gateway(**settings))
        return made[-1]

    yield make
    for gateway in made:
        finish(request, gateway)


@pytest.fixture
def make_hosts(request):
    """Makes hosts that share an etcd (not started), as `make_gateway` makes gateways."""
    made = []

    def make(*arguments, **settings):
        made.append(Hosts(*arguments, **settings))
        return made[-1]

    yield make
    for hosts in made:
        finish_hosts(request, hosts)


@pytest.fixture(scope="module")
def gateway(request):
    """One gateway for the tests of a file, with the file's ROLLOUTD, NGINX and INFERENCE settings, if it has them."""
    settings = {name.lower(): getattr(request.module, name) for name in ("ROLLOUTD", "NGINX", "INFERENCE")
                if hasattr(request.module, name)}
    made = Gateway(**settings)
    try:
        yield made.start()
    finally:
        finish(request, made)
