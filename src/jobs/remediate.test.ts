import { create } from "@bufbuild/protobuf";
import { JobMetadataSchema, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { PolicyRemediationSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { DecisionRecordSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { chooseRemediation, toRemediedRequest } from "./remediate.ts";

const remediation = create(PolicyRemediationSchema, {
  id: "narrow",
  replacementTopic: "job.read",
  replacementCapability: "repo.read",
  addLabels: { mode: "dry", approval_granted: "true" },
  removeLabels: ["danger"],
});
const original = create(JobRequestSchema, {
  jobId: "old",
  topic: "job.write",
  principalId: "ada",
  env: { tenant_id: "t" },
  labels: { danger: "1", kept: "2", APPROVAL_granted: "true", "cordum.bus_msg_id": "m" },
  meta: create(JobMetadataSchema, { capability: "repo.write", riskTags: ["prod"], labels: { danger: "1" } }),
});
const to = { jobId: "new", contextPtr: "redis://ctx:new", principal: "" };

describe("toRemediedRequest()", () => {
  it("replaces what the remediation names and keeps the rest", () => {
    expect(toRemediedRequest(original, remediation, to)).toMatchObject({
      jobId: "new",
      parentJobId: "old",
      contextPtr: "redis://ctx:new",
      topic: "job.read",
      principalId: "ada",
      env: { tenant_id: "t" },
      meta: { capability: "repo.read", riskTags: ["prod"] },
    });
  });

  it("marks the labels, adds and removes, and lets none through that only the platform may set", () => {
    const { labels, meta } = toRemediedRequest(original, remediation, to);

    expect(labels).toEqual({ kept: "2", remediation_of: "old", remediation_id: "narrow", mode: "dry" });
    expect(meta?.labels).toEqual({ remediation_of: "old", remediation_id: "narrow", mode: "dry" });
  });

  it("runs in the name of whoever asks for it", () => {
    expect(toRemediedRequest(original, remediation, { ...to, principal: "bob" }).principalId).toBe("bob");
  });

  it("refuses a topic that is none", () => {
    const broken = create(PolicyRemediationSchema, { id: "x", replacementTopic: "job.*" });

    expect(() => toRemediedRequest(original, broken, to)).toThrow('"job.*", which is no topic');
  });
});

describe("chooseRemediation()", () => {
  const decided = (...ids: string[]) => ({
    id: "old",
    decision: create(DecisionRecordSchema, { remediations: ids.map((id) => ({ id })) }),
  });

  it.each([
    ["none is offered", decided(), "", "failed_precondition"],
    ["several are offered and none is named", decided("a", "b"), "", "invalid_argument"],
    ["another is named", decided("a"), "b", "not_found"],
  ])("refuses when %s", (_, job, wanted, code) => {
    expect(() => chooseRemediation(job, wanted)).toThrow(expect.objectContaining({ code }));
  });

  it("takes the only one, or the one that is named", () => {
    expect(chooseRemediation(decided("a"), "").id).toBe("a");
    expect(chooseRemediation(decided("a", "b"), "b").id).toBe("b");
  });
});
