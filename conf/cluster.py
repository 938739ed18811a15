"""The cluster's own part: runs etcd, the gateways and the inference servers, does what a user would do, and shows it. Run by conf/cluster."""

import base64
import json
import platform

from demonstration import (MODEL, ROLLOUTD, TASK_S, Failure, Gateway, InferenceServers, Traffic, free_port, headline, http_request, run, say, show_line,
                           wait_for_the_end, wait_until, write_sample)

LEADER_KEY = "/rollout/default/s/leader"
GATEWAYS = 3
MEMBERS = 3


class Etcd:
    """Members of one cluster, with their data in `home`."""

    def __init__(self, home, processes):
        self.home = home
        self.processes = processes
        self.ports = [free_port() for _ in range(MEMBERS)]
        self.peer_ports = [free_port() for _ in range(MEMBERS)]

    @property
    def urls(self):
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def name(self, number):
        return f"etcd-{number + 1}"

    def start_all(self):
        for number in range(MEMBERS):
            self.launch(number)
        for number in range(MEMBERS):
            self.await_health(number)

    def start(self, number):
        self.launch(number)
        self.await_health(number)

    def launch(self, number):
        peers = [f"http://127.0.0.1:{port}" for port in self.peer_ports]
        self.processes.start(self.name(number), [
            "etcd", "--name", self.name(number), "--data-dir", self.home / f"{self.name(number)}.data",
            "--listen-client-urls", self.urls[number], "--advertise-client-urls", self.urls[number],
            "--listen-peer-urls", peers[number], "--initial-advertise-peer-urls", peers[number],
            "--initial-cluster", ",".join(f"{self.name(one)}={url}" for one, url in enumerate(peers)),
            "--initial-cluster-token", str(self.home), "--auto-compaction-retention", "1h",
        ], {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else None)

    def await_health(self, number):
        def is_healthy():
            self.processes.check()
            try:
                return json.loads(http_request(self.ports[number], "GET", "/health")[2])["health"] == "true"
            except (OSError, ValueError):
                return False
        wait_until(is_healthy, f"the health of {self.name(number)}")

    def kill(self, number):
        self.processes.kill(self.name(number))

    def get(self, key):
        """The value of a key, by the first member that answers; None: there is none."""
        asked = json.dumps({"key": base64.b64encode(key.encode()).decode()})
        for port in self.ports:
            try:
                status, _, answer = http_request(port, "POST", "/v3/kv/range", asked, {"Content-Type": "application/json"})
            except OSError:
                continue
            if status == 200:
                found = json.loads(answer).get("kvs")
                return base64.b64decode(found[0]["value"]).decode() if found else None
        return None


class Cluster:
    def __init__(self, home, processes):
        self.home = home
        self.processes = processes
        self.etcd = Etcd(home, processes)
        self.servers = InferenceServers(home, processes)
        self.gateways = [self.gateway(f"gateway-{number + 1}") for number in range(GATEWAYS)]

    def gateway(self, name):
        """Each has a copy of the journal, and the name by which the others know it."""
        folder = self.home / name
        return Gateway(folder, self.processes, self.servers, name, {
            "type": "etcd", "path": f"{folder}/replica.db", "etcd": {"endpoints": self.etcd.urls, "host": name}})

    def start(self):
        self.etcd.start_all()
        self.servers.start_all()
        for gateway in self.gateways:
            gateway.start()
        return self

    def leader(self):
        """The gateway whose rolloutd leads, as etcd has it; None: none does."""
        value = self.etcd.get(LEADER_KEY)
        return value and next(gateway for gateway in self.gateways if gateway.name == json.loads(value)["host"])

    def await_leader(self, among=None):
        return wait_until(lambda: (leader := self.leader()) in (among or self.gateways) and leader, "the election of a leader", TASK_S)

    def others(self, gateway):
        return [one for one in self.gateways if one is not gateway]


def deploy(gateway, version, **rollout):
    """Posts a deployment of that version of the model's file; returns the task."""
    config = {"source": gateway.servers.source(version), **({"rollout": rollout} if rollout else {})}
    return gateway.post("deploy", {"model_id": MODEL, "config": config})


def show_deployment(cluster, sample):
    headline("1. Deploy version 5 of Silero's voice-activity model at one gateway, and find it at the others")
    leader = cluster.await_leader()
    at, other = cluster.others(leader)
    task = deploy(at, "v5")
    say(f"{at.name} has accepted task {task['task_id']}, which {leader.name} carries out, and {other.name} knows it, too:")
    task = other.follow("deploy", task, show_line)
    revision = task["metadata"]["revision"]
    for gateway in cluster.gateways:
        wait_until(lambda gateway=gateway: gateway.infer()[0] == revision, f"the route at {gateway.name}")
    say("Each of them routes to it:")
    for gateway in cluster.gateways:
        gateway.ask(sample)
    return revision


def show_lost_leader(cluster, blue):
    """The leader's rolloutd is killed in the middle of a rollout. Returns that gateway, and the revision that serves then."""
    headline("2. Deploy version 6 in steps while clients ask all three gateways, and kill the leader on the way")
    leader = cluster.await_leader()
    other, third = cluster.others(leader)
    say(f"{leader.name} leads: its rolloutd carries out the tasks of all. (etcdctl get {LEADER_KEY})")
    green = blue + 1
    traffic = Traffic(cluster.gateways, clients=2)
    traffic.await_answers(blue)
    task = deploy(other, "v6", steps=[{"weight": 25, "hold_s": 10}, {"weight": 50, "hold_s": 5}, {"weight": 100, "hold_s": 2}])

    def weight():
        status, _, answer = third.request("GET", f"/deploy/{task['task_id']}")
        if status != 200:
            raise Failure(f"{third.name} answered {status}: {answer.decode()}")
        document = json.loads(answer)
        if document["status"] not in ("pending", "in_progress"):
            raise Failure(f"the task is {document['status']} before the leader is killed: {document['detail']}")
        return document["metadata"].get("traffic_weight")
    wait_until(lambda: weight() == 25, f"a weight of 25 % at {third.name}", TASK_S)
    traffic.await_answers(green, 5)
    say(f"$ kill -9 {cluster.processes.pid(leader.rolloutd)}    # rolloutd of {leader.name}, the leader")
    cluster.processes.kill(leader.rolloutd)
    say(f"The rollout stands at {weight()} %: nobody carries it out now, and all three gateways, {leader.name} too, go on routing.")

    new = cluster.await_leader(cluster.others(leader))
    say(f"{new.name} leads now, and goes on where {leader.name} was:")
    last = next(one for one in cluster.others(leader) if one is not new)
    task = last.follow("deploy", task, show_line)
    if task["metadata"]["revision"] != green:
        raise Failure(f"the task has made revision {task['metadata']['revision']} and not {green}")
    for gateway in cluster.others(leader):
        wait_until(lambda gateway=gateway: gateway.infer()[0] == green, f"the route at {gateway.name}")
    traffic.await_answers(green)
    say()
    show_answers(traffic, cluster.gateways)
    traffic.end_without_failures("when the leader was killed")
    return leader, green


def show_answers(traffic, gateways):
    for gateway in gateways:
        counts = ", ".join(f"{sum(answers.values())} by revision {revision}" for revision, answers in sorted(traffic.answers[gateway].items()))
        say(f"{gateway.name}: {traffic.answered(gateway)} answers, {counts}")


def show_return(cluster, lost, blue, green):
    """rolloutd is started again on the host that lost it, and follows the others."""
    headline(f"3. Start the rolloutd of {lost.name} again")
    old = f"{MODEL}__r{blue}"
    if old not in cluster.servers.files():
        raise Failure(f"revision {blue} was removed, though {lost.name} may still have routed to it")
    say(f"nginx of {lost.name} could not learn of the new routes: revision {blue} has stayed loaded for it, so none of its clients got an error.")
    traffic = Traffic(cluster.gateways, clients=1)
    say(f"$ rolloutd --config {lost.folder}/rolloutd.json")
    lost.start_rolloutd()
    wait_until(lambda: lost.infer()[0] == green, f"the new route at {lost.name}", TASK_S)
    wait_until(lambda: cluster.servers.files() == [f"{MODEL}__r{green}"], f"the removal of revision {blue}", TASK_S)
    traffic.await_answers(green)
    traffic.end_without_failures(f"when {lost.name} came back")
    say(f"{lost.name} routes to revision {green} now, and the leader has unloaded revision {blue}.")


def show_lost_member(cluster, green):
    """A member of etcd is killed. Returns the revision that serves then."""
    headline("4. Kill a member of etcd, and deploy again")
    etcd = cluster.etcd
    traffic = Traffic(cluster.gateways, clients=1)
    say(f"$ kill -9 {cluster.processes.pid(etcd.name(0))}    # {etcd.name(0)}")
    etcd.kill(0)
    for number in range(1, MEMBERS):
        etcd.await_health(number)
    at = cluster.gateways[-1]
    task = at.follow("deploy", deploy(at, "v5"), show_line)
    revision = task["metadata"]["revision"]
    if revision != green + 1:
        raise Failure(f"the task has made revision {revision} and not {green + 1}")
    traffic.await_answers(revision)
    traffic.end_without_failures("when a member of etcd was lost")
    etcd.start(0)
    say(f"{etcd.name(0)} is started again.")
    return revision


def show_deletion(cluster, sample):
    headline("5. Delete the model")
    first, second, _ = cluster.gateways
    second.follow("delete", first.post("delete", {"model_id": MODEL}), show_line)
    for gateway in cluster.gateways:
        gateway.must_not_know_the_model(sample)
    if left := cluster.servers.files():
        raise Failure(f"files were left behind: {left}")


def stay(cluster, sample):
    headline("Deployed again, for you to try")
    first = cluster.gateways[0]
    first.follow("deploy", deploy(first, "v5"), show_line)
    say("\nThe cluster stays up until Ctrl-C. At each gateway:")
    for gateway in cluster.gateways:
        say(f"  curl {gateway.url}/deploy-status/{MODEL}\n"
            f"  curl -i -d @{sample} {gateway.url}/v2/models/{MODEL}/infer\n"
            f"  {gateway.url}/rollout/    # in a browser")
    last = cluster.gateways[-1]
    config = {"source": last.servers.source("v6"), "rollout": {"steps": [{"weight": 25, "hold_s": 60}, {"weight": 100}]}}
    body = json.dumps({"model_id": MODEL, "config": config})
    say(f"Deploy at any of them, here with a minute at 25 %, and kill the leader meanwhile; it is {cluster.await_leader().name} now:\n"
        f"  curl -H 'Content-Type: application/json' -d '{body}' {last.url}/deploy")
    for gateway in cluster.gateways:
        say(f"  kill -9 {cluster.processes.pid(gateway.rolloutd)}    # rolloutd of {gateway.name}; "
            f"to start it again: {ROLLOUTD} --config {gateway.folder}/rolloutd.json")
    say(f"etcd's members: {' '.join(cluster.etcd.urls)}\nLogs and configurations are in {cluster.home}")
    wait_for_the_end()


def demonstrate(home, processes, once):
    cluster = Cluster(home, processes).start()
    leader = cluster.await_leader()
    say(f"{MEMBERS} members of etcd on ports {', '.join(map(str, cluster.etcd.ports))}, inference servers on ports "
        f"{' and '.join(map(str, cluster.servers.ports))}, and {GATEWAYS} gateways, each nginx and rolloutd, on ports "
        f"{', '.join(str(gateway.port) for gateway in cluster.gateways)}, all in {home}. {leader.name} leads.")
    sample = write_sample(home)
    blue = show_deployment(cluster, sample)
    lost, green = show_lost_leader(cluster, blue)
    show_return(cluster, lost, blue, green)
    show_lost_member(cluster, green)
    show_deletion(cluster, sample)
    if not once:
        stay(cluster, sample)


run(demonstrate)
