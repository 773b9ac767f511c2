import { create } from "@bufbuild/protobuf";
import { JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import type { BusEvent } from "./event.ts";
import { EventBuffer } from "./event-buffer.ts";

const eventOf = (sizeBytes: number): BusEvent => ({
  kind: "transition",
  subject: "s",
  sizeBytes,
  transition: create(JobTransitionSchema),
});

describe("EventBuffer", () => {
  it("gives events in order, at most as many as asked for", () => {
    const buffer = new EventBuffer({ maxEvents: 10, maxBytes: 1_000 });
    for (let n = 0; n < 5; n++) buffer.push(eventOf(1));

    expect(buffer.take(3).events.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    expect(buffer.take(3).events.map(({ sequence }) => sequence)).toEqual([4, 5]);
    expect(buffer.isEmpty).toBe(true);
  });

  it("counts what does not fit and leaves a gap in the sequence", () => {
    const buffer = new EventBuffer({ maxEvents: 2, maxBytes: 1_000 });

    const taken = [1, 2, 3, 4].map(() => buffer.push(eventOf(1)));
    const { events, dropped } = buffer.take(10);
    buffer.push(eventOf(1));

    expect(taken).toEqual([true, true, false, false]);
    expect(events.map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect(dropped).toBe(2);
    expect(buffer.take(10)).toMatchObject({ dropped: 0, events: [{ sequence: 5 }] });
  });

  it("has room for bytes again once they were taken", () => {
    const buffer = new EventBuffer({ maxEvents: 10, maxBytes: 100 });

    expect([60, 60, 60].map((size) => buffer.push(eventOf(size)))).toEqual([true, true, false]);
    buffer.take(1);
    expect(buffer.push(eventOf(60))).toBe(true);
  });
});
