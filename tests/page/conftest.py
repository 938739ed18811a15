"""A browser for the tests of a file."""

import pytest

from browser import Browser


@pytest.fixture(scope="module")
def browser():
    made = Browser()
    yield made
    made.close()


@pytest.fixture
def show(browser):
    """Opens the page of a gateway; `at` is what follows the `#`."""
    def opened(gateway, at="/", place="/rollout/", **settings):
        return browser.page(f"http://127.0.0.1:{gateway.port}{place}#{at}", **settings)

    return opened
