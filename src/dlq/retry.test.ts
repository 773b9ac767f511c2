import { create } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { retryIdOf, toRetryRequest } from "./retry.ts";

describe("retryIdOf()", () => {
  it("is the same for the same entry, and another for a later one", () => {
    const id = retryIdOf({ id: "j", createdUs: 1 });

    expect(id).toMatch(/^j-retry-[0-9a-f]{8}$/);
    expect(retryIdOf({ id: "j", createdUs: 1 })).toBe(id);
    expect(retryIdOf({ id: "j", createdUs: 2 })).not.toBe(id);
  });

  it("refuses poison, and ids that would become too long", () => {
    expect(() => retryIdOf({ id: "poison:1", createdUs: 1 })).toThrow("not a job");
    expect(() => retryIdOf({ id: "x".repeat(500), createdUs: 1 })).toThrow("retried too often");
  });
});

describe("toRetryRequest()", () => {
  const original = create(JobRequestSchema, {
    jobId: "j",
    topic: "job.a",
    priority: 3,
    env: { team_id: "t" },
    labels: { region: "eu", approval_granted: "true", "cordum.bus_msg_id": "x" },
    budget: { deadlineMs: 5n },
    meta: { riskTags: ["write"], requires: ["gpu"], capability: "sql", labels: { region: "eu", Approval_Note: "x" } },
  });

  it("keeps what was said, and leaves out what the platform had added", () => {
    const request = toRetryRequest(original, { jobId: "j2", contextPtr: "redis://ctx:j2" });

    const added = { retry: "true", retry_of_job: "j", dlq_entry: "j" };
    expect(request).toMatchObject({ jobId: "j2", contextPtr: "redis://ctx:j2", topic: "job.a", priority: 3 });
    expect(request.env).toEqual({ team_id: "t", retry_of_job: "j" });
    expect(request.labels).toEqual({ region: "eu", ...added });
    expect(request.meta?.labels).toEqual({ region: "eu", ...added });
    expect(request.meta).toMatchObject({ riskTags: ["write"], requires: ["gpu"], capability: "sql" });
    expect(request.budget?.deadlineMs).toBe(5n);
  });

  it("does not touch the original", () => {
    toRetryRequest(original, { jobId: "j2", contextPtr: "" });

    expect(original).toMatchObject({ jobId: "j", labels: { approval_granted: "true" } });
  });
});
