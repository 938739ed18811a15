"""The API as it is usually built: FastAPI, tasks in Redis, which syncs each write. The same checks, the same document, answered as
FastAPI's own tutorial answers (the model is returned, `response_model` checks it and writes it), and one round trip to Redis for a
post. Started by uvicorn with uvloop and httptools, in one process, as nginx has one worker process."""

import datetime
import os
import uuid

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI()
store = redis.Redis(connection_pool=redis.ConnectionPool(connection_class=redis.connection.UnixDomainSocketConnection,
                                                         path=os.environ["REDIS_SOCKET"]))


class Metadata(BaseModel):
    config: dict


class Deployment(BaseModel):
    model_id: str = Field(regex=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    task_id: str | None = Field(None, regex=r"^[A-Za-z0-9_-]{1,64}$")
    config: dict = {}


class Task(BaseModel):
    task_id: str
    id: str
    model_id: str
    embedding_model_id: str
    status: str
    detail: str
    created_at: str
    updated_at: str
    metadata: Metadata


@app.post("/deploy", response_model=Task)
async def deploy(wanted: Deployment):
    task_id = wanted.task_id or str(uuid.uuid4())
    now = datetime.datetime.utcnow().isoformat() + "Z"
    task = Task(task_id=task_id, id=task_id, model_id=wanted.model_id, embedding_model_id=wanted.model_id, status="pending",
                detail="The task is accepted and waits for its turn.", created_at=now, updated_at=now,
                metadata=Metadata(config=wanted.config))
    async with store.pipeline(transaction=True) as batch:
        batch.set(f"task:{task_id}", task.json(), nx=True)
        batch.set(f"latest:{wanted.model_id}", task_id)
        batch.rpush("queue", task_id)
        created, _, _ = await batch.execute()
    if not created:
        task = Task.parse_raw(await store.get(f"task:{task_id}"))
    return task


@app.get("/deploy/{task_id}", response_model=Task)
async def read(task_id: str):
    document = await store.get(f"task:{task_id}")
    if document is None:
        raise HTTPException(404, "There is no such task.")
    return Task.parse_raw(document)
