import { describe, expect, it } from "vitest";
import { createHealthRegistry } from "./health.ts";

describe("createHealthRegistry()", () => {
  it("reports what is wrong, by name", async () => {
    const health = createHealthRegistry();
    health.add("redis", () => undefined);
    health.add("nats", () => Promise.reject(new Error("closed\nat somewhere")));

    expect(await health.report("ready")).toEqual({ ok: false, checks: { redis: "ok", nats: "closed" } });
  });

  it("leaves dependencies out of the question whether the process lives", async () => {
    const health = createHealthRegistry();
    health.add("redis", () => Promise.reject(new Error("down")));
    health.add("dispatcher", () => undefined, { kind: "live" });

    expect(await health.report("live")).toEqual({ ok: true, checks: { dispatcher: "ok" } });
  });

  it("counts a check that does not answer in time as failed", async () => {
    const health = createHealthRegistry();
    health.add("slow", () => new Promise(() => undefined), { timeoutMs: 20 });

    expect((await health.report("ready")).checks.slow).toBe("no answer within 20 ms");
  });

  it("is not ready while draining, and still lives", async () => {
    const health = createHealthRegistry();
    health.drain();

    expect([(await health.report("ready")).ok, (await health.report("live")).ok]).toEqual([false, true]);
  });

  it("shares one answer between probes that come together, and forgets removed checks", async () => {
    const health = createHealthRegistry();
    let runs = 0;
    const remove = health.add("counted", () => {
      runs++;
    });

    await Promise.all([health.report("ready"), health.report("ready")]);
    remove();
    const { checks } = await health.report("ready");

    expect([runs, checks]).toEqual([1, {}]);
  });
});
