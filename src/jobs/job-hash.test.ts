import { create, toBinary } from "@bufbuild/protobuf";
import { ActorType, JobPriority, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { jobHash } from "./job-hash.ts";

const plain = { jobId: "job-1", topic: "job.test", tenantId: "default" };

describe("jobHash()", () => {
  it("hashes the bytes that every protobuf library writes for a plain request", () => {
    const request = create(JobRequestSchema, plain);

    expect(Buffer.from(toBinary(JobRequestSchema, request)).toString("hex")).toBe(
      "0a056a6f622d3112086a6f622e746573746a0764656661756c74",
    );
    expect(jobHash(request)).toBe("4d9b5a535daba62f1ac647f6188ea6a200c1da3fdb0adf25ec668bbf462ffe2b");
  });

  it("leaves out what may change after the decision", () => {
    const request = create(JobRequestSchema, {
      ...plain,
      labels: { foo: "bar", approval_granted: "true", Approval_Note: "x", "cordum.bus_msg_id": "m1" },
      env: { CORDUM_EFFECTIVE_CONFIG: "{}" },
    });

    expect(jobHash(request)).toBe("fb9159115d67b143627e181cdbfa000eabcabe78fa424fdd23b2dec4f88c9f4e");
  });

  it("sorts maps, keeps empty messages that are present, and does not filter the labels of meta", () => {
    const request = create(JobRequestSchema, {
      ...plain,
      priority: JobPriority.CRITICAL,
      contextPtr: "redis://ctx:job-1",
      principalId: "p",
      env: { tenant_id: "default", a: "", B: "2" },
      labels: { zone: "é", Zone: "1", preferred_pool: "gpu" },
      contextHints: {},
      budget: { deadlineMs: 60000n },
      meta: {
        tenantId: "default",
        actorType: ActorType.HUMAN,
        riskTags: ["prod", "write"],
        requires: ["git"],
        labels: { approval_x: "kept" },
      },
    });

    expect(jobHash(request)).toBe("089730aa0715e70c9bcac03c115a1a732fec1c4809d897b548361c8c331532b7");
  });
});
