"""A gateway whose backend is several inference servers behind one upstream block."""

import signal

from gateway import AT_ONCE, Client, Gateway
from processes import InferenceServer, free_port, wait_until

GRPC_LOCATION = """
        keepalive_requests 1000000;
        location ~ ^/inference\\.GRPCInferenceService/ {
            rollout_grpc;
            rollout_route $rollout_grpc_model key=$http_x_user preview=$http_x_rollout_preview;
            add_header X-Worker $pid always;
            grpc_set_header Grpc-Accept-Encoding identity;
            grpc_pass grpc://${rollout_upstream}_grpc;
        }
"""


class Several(Gateway):
    """`own`: each server has a repository of its own. `backend`: more members of the backend. A server that is not `running` is not started.
    `grpc`: the servers speak gRPC too, behind a block of their own."""

    def __init__(self, count=3, own=False, backend=None, rolloutd=None, inference=None, block="rollout_ready; keepalive 16;", running=None, more_nginx="", grpc=False):
        self.own = own
        self.block = block
        self.more_nginx = more_nginx
        super().__init__(rolloutd=rolloutd, inference=inference)
        self.servers = [self.inference]
        for number in range(1, count):
            home = self.home / f"server{number}"
            home.mkdir(mode=0o755)
            self.servers.append(InferenceServer(home, **(inference or {})))
        self.grpc = grpc
        if grpc:
            for server in self.servers:
                server.grpc_port = free_port()
            self.nginx.pieces["locations"] += GRPC_LOCATION
        self.inference.repository = self.repository_of(0)
        for number, server in enumerate(self.servers):
            server.repository = self.repository_of(number)
        self.is_started = [running is None or number in running for number in range(count)]
        config = self.rolloutd.config["backends"]["default"]
        del config["url"]
        config |= {"upstream": "several", "servers": [self.described(number) for number in range(count)], "check_s": 1, "unload_retry_s": 1}
        if own:
            del config["repository"]
        config |= backend or {}
        self.nginx.pieces["http"] = self.upstream()

    def repository_of(self, number):
        return self.home / (f"repository{number}" if self.own else "repository")

    def described(self, number):
        made = {"url": f"http://127.0.0.1:{self.servers[number].port}"}
        return made | {"repository": str(self.repository_of(number))} if self.own else made

    def upstream(self, numbers=None):
        servers = " ".join(f"server {self.peer(number)};" for number in numbers or range(len(self.servers)))
        grpc = ""
        if self.grpc:
            grpc_servers = " ".join(f"server 127.0.0.1:{self.servers[number].grpc_port};" for number in numbers or range(len(self.servers)))
            grpc = f"upstream several_grpc {{ zone several_grpc 128k; {grpc_servers} rollout_ready as=several; keepalive 16; }}\n"
        return f"upstream several {{ zone several 128k; {servers} {self.block} }}\n{grpc}{self.more_nginx}"

    def peer(self, number):
        return f"127.0.0.1:{self.servers[number].port}"

    def start(self):
        for number, server in enumerate(self.servers):
            server.repository.mkdir(exist_ok=True)
            if self.is_started[number]:
                server.start()
        self.rolloutd.start()
        self.nginx.start()
        self.await_link()
        return self

    def stop(self):
        for server in self.servers:
            if server.running():
                server.send_signal(signal.SIGCONT)
        ended = super().stop()
        for server in self.servers[1:]:
            if server.running():
                ended.append((server.log.stem, server.stop()))
        return ended

    def logs(self):
        return super().logs() + "".join(f"\n--- {server.home.name}\n{server.text()[-1000:]}" for server in self.servers)

    def hold(self, number):
        self.servers[number].send_signal(signal.SIGSTOP)

    def go_on(self, number):
        self.servers[number].send_signal(signal.SIGCONT)

    def reload_rolloutd(self):
        """With the configuration as it is now."""
        import json
        since = len(self.rolloutd.text())
        self.rolloutd.config_file.write_text(json.dumps(self.rolloutd.config))
        self.rolloutd.send_signal(signal.SIGHUP)
        wait_until(lambda: "The configuration was reloaded" in self.rolloutd.text()[since:], "the reload of rolloutd")

    # One server.

    def at(self, number):
        return Client(self.servers[number].port)

    def loaded_on(self, number):
        index = self.at(number).post("/v2/repository/index", {"ready": True}).json
        return sorted(entry["name"] for entry in index)

    def set_faults_on(self, number, *faults):
        assert self.at(number).request("PUT", "/test/faults", {"faults": list(faults)}, {"Content-Type": "application/json"}).status == 200

    def inferences_on(self, number):
        """The statuses of the inferences that the server was asked for."""
        return [call["status"] for call in self.at(number).get("/test/calls").json if call["path"].endswith("/infer")]

    def grpc_inferences_on(self, number):
        return [call["status"] for call in self.at(number).get("/test/calls").json if "/ModelInfer/" in call["path"]]

    def violations_on(self, number):
        return self.at(number).get("/test/violations").json

    def await_loaded(self, *names, on=None):
        for number in on if on is not None else range(len(self.servers)):
            wait_until(lambda: self.loaded_on(number) == sorted(names), f"{names} on server {number}")

    # As rolloutd has it.

    def model(self, model_id):
        return next(one for one in self.get("/models").json["models"] if one["model_id"] == model_id)

    def await_servers(self, model_id, *numbers):
        """Until the model's blue is on these servers, as rolloutd says."""
        wanted = [self.peer(number) for number in numbers]
        wait_until(lambda: (self.model(model_id)["blue"] or {}).get("servers") == wanted, f"{model_id} on {numbers}")

    def files(self):
        """What is in the repositories and in the staging folders."""
        found = []
        for number in range(len(self.servers) if self.own else 1):
            repository = self.repository_of(number)
            for folder in (repository, repository.with_name(repository.name + ".staging")):
                found += sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        return found


def step(task, name):
    return next(step for step in task["metadata"]["steps"] if step["name"] == name)


__all__ = ["AT_ONCE", "Several", "step"]
