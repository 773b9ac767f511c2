import { create } from "@bufbuild/protobuf";
import { JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { encode } from "../../test/support/fake-worker.ts";
import { createPacketSigner } from "../bus/index.ts";
import { DomainError } from "../errors/index.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Outputs } from "./outputs.ts";
import type { SchedulerPorts } from "./ports.ts";
import { createResults } from "./results.ts";

describe("a result that cannot be handled now", () => {
  it.each([
    ["because policy is away", new DomainError("unavailable", "no kernel"), true],
    ["for a reason of its own", new TypeError("x is undefined"), false],
  ])("is tried again, and says whether that is %s", async (_title, error, isOutside) => {
    const ports = {
      bus: { signer: createPacketSigner({ mode: "off" }) },
      fleet: { get: () => ({ info: { isLeased: false } }) },
      log: pino({ level: "silent" }),
    };
    const outputs = { isNeeded: () => true, beforeEnd: () => Promise.reject(error) };
    const parts = { dispatcher: {} as Dispatcher, outputs: outputs as unknown as Outputs };
    const results = createResults(ports as unknown as SchedulerPorts, parts, () => undefined);
    const value = create(JobResultSchema, { jobId: "j", workerId: "w", status: JobStatus.SUCCEEDED });

    const outcome = await results.handle(encode("w", { payload: { case: "jobResult", value } }), undefined);

    expect(outcome).toEqual({ kind: "retry", afterMs: 1_000, isOutside });
  });
});
