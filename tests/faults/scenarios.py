"""The tasks that are taken through every failpoint: a deployment, one that is rolled back, one from a web server, a deletion and a
rollback. Each runs again and again on one gateway, with a model of its own."""

import itertools
import json

from processes import wait_until

ROLLOUT = {"smoke": {"request": {"inputs": []}}, "steps": [{"weight": 50, "hold_s": 0}, {"weight": 100, "hold_s": 0}]}


class Scenario:
    name = ""  #: of its model, too
    kind = "deploy"
    ends = "completed"  #: the task's status where nothing lasting fails

    def __init__(self, gateway):
        self.gateway = gateway
        self.model = self.name
        self.numbers = itertools.count(1)

    def new_model(self):
        """The next revision's answer. Its configuration names another model, so that it has to be written anew."""
        answer = f"answer {next(self.numbers)}"
        self.gateway.make_model(self.model, answer, config='name: "somebody-else"\n')
        return answer

    def deploy(self, **rollout):
        answer = self.new_model()
        task = self.gateway.deploy(self.model, rollout={**ROLLOUT, **rollout})
        return answer, task

    def send(self, path, body, task_id):
        """What a client does that has to have its task: it posts again, with the same key, until that is confirmed."""
        def posted():
            answer = self.gateway.post(path, body, Idempotency_Key=task_id)
            assert answer.status in (200, 500, 503), answer
            return answer.status == 200 and answer.json
        return wait_until(posted, f"the task {task_id}")

    def prepare(self):
        """Before each time: what the task finds."""
        if self.model not in self.gateway.serving():
            self.before, _ = self.deploy()

    def post(self, task_id):
        """The task, answered."""
        self.after = self.new_model()
        return self.send("/deploy", {"model_id": self.model, "config": {"rollout": ROLLOUT}}, task_id)

    def traffic(self):
        """A model that must answer all the time."""
        return self.model

    def finish(self, task):
        """What clients of the model find now, for the task's status."""
        if task["status"] == "completed":
            self.before = self.after
        assert self.gateway.infer(self.model) == self.before, (self.gateway.last, task)

    def clear(self):
        """What a person does after a failure that lasted: the model's next task."""
        self.before, _ = self.deploy()


class Deployment(Scenario):
    name = "deployment"


class Download(Scenario):
    """A single file, from the web server that the gateway was given."""
    name = "download"

    def source(self):
        """What the next deployment brings, and its answer."""
        answer = f"answer {next(self.numbers)}"
        file = self.gateway.web.add("model.json", json.dumps({"kind": "echo", "answer": answer}).encode())
        return answer, {"source": self.gateway.web.url("model.json"), "sha256": file.sha256}

    def deploy(self, **rollout):
        answer, source = self.source()
        return answer, self.gateway.deploy(self.model, **source, rollout={**ROLLOUT, **rollout})

    def post(self, task_id):
        self.after, source = self.source()
        return self.send("/deploy", {"model_id": self.model, "config": {**source, "rollout": ROLLOUT}}, task_id)


class RolledBack(Scenario):
    """Refused when it has all of the traffic already, by the operator's own hook."""
    name = "rolled-back"
    ends = "failed"

    @staticmethod
    def configuration(home):
        """The hook lets a revision be promoted while there is that file."""
        refusal = {"command": ["/usr/bin/test", "-e", f"{home}/promote"]}
        return {"models": {"rolled-back": {"rollout": {"hooks": {"before_promote": [refusal]}}}}}

    def deploy(self, **rollout):
        file = self.gateway.home / "promote"
        file.touch()
        try:
            return super().deploy(**rollout)
        finally:
            file.unlink()


class Deletion(Scenario):
    name = "deletion"
    kind = "delete"

    def prepare(self):
        super().prepare()
        if "bystander" not in self.gateway.serving():
            self.gateway.make_model("bystander", "here")
            self.gateway.deploy("bystander")

    def post(self, task_id):
        return self.send("/delete", {"model_id": self.model}, task_id)

    def traffic(self):
        return "bystander"

    def finish(self, task):
        if self.model in self.gateway.serving():
            assert task["status"] == "failed" and self.gateway.infer(self.model) == self.before, (self.gateway.last, task)
        else:
            self.gateway.get(f"/v2/models/{self.model}/ready").problem(404)

    def clear(self):
        self.gateway.delete(self.model)


class Rollback(Scenario):
    """Back to the revision before, whose files were archived."""
    name = "rollback"

    def prepare(self):
        super().prepare()
        self.back = self.before
        self.before, self.task = self.deploy(old="archive")

    def post(self, task_id):
        self.after = self.back
        return self.send(f"/deploy/{self.task['task_id']}/rollback", {}, task_id)


ALL = (Deployment, Download, RolledBack, Deletion, Rollback)
