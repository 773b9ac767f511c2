import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { DecisionType } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { JobSchema, JobState, ListJobsResponseSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { PolicyVerdictSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { describe, expect, it } from "vitest";
import { toRestJson } from "./json.ts";

describe("toRestJson()", () => {
  it("uses proto names and bare enum values, in lists too", () => {
    const page = create(ListJobsResponseSchema, {
      items: [{ id: "a", lastState: JobState.APPROVAL_REQUIRED }],
      nextCursor: "c",
    });

    expect(toRestJson(ListJobsResponseSchema, page)).toEqual({
      items: [{ id: "a", last_state: "APPROVAL_REQUIRED" }],
      next_cursor: "c",
    });
  });

  it("keeps the prefix of the enums of the bus", () => {
    const verdict = create(PolicyVerdictSchema, { decision: DecisionType.DENY });

    expect(toRestJson(PolicyVerdictSchema, verdict)).toEqual({ decision: "DECISION_TYPE_DENY" });
  });

  it("writes 64-bit integers as numbers while they are exact", () => {
    const job = create(JobSchema, { createdAt: 2n ** 53n - 1n, updatedAt: 2n ** 53n });

    expect(toRestJson(JobSchema, job)).toEqual({ created_at: 2 ** 53 - 1, updated_at: "9007199254740992" });
  });

  it("leaves payloads and map keys as they are", () => {
    const payload = { jobId: "x", state: "JOB_STATE_FAILED", n: "12" };
    const job = create(JobSchema, { labels: { jobId: "JOB_STATE_X" }, result: fromJson(ValueSchema, payload) });

    expect(toRestJson(JobSchema, job)).toEqual({ labels: { jobId: "JOB_STATE_X" }, result: payload });
  });
});
