import { create } from "@bufbuild/protobuf";
import { SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { describe, expect, it } from "vitest";
import { toJobRequest } from "./to-job-request.ts";

const context = { id: "j", tenant: "acme", principal: "", traceId: "t", traceparent: "", nowMs: 0 };
const memoryOf = (memoryId: string) =>
  toJobRequest(create(SubmitJobRequestSchema, { prompt: "p", topic: "job.a", memoryId }), context).request.memoryId;

describe("memory_id of a job", () => {
  it.each(["run:r", "mem:other", "@acme:notes", " run:r"])("%j is refused: it is another one's memory", (id) => {
    expect(() => memoryOf(id)).toThrow("memory_id: must not begin with");
  });

  it("is a name of one's own, or that of the job itself", () => {
    expect(["", "notes", "mem:j", "runs:r"].map(memoryOf)).toEqual(["mem:j", "notes", "mem:j", "runs:r"]);
  });
});
