"""The image is built once a run, and a container of it used for all tests: what they write is in volumes of their own."""

import pytest

from container import ContainerGateway
from image import built


@pytest.fixture(scope="session")
def image():
    made = built()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def image_with_etcd(image):
    made = built(beside=image, etcd=True)
    yield made
    made.remove()


@pytest.fixture
def make_containers(request, image):
    """Makes gateways (not started); each is ended with the test, and what they said is shown when it failed. `of`: another image."""
    made = []

    def make(of=None, **settings):
        made.append(ContainerGateway(of or image, **settings))
        return made[-1]

    yield make
    for one in made:
        if request.session.testsfailed:
            print(one.logs())
        assert all(status == 0 for _, status in one.close())
