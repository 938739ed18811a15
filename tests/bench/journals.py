"""Journals with a great many tasks, written at once instead of task by task, and the documents that stand in them."""

import datetime
import json
import pathlib
import sqlite3
import subprocess
import time

DOCUMENT_BYTES = 400
CREATED_US = time.time_ns() // 1000  # too young for retention
CREATED = datetime.datetime.fromtimestamp(CREATED_US / 1e6, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def task_id(number):
    return f"{number:08x}-0000-7000-8000-000000000000"


def document(number, model_id, status="completed"):
    """A task's document as rolloutd stores it, padded by its parameters to the length that the figures speak of."""
    made = {"task_id": task_id(number), "id": task_id(number), "model_id": model_id, "embedding_model_id": model_id,
            "status": status, "detail": "", "created_at": CREATED, "updated_at": CREATED,
            "metadata": {"revision": 1, "step": "", "progress": 1.0, "traffic_weight": 100, "elapsed_ms": 50, "steps": [], "config": {"p": ""}}}
    padding = DOCUMENT_BYTES - len(json.dumps(made, separators=(",", ":")))
    made["metadata"]["config"]["p"] = "x" * max(padding, 0)
    return json.dumps(made, separators=(",", ":"))


def fill(rolloutd, count, models=1000, updated_us=CREATED_US):
    """Starts and stops rolloutd for an empty journal of its own making, then writes `count` final tasks into it."""
    rolloutd.start()
    rolloutd.stop()
    with sqlite3.connect(rolloutd.journal) as journal:
        (first,) = journal.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
        first = int(first)
        journal.executemany(
            "INSERT INTO tasks (sequence, revision, kind, status, task_id, document, model_id, updated_us) "
            "VALUES (?, ?, 'deploy', 'completed', ?, ?, ?, ?)",
            ((first + n + 1, first + n + 1, task_id(n), document(n, f"m{n % models}"), f"m{n % models}", updated_us)
             for n in range(count)))
        journal.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (first + count,))
    journal.close()


def dump(journal, into):
    """sqlite3 reads the same rows, in the same order, into a file."""
    query = "SELECT sequence, revision, kind, status, task_id, document FROM tasks ORDER BY revision;"
    with open(into, "wb") as out:
        subprocess.run(["sqlite3", "-readonly", str(pathlib.Path(journal)), query], stdout=out, check=True)
