import { describe, expect, it } from "vitest";
import { createWorker } from "./index.ts";

const base = { pool: "hello", handlers: { "job.hello": () => 1 } };

describe("createWorker()", () => {
  it.each([
    ["pool", { ...base, pool: "" }],
    ["workerId", { ...base, workerId: "a.b" }],
    ["maxParallelJobs", { ...base, maxParallelJobs: 0 }],
    ["labels", { ...base, labels: { "cordum.sdk": "mine" } }],
    ["topic", { ...base, handlers: { hello: () => 1 } }],
  ])("names the option that it refuses: %s", (name, options) => {
    expect(() => createWorker(options)).toThrow(new RegExp(`^${name}`));
  });

  it("makes a worker id that a subject can hold", () => {
    expect(createWorker({ ...base, pool: "my pool.v2" }).id).toMatch(/^my-pool-v2-[^\s.*>]+$/);
  });

  it("does not start without a handler for every topic that it was given", async () => {
    await expect(createWorker({ pool: "hello" }).start()).rejects.toThrow(/^handlers/);
    const worker = createWorker({ ...base, topics: ["job.hello", "job.other"] });
    await expect(worker.start()).rejects.toThrow('topics: "job.other" has no handler');
  });
});
