import { create, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobState, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind } from "@cordum/proto/cordum/v1/stream_pb.js";
import { describe, expect, it } from "vitest";
import { toPacketEvent, toTransitionEvent } from "./event.ts";
import { parseQuery, toFrame } from "./web-socket.ts";

describe("parseQuery()", () => {
  const parse = (query: string) => parseQuery(new URLSearchParams(query));

  it("wants packets, and transitions only when they are asked for", () => {
    expect(parse("").kinds).toEqual([StreamKind.PACKET]);
    expect(parse("kinds=transition").kinds).toEqual([StreamKind.TRANSITION]);
    expect(parse("kinds=packet,Transition").kinds).toEqual([StreamKind.PACKET, StreamKind.TRANSITION]);
  });

  it("takes lists with commas and repeated parameters", () => {
    const query = parse(
      "subjects=sys.job.result,sys.heartbeat&subjects=x&job_ids=a&topics=job.a&states=failed,JOB_STATE_DENIED",
    );

    expect(query).toMatchObject({
      subjects: ["sys.job.result", "sys.heartbeat", "x"],
      jobIds: ["a"],
      topics: ["job.a"],
    });
    expect(query.states).toEqual([JobState.FAILED, JobState.DENIED]);
    expect(parse("terminal_only=true").terminalOnly).toBe(true);
  });

  it.each(["kinds=both", "states=done", "states=UNSPECIFIED", "states=1"])("refuses %s by name", (query) => {
    expect(() => parse(query)).toThrow(query.split("=")[0]);
  });
});

describe("toFrame()", () => {
  it("is the packet in proto3 JSON, with subject and sequence beside its members", () => {
    const packet = create(BusPacketSchema, {
      traceId: "t",
      senderId: "w1",
      createdAt: { seconds: 1_700_000_000n },
      protocolVersion: 1,
      payload: { case: "jobResult", value: { jobId: "j", status: 5, executionMs: 12n } },
    });
    const event = toPacketEvent("sys.job.result", toBinary(BusPacketSchema, packet));

    const frames = [1, 2].map((sequence) => JSON.parse(toFrame({ sequence, event })));

    expect(frames[1]).toEqual({ ...frames[0], sequence: 2 });
    expect(frames[0]).toEqual({
      subject: "sys.job.result",
      sequence: 1,
      traceId: "t",
      senderId: "w1",
      createdAt: "2023-11-14T22:13:20Z",
      protocolVersion: 1,
      jobResult: { jobId: "j", status: "JOB_STATUS_SUCCEEDED", executionMs: "12" },
    });
  });

  it("is JSON also for an empty packet", () => {
    const event = toPacketEvent("sys.job.x", new Uint8Array());

    expect(JSON.parse(toFrame({ sequence: 7, event }))).toEqual({ subject: "sys.job.x", sequence: 7 });
  });

  it("holds a transition under its name", () => {
    const bytes = toBinary(
      JobTransitionSchema,
      create(JobTransitionSchema, { jobId: "j", to: JobState.FAILED, at: 5n }),
    );
    const event = toTransitionEvent("evt.job.t.j", bytes);

    const transition = { jobId: "j", to: "JOB_STATE_FAILED", at: "5" };
    expect(JSON.parse(toFrame({ sequence: 1, event }))).toEqual({ subject: "evt.job.t.j", sequence: 1, transition });
  });
});
