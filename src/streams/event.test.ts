import { create, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobState, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { peekTargetState, toPacketEvent, toTransitionEvent } from "./event.ts";

describe("peekTargetState()", () => {
  it("reads the state, whatever stands before it", () => {
    for (const to of [JobState.PENDING, JobState.DENIED]) {
      const init = { jobId: "j", tenant: "t", topic: "job.a", from: JobState.RUNNING, to, at: 1n, errorMessage: "x" };
      expect(peekTargetState(toBinary(JobTransitionSchema, create(JobTransitionSchema, init)))).toBe(to);
    }
  });

  it("is 0 without a state, and fails on garbage", () => {
    expect(peekTargetState(new Uint8Array())).toBe(0);
    expect(() => peekTargetState(new Uint8Array([0xff, 0xff, 0xff]))).toThrow();
  });
});

describe("events", () => {
  it("refuse a transition that names no job", () => {
    expect(() => toTransitionEvent("evt.job.t.j", new Uint8Array())).toThrow("without job id");
  });

  it("lose a time that JSON cannot write", () => {
    const packet = create(BusPacketSchema, { traceId: "t", createdAt: { seconds: 10n ** 15n, nanos: -1 } });

    expect(toPacketEvent("s", toBinary(BusPacketSchema, packet)).packet.createdAt).toBeUndefined();
  });
});
