"""nginx with a test's own locations, a rolloutd that says what the test says, and servers of the test's own behind it."""

import contextlib
import pathlib
import shutil
import tempfile
import threading

from gateway import Client
from pretended_rolloutd import PretendedRolloutd
from processes import Nginx, wait_until

BUCKETS = ("buckets", "first_byte", "abandoned", "waiting")


class RoutedServers:
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
        self.closed = threading.Event()
        self.sending = threading.Lock()
        self.routes = {}
        self.revision = self.asked = 0
        self.links = [self.rolloutd.accept() for _ in range(workers)]
        for number, link in enumerate(self.links):
            link.welcome(number == 0)
        threading.Thread(target=self._ping, daemon=True).start()

    def _ping(self):
        """As rolloutd does, or nginx takes the link for dead."""
        while not self.closed.wait(1):
            for link in self.links:
                with contextlib.suppress(OSError), self.sending:
                    link.send(type="ping")

    def route(self, *models, weight=100, watched=True, part="", upstreams=None, names=None, revision=2):
        """All of the models' traffic to green, or none."""
        blue, green = upstreams or (self.blue.address, self.green.address)
        for model in models:
            name = (names or "{model}__r{revision}").format
            self.routes[model, part] = {
                "model_id": model, "part": part, "weight": weight, "watched": watched,
                "blue": {"revision": 1, "upstream": blue, "model": name(model=model, revision=1, part=part)},
                "green": {"revision": revision, "upstream": green, "model": name(model=model, revision=revision, part=part)}}
        self.revision += 1
        with self.sending:
            self.links[0].send(type="routes", routes=list(self.routes.values()), revision=self.revision, begin=True, end=True)
        while self.links[0].receive("applied")["revision"] < self.revision:
            pass

    def counts(self, model, revision=2):
        self.asked += 1
        with self.sending:
            self.links[0].send(type="measure", id=self.asked, model_id=model, parts=[""], revisions=[revision])
        counted, = self.links[0].receive("measured")["counters"]
        for name in BUCKETS:
            pairs = counted.get(name, [])
            counted[name] = dict(zip(pairs[::2], pairs[1::2]))
        return counted

    def await_counts(self, model, revision=2, **expected):
        """Until they are these, and no others: what is not named is 0. `abandoned` and `waiting` are the numbers of such requests."""
        expected = {"requests": 0, "failures": 0, "client_errors": 0, "left_out": 0, "abandoned": 0, "waiting": 0} | expected
        found = {}

        def are():
            counted = self.counts(model, revision)
            found.update({name: sum(counted[name].values()) if name in BUCKETS else counted[name] for name in expected})
            return found == expected

        with contextlib.suppress(AssertionError):
            wait_until(are, "the counts", 5)
        assert found == expected, (found, expected)

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
