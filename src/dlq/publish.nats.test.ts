import { fromBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Bus, openBus } from "../bus/index.ts";
import { publishDeadLetter } from "./publish.ts";

let servers: TestServers;
let bus: Bus;

beforeAll(async () => {
  servers = await startServers();
  const log = pino({ level: "silent" });
  bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
});
afterAll(async () => {
  await bus.close();
  await servers.stop();
});

const ended = {
  jobId: "j1",
  traceId: "t1",
  status: "DENIED",
  errorCode: "safety_denied",
  errorMessage: "nope",
} as const;

describe("publishDeadLetter()", () => {
  it("puts the result of the job on the dead letter stream, once", async () => {
    await publishDeadLetter(bus, ended);
    await publishDeadLetter(bus, ended);

    const { state } = await bus.manager.streams.info("CORDUM_DLQ");
    const message = await bus.manager.streams.getMessage("CORDUM_DLQ", { seq: 1 });
    const packet = fromBinary(BusPacketSchema, message?.data ?? new Uint8Array());
    expect(state.messages).toBe(1);
    expect(packet).toMatchObject({ traceId: "t1", senderId: "cordum-scheduler", protocolVersion: 1 });
    expect(packet.payload).toMatchObject({
      case: "jobResult",
      value: { jobId: "j1", status: JobStatus.DENIED, errorCode: "safety_denied", errorMessage: "nope", workerId: "" },
    });
  });

  it("takes any id that somebody has put on the bus, once", async () => {
    const before = (await bus.manager.streams.info("CORDUM_DLQ")).state.messages;
    for (const jobId of ["a\r\nb: c", "a\r\nb: c", "ü\u0000"]) await publishDeadLetter(bus, { ...ended, jobId });

    expect((await bus.manager.streams.info("CORDUM_DLQ")).state.messages).toBe(before + 2);
  });

  it("creates a stream that was deleted", async () => {
    await bus.manager.streams.delete("CORDUM_DLQ");

    await publishDeadLetter(bus, { ...ended, jobId: "j2" });

    expect((await bus.manager.streams.info("CORDUM_DLQ")).state.messages).toBe(1);
  });
});
