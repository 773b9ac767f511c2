import { create, fromBinary, fromJsonString, toBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { describe, expect, it } from "vitest";
import { toDispatchedRequest } from "./constraints.ts";

const env = { tenant_id: "t" };
const request = create(JobRequestSchema, { jobId: "j", topic: "job.x", env, budget: { deadlineMs: 5_000n } });
const encoded = toBinary(JobRequestSchema, request);

function dispatched(over: Partial<Parameters<typeof toDispatchedRequest>[2]>) {
  const limits = { constraints: undefined, deadlineInMs: undefined, ...over };
  return fromBinary(JobRequestSchema, toDispatchedRequest(encoded, request, limits));
}

describe("toDispatchedRequest()", () => {
  it("sends the stored bytes themselves when nothing limits the job", () => {
    expect(toDispatchedRequest(encoded, request, { constraints: undefined, deadlineInMs: undefined })).toBe(encoded);
  });

  it("27: takes the sooner of deadline and runtime, and sets only what policy set", () => {
    const constraints = create(PolicyConstraintsSchema, { budgets: { maxRuntimeMs: 2_000n, maxArtifactBytes: 9n } });

    const sent = dispatched({ constraints, deadlineInMs: 4_900.4 });

    expect(sent.budget?.deadlineMs).toBe(2_000n);
    expect(Object.keys(sent.env).toSorted()).toEqual([
      "CORDUM_MAX_ARTIFACT_BYTES",
      "CORDUM_POLICY_CONSTRAINTS",
      "tenant_id",
    ]);
    expect(fromJsonString(PolicyConstraintsSchema, sent.env.CORDUM_POLICY_CONSTRAINTS ?? "")).toEqual(constraints);
  });

  it("tells what is left of the deadline, one millisecond at least", () => {
    expect(dispatched({ deadlineInMs: 1_234.5 }).budget?.deadlineMs).toBe(1_235n);
    expect(dispatched({ deadlineInMs: -7 }).budget?.deadlineMs).toBe(1n);
  });

  it("leaves the request that it was given alone", () => {
    dispatched({ deadlineInMs: 10, constraints: create(PolicyConstraintsSchema, { redactionLevel: "high" }) });

    expect(request.env).toEqual({ tenant_id: "t" });
    expect(request.budget?.deadlineMs).toBe(5_000n);
  });
});
