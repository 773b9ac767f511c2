import { afterEach, describe, expect, it, vi } from "vitest";
import { createStderrLog, type WorkerLog, withBindings } from "./log.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("createStderrLog()", () => {
  it("writes one line with its fields, and no debug lines", () => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const log = createStderrLog();

    log.debug("nothing");
    log.info({ pool: "hello", n: 1, err: new Error("a b") }, "ready");

    expect(write).toHaveBeenCalledTimes(1);
    expect(write.mock.calls[0]?.[0]).toMatch(/^\d\d:\d\d:\d\d info ready pool=hello n=1 err="a b"\n$/);
  });
});

describe("withBindings()", () => {
  it("adds the fields to each line of a log that makes no children", () => {
    const info = vi.fn();
    const log: WorkerLog = { debug: info, info, warn: info, error: info };

    const bound = withBindings(log, { job_id: "a" });
    bound.info("hello");
    bound.info({ n: 1 }, "hello");

    expect(info.mock.calls).toEqual([
      [{ job_id: "a" }, "hello"],
      [{ job_id: "a", n: 1 }, "hello"],
    ]);
  });
});
