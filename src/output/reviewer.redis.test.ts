import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { openTelemetry, type Telemetry } from "../telemetry/index.ts";
import { createOutputReviewer, type JobOutput, type OutputReviewer, type OutputRule } from "./reviewer.ts";

const log = pino({ level: "silent" });
const key = ["AKIA", "Q3EGRIQT7NB5YV2M"].join("");
const mask = "[redacted:aws_access_key]";

let servers: TestServers;
let redis: RedisClient;
let reviewer: OutputReviewer;
let telemetry: Telemetry;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  telemetry = await openTelemetry({ service: "t", version: "0", log, metricsAddr: { host: "127.0.0.1", port: 0 } });
  reviewer = createOutputReviewer({ redis, log, quarantineTtlMs: 50_000, payloadTtlMs: 20_000 });
});
afterAll(async () => {
  await reviewer.close();
  await telemetry.close();
  redis.disconnect();
  await servers.stop();
});

const rule = (over: Partial<OutputRule> = {}): OutputRule => ({
  id: "r",
  decision: "redact",
  reason: "because",
  hold: true,
  detectors: ["secrets"],
  maxBytes: undefined,
  ...over,
});
const output = (over: Partial<JobOutput>): JobOutput => ({
  jobId: "j",
  tenant: "acme",
  resultPtr: "",
  artifactPtrs: [],
  errorMessage: "",
  ...over,
});

describe("review()", () => {
  it("of a result comes to the same when it is repeated, as after a crash", async () => {
    await redis.set("res:j", key, "PX", 10_000);
    const asked = output({ resultPtr: "redis://res:j" });

    const first = await reviewer.review(asked, [rule()]);
    const again = await reviewer.review(asked, [rule()]);

    expect(again).toEqual(first);
    expect(first.resultPtr).toBe("redis://res:j:redacted");
    expect(await redis.mget("res:j", "res:j:redacted", "quarantine:j")).toEqual([null, mask, key]);
  });

  it("lets a copy live as long as its original would have, and the original in quarantine as long as is set", async () => {
    await redis.set("res:ttl", key, "PX", 10_000);

    await reviewer.review(output({ jobId: "ttl", resultPtr: "redis://res:ttl" }), [rule()]);

    expect(await redis.pttl("res:ttl:redacted")).toBeGreaterThan(9_000);
    expect(await redis.pttl("res:ttl:redacted")).toBeLessThanOrEqual(10_000);
    expect(await redis.pttl("quarantine:ttl")).toBeGreaterThan(49_000);
  });

  it("keeps the attempts of a job apart", async () => {
    await redis.set("res:j#2", key);

    const { resultPtr } = await reviewer.review(output({ resultPtr: "redis://res:j#2" }), [rule()]);

    expect(resultPtr).toBe("redis://res:j#2:redacted");
    expect(await redis.get("quarantine:j#2")).toBe(key);
  });

  it("gives back what an earlier look had taken away, when the policy allows it by now", async () => {
    await redis.set("res:back", key);
    const asked = output({ jobId: "back", resultPtr: "redis://res:back" });
    await reviewer.review(asked, [rule({ decision: "quarantine" })]);
    expect(await redis.get("res:back")).toBeNull();

    const { resultPtr } = await reviewer.review(asked, [rule({ detectors: ["pii"] })]);

    expect(resultPtr).toBe("redis://res:back");
    expect(await redis.mget("res:back", "quarantine:back")).toEqual([key, null]);
  });

  it("never moves what is not the job's own: it only stops naming it", async () => {
    await redis.mset("res:other", key, "art:other", key, "cfg:system:x", key);
    await redis.set("art:meta:other", JSON.stringify({ labels: { tenant_id: "acme", job_id: "other" } }));
    const quarantine = [rule({ decision: "quarantine" })];

    for (const resultPtr of ["redis://res:other", "redis://cfg:system:x"]) {
      const reviewed = await reviewer.review(output({ resultPtr, artifactPtrs: ["redis://art:other"] }), quarantine);
      expect(reviewed).toMatchObject({ resultPtr: "", artifactPtrs: [] });
    }
    const redacted = await reviewer.review(output({ jobId: "k", resultPtr: "redis://res:other" }), [rule()]);

    expect(redacted.resultPtr).toBe("redis://res:k:redacted");
    expect(await redis.mget("res:other", "art:other", "cfg:system:x")).toEqual([key, key, key]);
  });

  it("redacts content and labels of an artifact, in a copy that tells its own size", async () => {
    await redis.set("art:a", `k ${key}`);
    await redis.set(
      "art:meta:a",
      JSON.stringify({ size_bytes: 22, labels: { tenant_id: "acme", job_id: "j", note: key } }),
    );

    const { artifactPtrs } = await reviewer.review(output({ artifactPtrs: ["redis://art:a"] }), [rule()]);

    expect(artifactPtrs).toEqual(["redis://art:a-redacted"]);
    expect(await redis.get("art:a-redacted")).toBe(`k ${mask}`);
    expect(JSON.parse((await redis.get("art:meta:a-redacted")) ?? "")).toEqual({
      size_bytes: `k ${mask}`.length,
      labels: { tenant_id: "acme", job_id: "j", note: mask },
    });
    expect(await redis.mget("art:a", "quarantine:art:a")).toEqual([null, `k ${key}`]);
  });

  it("keeps an artifact of the job that is its result from everybody, too, and redacts it as an artifact", async () => {
    const meta = JSON.stringify({ size_bytes: 20, labels: { tenant_id: "acme", job_id: "j" } });
    await redis.mset("art:r1", key, "art:meta:r1", meta, "art:r2", key, "art:meta:r2", meta);

    await reviewer.review(output({ resultPtr: "redis://art:r1" }), [rule({ decision: "quarantine" })]);
    const { resultPtr } = await reviewer.review(output({ resultPtr: "redis://art/r2" }), [rule()]);

    expect(await redis.mget("art:r1", "quarantine:art:r1")).toEqual([null, key]);
    expect(resultPtr).toBe("redis://art:r2-redacted");
    expect(await redis.mget("art:r2", "art:r2-redacted", "quarantine:art:r2")).toEqual([null, mask, key]);
    expect(JSON.parse((await redis.get("art:meta:r2-redacted")) ?? "")).toMatchObject({ labels: { job_id: "j" } });
  });

  it("leaves an artifact of another job where it is, though it is named as the result", async () => {
    await redis.mset("art:r3", key, "art:meta:r3", JSON.stringify({ labels: { tenant_id: "acme", job_id: "k" } }));

    const { resultPtr } = await reviewer.review(output({ resultPtr: "redis://art:r3" }), [rule()]);

    expect(resultPtr).toBe("redis://res:j:redacted");
    expect(await redis.mget("art:r3", "art:r3-redacted")).toEqual([key, null]);
  });

  it("gives the quarantine its lifetime also when a crash came right after the move", async () => {
    await redis.set("quarantine:crashed", key, "PX", 1_000);

    await reviewer.review(output({ jobId: "crashed", resultPtr: "redis://res:crashed" }), [rule()]);

    expect(await redis.pttl("quarantine:crashed")).toBeGreaterThan(49_000);
  });

  it("quarantines a list, binary content that holds something, and what all together is too much", async () => {
    await redis.rpush("res:list", "x");
    await redis.set("res:binary", Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(key)]));
    await redis.set("res:large", Buffer.alloc(9 * 1_024 * 1_024, "x"));

    for (const [jobId, why] of [
      ["list", /not a string/],
      ["binary", /cannot be redacted/],
      ["large", /more than 8388608 bytes/],
    ] as const) {
      const { verdict } = await reviewer.review(output({ jobId, resultPtr: `redis://res:${jobId}` }), [rule()]);
      expect(verdict).toMatchObject({ decision: "quarantine", reason: expect.stringMatching(why) });
      expect(await redis.exists(`res:${jobId}`)).toBe(0);
    }
  });

  it("quarantines when the detectors fail, and says nothing of the content", async () => {
    await redis.set("res:fails", key);

    const { verdict } = await reviewer.review(output({ jobId: "fails", resultPtr: "redis://res:fails" }), [
      rule({ detectors: ["from-the-future"] }),
    ]);

    expect(verdict).toMatchObject({ decision: "quarantine", reason: "output_scan_failed: the detectors failed" });
  });

  it("is counted by decision and kind, and timed", async () => {
    const text = await (await fetch(`http://127.0.0.1:${telemetry.metricsPort}/metrics`)).text();

    expect(text).toMatch(/cordum_output_decisions_total\{[^}]*decision="redact"[^}]*\} \d/);
    expect(text).toMatch(/cordum_output_findings_total\{[^}]*kind="aws_access_key",decision="redact"[^}]*\} \d/);
    expect(text).toMatch(/cordum_output_scan_duration_seconds_count\{[^}]*decision="quarantine"[^}]*\} \d/);
  });
});
