"""nginx with a test's own locations, a rolloutd that says what the test says, and servers of the test's own behind it."""

import pathlib
import shutil
import tempfile

from gateway import Client
from pretended_rolloutd import PretendedRolloutd, RoutesOfATest
from processes import Nginx


class RoutedServers(RoutesOfATest):
    """`HOME` in the locations is the folder of this all; `{home}`, `{blue}` and `{green}` in `http` are that and the servers' addresses. `blue` and `green`: servers with an `address` and a `port`. A model's revisions are 1 on blue and 2 on green, MODEL__r1 and MODEL__r2."""

    def __init__(self, blue, green, locations, http="", workers=1):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="rollout-test."))
        self.home.chmod(0o755)
        self.blue, self.green = blue, green
        self.nginx = Nginx(self.home, blue.port, workers=workers, http=http.format(home=self.home, blue=blue.address, green=green.address), locations=locations.replace("HOME", str(self.home)),
                           worker_arguments="reconnect=10ms ack_timeout=200ms")
        self.rolloutd = PretendedRolloutd(self.home / "rolloutd.sock")
        self.nginx.start()
        self.client = Client(self.nginx.port)
        self.link_up(workers)

    def route(self, *models, weight=100, watched=True, part="", upstreams=None, names=None, revision=2):
        """All of the models' traffic to green, or none."""
        blue, green = upstreams or (self.blue.address, self.green.address)
        for model in models:
            name = (names or "{model}__r{revision}").format
            self.routes[model, part] = {
                "model_id": model, "part": part, "weight": weight, "watched": watched,
                "blue": {"revision": 1, "upstream": blue, "model": name(model=model, revision=1, part=part)},
                "green": {"revision": revision, "upstream": green, "model": name(model=model, revision=revision, part=part)}}
        self.send_routes()

    def logged(self, part):
        """The access log's lines with that, as METHOD URI STATUS SLOT MODEL."""
        return [line for line in (self.home / "access.log").read_text().splitlines() if part in line]

    def close(self):
        self.closed.set()
        ended = self.nginx.stop()
        errors = self.nginx.errors()
        self.rolloutd.__exit__()
        self.blue.close()
        self.green.close()
        shutil.rmtree(self.home, ignore_errors=True)
        assert ended == 0 and "[alert]" not in errors and "AddressSanitizer" not in errors, errors[-4000:]
