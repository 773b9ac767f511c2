import { describe, expect, it } from "vitest";
import { DomainError } from "../errors/index.ts";
import { createRateLimiter } from "./rate-limit.ts";

describe("createRateLimiter()", () => {
  it("allows a burst, then the steady rate, and says when the next call fits", () => {
    let now = 0;
    const limiter = createRateLimiter({ requestsPerSecond: 10, burst: 2 }, () => now);

    limiter.take("a");
    limiter.take("a");
    const refusal = thrown(() => limiter.take("a"));
    limiter.take("b");
    now = 100;
    limiter.take("a");

    expect(refusal).toMatchObject({ code: "resource_exhausted", reason: "rate_limited", retryAfterMs: 100 });
    expect(thrown(() => limiter.take("a"))).toBeInstanceOf(DomainError);
  });

  it("never saves up more than the burst", () => {
    let now = 0;
    const limiter = createRateLimiter({ requestsPerSecond: 10, burst: 1 }, () => now);
    limiter.take("a");
    now = 60_000;
    limiter.take("a");

    expect(thrown(() => limiter.take("a"))).toBeInstanceOf(DomainError);
  });
});

function thrown(act: () => void): unknown {
  try {
    act();
    return undefined;
  } catch (reason) {
    return reason;
  }
}
