"""Members of an etcd cluster on loopback, and the programs that drive rolloutd's client of it, and its journals in it
(tests/etcd)."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import threading

import requests

from processes import BUILD, DEADLINE_S, Process, free_port, wait_until

DRIVER = BUILD / "tests/etcd/etcd_driver"
JOURNAL_DRIVER = BUILD / "tests/etcd/journal_driver"


class Member(Process):
    """One etcd-server. `arguments` are more of its own; with `tls`, a folder of an Authority and its certificate, clients speak TLS."""

    def __init__(self, home, name, arguments=(), tls=None):
        super().__init__(home, name)
        self.name = name
        self.arguments = list(arguments)
        self.tls = tls
        self.port, self.peer_port, self.health_port = free_port(), free_port(), free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.peer_url = f"http://127.0.0.1:{self.peer_port}"

    def start(self, cluster=None, wait=True):
        cluster = cluster or getattr(self, "cluster", [self])
        self.cluster = cluster
        if self.tls:
            authority, (certificate, key), of_clients = self.tls
            tls = ["--cert-file", certificate, "--key-file", key,
                   *(["--client-cert-auth", "--trusted-ca-file", authority.certificate] if of_clients else [])]
        else:
            tls = []
        self.launch(["etcd", "--name", self.name, "--data-dir", self.home / f"{self.name}.etcd",
                     "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                     "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
                     "--initial-cluster", ",".join(f"{member.name}={member.peer_url}" for member in cluster),
                     "--listen-metrics-urls", f"http://127.0.0.1:{self.health_port}", *tls, *self.arguments],
                    env={"ETCD_UNSUPPORTED_ARCH": "", "HOME": str(self.home)})
        if wait:
            self.await_health()
        return self

    def is_healthy(self):
        self.must_run()
        with contextlib.suppress(requests.RequestException, ValueError):
            answer = requests.get(f"http://127.0.0.1:{self.health_port}/health", timeout=5)
            return answer.json()["health"] == "true"
        return False

    def await_health(self):
        wait_until(self.is_healthy, f"the start of {self.name}")

    def is_leader(self):
        text = requests.get(f"http://127.0.0.1:{self.health_port}/metrics", timeout=5).text
        return "\netcd_server_is_leader 1" in text

    def ask(self, path, token=None, **body):
        """A call by etcd's JSON gateway: for what the client has no call for. `token`: a user's."""
        headers = {"Authorization": token} if token else {}
        answer = requests.post(f"{self.url}/v3/{path}", json=body, headers=headers, timeout=DEADLINE_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask_as_root(self, path, **body):
        """Once users are demanded."""
        return self.ask(path, self.ask("auth/authenticate", name="root", password="of root")["token"], **body)

    def demand_users(self, user, password, prefix):
        """Authentication is on: root, and a user who may do all below a prefix."""
        ends = base64.b64encode(prefix[:-1].encode() + bytes([prefix.encode()[-1] + 1])).decode()
        self.ask("auth/user/add", name="root", password="of root")
        self.ask("auth/user/grant", user="root", role="root")
        self.ask("auth/role/add", name="gateways")
        self.ask("auth/role/grant", name="gateways", perm={"permType": "READWRITE", "key": base64.b64encode(prefix.encode()).decode(),
                                                          "range_end": ends})
        self.ask("auth/user/add", name=user, password=password)
        self.ask("auth/user/grant", user=user, role="gateways")
        self.ask("auth/enable")


class Cluster:
    def __init__(self, home, size=1, **settings):
        self.members = [Member(home, f"m{number}", **settings) for number in range(size)]

    def start(self):
        """Those that do not run yet."""
        for member in self.members:
            if not member.running():
                member.start(self.members, wait=False)
        for member in self.members:
            member.await_health()
        return self

    @property
    def urls(self):
        return [member.url for member in self.members]

    def start_again(self):
        """Those that do not run."""
        down = [member for member in self.members if not member.running()]
        for member in down:
            member.start(wait=False)
        for member in down:
            member.await_health()

    def copy(self, to):
        """Of what all members have, which do not run."""
        for member in self.members:
            shutil.copytree(member.home / f"{member.name}.etcd", to / f"{member.name}.etcd")

    def put_back(self, copy):
        for member in self.members:
            shutil.rmtree(member.home / f"{member.name}.etcd")
            shutil.copytree(copy / f"{member.name}.etcd", member.home / f"{member.name}.etcd")

    def leader(self):
        return next(member for member in self.members if member.running() and member.is_leader())

    def kill(self):
        for member in self.members:
            if member.running():
                member.send_signal(18)  # SIGCONT: one that is stopped does not end
            member.kill()


class Relay:
    """Passes on what goes to a member, and what it answers unless that is held back."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.to = port
        self.answers = threading.Event()
        self.answers.set()
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                member = socket.create_connection(("127.0.0.1", self.to))
                self.sockets += [client, member]
                threading.Thread(target=self.carry, args=(client, member, None), daemon=True).start()
                threading.Thread(target=self.carry, args=(member, client, self.answers), daemon=True).start()

    @staticmethod
    def carry(source, to, allowed):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if allowed:
                    allowed.wait()
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def close(self):
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.answers.set()  # what was held back has no way any more


class Failed(Exception):
    """A call of the client's that has no answer."""

    def __init__(self, kind, cause, sentence):
        super().__init__(f"{kind} {cause}: {sentence}")
        self.kind, self.cause, self.sentence = kind, cause, sentence

    @property
    def what(self):
        return f"{self.kind} {self.cause}"


class Client(Process):
    """The driver. Commands are sent by start() and their results awaited by result(), or both by call()."""

    program = DRIVER

    def __init__(self, home, name="client"):
        super().__init__(home, name)
        self.results, self.told = {}, []
        self.changed = threading.Condition()
        self.last = 0

    def launch_driver(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self):
        for line in self.child.stdout:
            told = json.loads(line)
            with self.changed:
                if "id" in told:
                    self.results[told["id"]] = told
                else:
                    self.told.append(told)
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def open(self, endpoints, **settings):
        """Returns the fault, if there is one."""
        if self.child is None:
            self.launch_driver()
        number = self.start("open", endpoints=endpoints, **settings)
        return self.wait_for(lambda: self.results.get(number), "the client's start").get("fault")

    def start(self, do, **what):
        self.last += 1
        self.child.stdin.write(json.dumps({"id": self.last, "do": do, **what}).encode() + b"\n")
        self.child.stdin.flush()
        return self.last

    def wait_for(self, condition, what):
        with self.changed:
            found = self.changed.wait_for(lambda: condition() or not self.running(), DEADLINE_S)
            self.must_run()
            assert found, f"{what} did not come within {DEADLINE_S} s:\n{self.text()[-2000:]}"
            return condition()

    def result(self, number):
        told = self.wait_for(lambda: self.results.get(number), f"the result of {number}")
        if "failed" in told:
            raise Failed(**told["failed"])
        return told["ok"]

    def call(self, do, **what):
        return self.result(self.start(do, **what))

    def failure(self, do, **what):
        """That of a call that must fail."""
        number = self.start(do, **what)
        try:
            answer = self.result(number)
        except Failed as why:
            return why
        raise AssertionError(f"{do} was answered: {answer}")

    def get(self, key, **what):
        """The value; None: there is no such key."""
        found = self.call("range", key=key, **what)["found"]
        return found[0]["value"] if found else None

    def put(self, key, value, **what):
        return self.call("put", key=key, value=value, **what)["revision"]

    def until_it_works(self, do, **what):
        """The answer of a call that is repeated while it fails."""
        def answered():
            with contextlib.suppress(Failed):
                return self.call(do, **what)
            return None
        return wait_until(answered, f"an answer to {do}")

    def news(self, number, what):
        """What a watch or a lease has told of that kind, in order."""
        return [told[what] for told in self.told
                if number in (told.get("watch"), told.get("keep_alive"), told.get("candidate")) and what in told]

    def await_news(self, number, what, count=1):
        self.wait_for(lambda: len(self.news(number, what)) >= count, f"{what} of {number}")
        return self.news(number, what)

    def events(self, number):
        return [event for batch in self.news(number, "events") for event in batch]

    def await_events(self, number, count):
        self.wait_for(lambda: len(self.events(number)) >= count, f"{count} events of {number}")
        return self.events(number)

    def threads(self):
        return self.call("threads")["count"]

    def close(self):
        """The client and all of its calls end; the process goes on."""
        self.call("close")

    def die(self):
        """kill -9: there is no end of it to look at."""
        self.kill()
        self.child = None

    def finish(self):
        """Ends the process by the end of its input: its status, 0 where nothing is left behind."""
        if self.child is None or self.child.stdin.closed:
            return 0
        self.child.stdin.close()
        return self.end()


class Journals(Client):
    """Several journals in one process, each of a name, all below one prefix."""

    program = JOURNAL_DRIVER
    prefix = "/rollout/default/"

    def open_journal(self, name, endpoints, wait=True, **settings):
        if self.child is None:
            self.launch_driver()
        told = self.call("open", journal=name, path=str(self.home / f"{name}.db"), prefix=self.prefix, endpoints=endpoints, **settings)
        assert "fault" not in told, told["fault"]
        if wait:
            self.await_following(name)
        return self

    def state(self, name):
        return self.call("state", journal=name)

    def await_following(self, name):
        wait_until(lambda: self.state(name)["following"], f"journal {name} to follow")

    def create(self, name, task_id, model_id="m", body="", **what):
        return self.call("create", journal=name, task_id=task_id, model_id=model_id, body=body, **what)

    def find(self, name, task_id):
        """The row; None: there is none."""
        told = self.call("find", journal=name, task_id=task_id)
        assert told["outcome"] == "ok", told
        return told.get("row")

    def save(self, name, task_id, detail, **what):
        return self.call("save", journal=name, task_id=task_id, detail=detail, **what)

    def rows(self, name):
        told = self.call("rows", journal=name)
        assert told["outcome"] == "ok", told
        return told["rows"]

    def await_same(self, *names):
        """All have come to the same; their rows."""
        for name in names:
            wait_until(lambda name=name: self.call("current", journal=name)["current"], f"all that was written, at {name}")
        wait_until(lambda: len({self.state(name)["revision"] for name in names}) == 1, "one revision at all")
        rows = [self.rows(name) for name in names]
        assert all(there == rows[0] for there in rows)
        revisions = [row["revision"] for row in rows[0]]
        assert revisions == sorted(set(revisions))
        assert all(self.state(name)["in_order"] for name in names)
        return rows[0]


class Candidate:
    """A candidate for leadership, in a driver's process."""

    def __init__(self, client, host, prefix="/r/", **settings):
        self.client, self.host = client, host
        self.number = client.start("candidate", host=host, prefix=prefix, **settings)

    def news(self, what):
        return self.client.news(self.number, what)

    def await_news(self, what, count=1):
        return self.client.await_news(self.number, what, count)

    def ask(self, do, **what):
        return self.client.call(do, candidate=self.number, **what)

    def knows(self):
        """What it knows of itself and the leader."""
        return self.ask("leadership")

    def token(self):
        """None: it does not lead."""
        return self.knows().get("token")
