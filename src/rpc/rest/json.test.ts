import { create } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { CordumApi } from "@cordum/proto/cordum/v1/api_pb.js";
import { JobSchema, JobState, ListJobsRequestSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { fromRestJson, toRestJson } from "./json.ts";

describe("toRestJson()", () => {
  it("writes exact 64-bit integers as numbers and others as strings", () => {
    const small = toRestJson(JobSchema, create(JobSchema, { updatedAt: 9007199254740991n }));
    const large = toRestJson(JobSchema, create(JobSchema, { updatedAt: 9007199254740993n }));

    expect([small, large]).toMatchObject([{ updated_at: 9007199254740991 }, { updated_at: "9007199254740993" }]);
  });

  it("shortens our enums and leaves those of the wire contract alone, also inside messages", () => {
    const job = create(JobSchema, { state: JobState.RUNNING, safetyDecision: SafetyDecision.ALLOW_WITH_CONSTRAINTS });
    const packet = create(BusPacketSchema, {
      payload: { case: "jobResult", value: create(JobResultSchema, { status: JobStatus.FAILED, executionMs: 12n }) },
    });

    expect(toRestJson(JobSchema, job)).toMatchObject({ state: "RUNNING", safety_decision: "ALLOW_WITH_CONSTRAINTS" });
    expect(toRestJson(BusPacketSchema, packet)).toMatchObject({
      job_result: { status: "JOB_STATUS_FAILED", execution_ms: 12 },
    });
  });
});

describe("fromRestJson()", () => {
  it("reads what toRestJson writes", () => {
    const job = create(JobSchema, {
      id: "j",
      state: JobState.RUNNING,
      updatedAt: 9007199254740993n,
      labels: { a: "b" },
    });
    const json = toRestJson(JobSchema, job);

    expect(fromRestJson(JobSchema, json as Record<string, never>)).toEqual(job);
  });

  it("reads lowerCamelCase, numbers as strings, and ignores what it does not know", () => {
    expect(fromRestJson(ListJobsRequestSchema, { pageSize: "7", updated_after: 5, nope: {} })).toMatchObject({
      pageSize: 7,
      updatedAfter: 5n,
    });
  });

  it.each([
    ["labels", { labels: { a: 1 } }],
    ["risk_tags", { riskTags: [1] }],
    ["max_input_tokens", { max_input_tokens: 1.5 }],
  ])("names the field %s", (field, json) => {
    const schema = CordumApi.method.submitJob.input;
    expect(() => fromRestJson(schema, json)).toThrow(new RegExp(`^${field}`));
  });

  it("keeps a member called __proto__ as data", () => {
    const message = fromRestJson(JobSchema, JSON.parse('{"labels":{"__proto__":"x"}}'));

    expect(Object.entries((message as unknown as { labels: object }).labels)).toEqual([["__proto__", "x"]]);
  });
});
