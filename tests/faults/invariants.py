"""What holds whatever was killed and whatever failed: the journal, the inference server, its repository and the gateway agree,
and a document is whole."""

import collections
import json
import re
import sqlite3

from gateway import FINAL

STATUSES = ("pending", "in_progress", *FINAL)
STEP_STATES = ("pending", "running", "done", "failed", "skipped")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def document_faults(document, task_id, model_id):
    """What is wrong with a task's document; empty where it is whole."""
    faults = []

    def must(holds, what):
        if not holds:
            faults.append(what)

    must(document.get("task_id") == document.get("id") == task_id, "its id")
    must(document.get("model_id") == document.get("embedding_model_id") == model_id, "its model")
    must(document.get("status") in STATUSES, "its status")
    must(isinstance(document.get("detail"), str) and document["detail"].endswith("."), "its detail")
    times = [document.get("created_at", ""), document.get("updated_at", "")]
    must(all(TIME.fullmatch(time) for time in times) and times == sorted(times), "its times")
    metadata = document.get("metadata") or {}
    must(0 <= metadata.get("progress", -1) <= 1 and 0 <= metadata.get("traffic_weight", -1) <= 100, "its progress")
    must(isinstance(metadata.get("config"), dict), "its config")
    steps = metadata.get("steps")
    must(isinstance(steps, list) and all(step["state"] in STEP_STATES for step in steps), "its steps")
    if document.get("status") == "completed":
        must(all(step["state"] in ("done", "skipped", "failed") for step in steps or []), "a completed task's steps")
    return faults


class Journal:
    """What rolloutd's journal holds, read beside it."""

    def __init__(self, path):
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            base.execute("BEGIN")  # one state of it
            self.damage = [row[0] for row in base.execute("PRAGMA integrity_check")]
            self.head = base.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()[0]
            self.tasks = base.execute("SELECT sequence, revision, task_id, kind, model_id, status, document FROM tasks ORDER BY sequence"
                                      ).fetchall()
            self.models = {name: json.loads(state) for name, state in base.execute("SELECT model_id, state FROM models")}
        finally:
            base.close()

    def faults(self):
        """With every task at its end."""
        found = [] if self.damage == ["ok"] else [f"the journal is damaged: {self.damage}"]
        revisions = [task[1] for task in self.tasks]
        if len(set(revisions)) != len(revisions) or max(revisions, default=0) > self.head:
            found.append("two changes of the journal have one revision, or one is newer than its head")
        for sequence, revision, task_id, kind, model_id, status, text in self.tasks:
            wrong = document_faults(json.loads(text), task_id, model_id)
            if wrong or json.loads(text)["status"] != status or sequence > revision:
                found.append(f"task {task_id} of the journal: {wrong or 'its row is another state than its document'}")
            if status not in FINAL:
                found.append(f"task {task_id} of the journal is {status}")
        for name, state in self.models.items():
            left = [what for what in ("green", "incoming", "retired") if state.get(what)]
            if left or state.get("weight") or state.get("former"):
                found.append(f"model {name} of the journal has {left}, weight {state.get('weight')}, former {state.get('former')}")
        return found

    def deployed(self):
        """By model: the revision that serves."""
        return {name: state["blue"]["revision"] for name, state in self.models.items() if state.get("blue")}

    def loaded(self):
        """The names that the inference server must hold, and no other."""
        return sorted(copy["model"] for one in self._placed() if one.get("load_begun") for copy in one["copies"])

    def files(self):
        return sorted(copy["model"] for one in self._placed() for copy in one["copies"])

    def _placed(self):
        for state in self.models.values():
            if state.get("blue"):
                yield state["blue"]
            yield from state.get("kept", [])


def world_faults(gateway):
    """Where journal, server, repository and gateway do not agree, or the server saw its files change; with every task at its end."""
    book = Journal(gateway.rolloutd.journal)
    found = book.faults()
    if gateway.loaded() != book.loaded():
        found.append(f"the server holds {gateway.loaded()}, the journal {book.loaded()}")
    if gateway.files() != book.files():
        found.append(f"the repository holds {gateway.files()}, the journal {book.files()}")
    if gateway.serving() != book.deployed():
        found.append(f"the gateway lists {gateway.serving()}, the journal {book.deployed()}")
    if gateway.violations():
        found.append(f"files changed under the server: {gateway.violations()}")
    return found


def numbers_faults(journal):
    """Deployments whose revision is not newer than that of an earlier one of their model."""
    faults, last = [], {}
    for _, _, task_id, kind, model_id, _, text in journal.tasks:
        revision = json.loads(text)["metadata"].get("revision", 0)
        if kind == "deploy" and revision:
            if revision <= last.get(model_id, 0):
                faults.append(f"task {task_id} has revision {revision} of model {model_id}, after revision {last[model_id]}")
            last[model_id] = revision
    return faults


def ends_faults(log, journal):
    """Tasks that have run to their end twice, or before an earlier one of their model. `log`: rolloutd's lines, in order."""
    faults = []
    sequences = {task[2]: task[0] for task in journal.tasks}
    ends = [line for line in log if line["message"].startswith("The task is ")]
    for task_id, count in collections.Counter(line["task_id"] for line in ends).items():
        if count > 1:
            faults.append(f"task {task_id} has ended {count} times: {[line for line in log if line.get('task_id') == task_id]}")
    last = {}
    for line in ends:
        model, sequence = line["model_id"], sequences[line["task_id"]]
        if sequence < last.get(model, 0):
            faults.append(f"task {line['task_id']} of model {model} has run after a later one")
        last[model] = sequence
    return faults
