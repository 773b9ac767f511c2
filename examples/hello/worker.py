"""A plain worker: it knows the CAP packets and nothing else. See README.md for its dependencies."""

import asyncio
import json
import os
import signal

import nats
import redis.asyncio as redis
from cordum.agent.v1 import buspacket_pb2, job_pb2

WORKER_ID = f"hello-py-{os.getpid()}"  # one subject token: no dots, spaces or wildcards
TOPIC = "job.hello"
POOL = "hello"
HEARTBEAT_SECONDS = 5
RESULT_TTL_SECONDS = 24 * 3600


def packet(trace_id: str) -> buspacket_pb2.BusPacket:
    message = buspacket_pb2.BusPacket(trace_id=trace_id, sender_id=WORKER_ID, protocol_version=1)
    message.created_at.GetCurrentTime()
    return message


def heartbeat() -> bytes:
    message = packet("")
    message.heartbeat.worker_id = WORKER_ID
    message.heartbeat.pool = POOL
    message.heartbeat.max_parallel_jobs = 1
    return message.SerializeToString()


def greet(value: dict) -> dict:
    return {"greeting": f"Hello, {value['name']}!"}


async def read_input(store: redis.Redis, job: job_pb2.JobRequest) -> dict:
    body = json.loads(await store.get(job.context_ptr.removeprefix("redis://")) or "{}")
    # A body that is the submit envelope holds the input as its member "context".
    is_envelope = job.env.get("CORDUM_INPUT") == "context"
    return body.get("context", body) if is_envelope else body


async def execute(store: redis.Redis, job: job_pb2.JobRequest) -> job_pb2.JobResult:
    result = job_pb2.JobResult(job_id=job.job_id, worker_id=WORKER_ID)
    try:
        output = greet(await read_input(store, job))
        key = f"res:{job.job_id}"
        await store.set(key, json.dumps(output), ex=RESULT_TTL_SECONDS)
        result.result_ptr = f"redis://{key}"
        result.status = job_pb2.JOB_STATUS_SUCCEEDED
    except Exception as error:  # whatever goes wrong, the job must end
        result.status = job_pb2.JOB_STATUS_FAILED
        result.error_code = "handler_error"
        result.error_message = str(error)
    return result


async def main() -> None:
    bus = await nats.connect(os.environ.get("NATS_URL", "nats://localhost:4222"), max_reconnect_attempts=-1)
    store = redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379"))

    async def on_job(message) -> None:
        request = buspacket_pb2.BusPacket.FromString(message.data)
        if request.WhichOneof("payload") != "job_request":
            return
        answer = packet(request.trace_id)
        answer.job_result.CopyFrom(await execute(store, request.job_request))
        # No answer to the dispatch: a plain worker does not know the handshake.
        await bus.publish("sys.job.result", answer.SerializeToString())

    await bus.subscribe(f"worker.{WORKER_ID}.jobs", cb=on_job)
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    print(f"{WORKER_ID} serves {TOPIC}")
    while not stopped.is_set():
        await bus.publish("sys.heartbeat", heartbeat())
        try:
            await asyncio.wait_for(stopped.wait(), HEARTBEAT_SECONDS)
        except asyncio.TimeoutError:
            pass
    await bus.drain()


asyncio.run(main())
