"""Submits one job and waits for its end, as any Python program would: python client.py rest|grpc <gateway> <key>."""

import json
import sys
import urllib.request


def rest(gateway: str, key: str) -> dict:
    def call(path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(gateway + path, data, {"X-API-Key": key, "Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    submitted = call("/api/v1/jobs", {"topic": "job.hello", "context": {"name": "Ada"}})
    job = call(f"/api/v1/jobs/{submitted['job_id']}/wait?timeout_ms=10000")
    return {"state": job["state"], "greeting": job["result"]["greeting"]}


def grpc(gateway: str, key: str) -> dict:
    import grpc

    from cordum.v1 import api_pb2, job_pb2, job_pb2_grpc

    with grpc.insecure_channel(gateway.removeprefix("http://")) as channel:
        jobs = job_pb2_grpc.JobServiceStub(channel)
        request = api_pb2.SubmitJobRequest(topic="job.hello")
        request.context.struct_value.update({"name": "Ada"})
        metadata = [("x-api-key", key)]
        submitted = jobs.SubmitJob(request, metadata=metadata)
        wait = job_pb2.WaitJobRequest(job_id=submitted.job_id, timeout_ms=10_000)
        job = jobs.WaitJob(wait, metadata=metadata).job
        return {"state": job_pb2.JobState.Name(job.state), "greeting": job.result.struct_value["greeting"]}


if __name__ == "__main__":
    print(json.dumps({"rest": rest, "grpc": grpc}[sys.argv[1]](*sys.argv[2:])))
