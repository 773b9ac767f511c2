import { create } from "@bufbuild/protobuf";
import { JobPriority, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { describe, expect, it } from "vitest";
import { inputFromCheck, inputFromJob } from "./input.ts";

describe("inputFromJob()", () => {
  it("takes what policy looks at from a job", () => {
    const request = create(JobRequestSchema, {
      jobId: "j1",
      topic: "job.x",
      tenantId: "acme",
      principalId: "ada",
      priority: JobPriority.CRITICAL,
      memoryId: "m",
      labels: { a: "1" },
      meta: { capability: "c" },
      env: { tenant_id: "ignored", CORDUM_EFFECTIVE_CONFIG: "{}" },
    });

    expect(inputFromJob(request, "acme")).toMatchObject({
      jobId: "j1",
      topic: "job.x",
      tenant: "acme",
      principalId: "ada",
      priority: JobPriority.CRITICAL,
      memoryId: "m",
      labels: { a: "1" },
      meta: { capability: "c" },
      effectiveConfig: {},
    });
  });

  it("takes the tenant of the record, whatever the request says elsewhere", () => {
    const request = create(JobRequestSchema, { meta: { tenantId: "a" }, env: { tenant_id: "b" } });

    expect(inputFromJob(request, "a").tenant).toBe("a");
  });
});

describe("inputFromCheck()", () => {
  it("takes the request as it is", () => {
    const request = create(PolicyCheckRequestSchema, { topic: "job.x" });

    expect(inputFromCheck(request)).toBe(request);
  });
});
