import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { DomainError } from "./domain-error.ts";
import { isOutside } from "./outside.ts";

describe("isOutside()", () => {
  it.each([
    new DomainError("unavailable", "no kernel"),
    new Error("not read", { cause: new DomainError("unavailable", "no configuration") }),
    new Error("commit: OOM command not allowed when used memory > 'maxmemory'."),
    new Error("READONLY You can't write against a read only replica."),
    new Error("LOADING Redis is loading the dataset in memory"),
    new Error("Connection is closed."),
  ])("is true of %s", (error) => {
    expect(isOutside(error)).toBe(true);
  });

  it("is true of a Redis and a NATS that are not there", async () => {
    const redis = new Redis(1, "127.0.0.1", { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
    redis.on("error", () => undefined);
    const noRedis = await redis.get("x").catch((error: unknown) => error);
    const noNats = await connect({ servers: "127.0.0.1:1", reconnect: false }).catch((error: unknown) => error);

    expect([noRedis, noNats].map(isOutside)).toEqual([true, true]);
  });

  it.each([
    new TypeError("x is not a function"),
    new Error("commit: user_script:12: attempt to index a nil value"),
    new DomainError("invalid_argument", "topic"),
    undefined,
  ])("is false of %s", (error) => {
    expect(isOutside(error)).toBe(false);
  });
});
