import { describe, expect, it } from "vitest";
import { DomainError } from "../errors/index.ts";
import { checkShape, maxDocumentBytes } from "./check-shape.ts";
import type { Json, JsonMap } from "./json.ts";
import { normalize } from "./normalize.ts";
import { validate } from "./validate.ts";

function fieldsOf(work: () => void): string[] {
  try {
    work();
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    expect(error.code).toBe("invalid_argument");
    return error.fields.map(({ field }) => field);
  }
}

const wrongFields = (data: JsonMap) => fieldsOf(() => validate(normalize(data), "data"));

describe("validate()", () => {
  it("accepts known keys in the form of the files, and any other key", () => {
    const data = {
      pools: { topics: { "job.a": "a", "job.b": ["a", "b"] }, pools: { a: { requires: ["gpu"] }, b: {} } },
      timeouts: {
        topics: { "job.a": { timeout_seconds: 60, max_retries: 2 } },
        workflows: { w: { child_timeout_seconds: 1, total_timeout_seconds: 2, max_retries: 0 } },
        reconciler: { dispatch_timeout_seconds: 300, running_timeout_seconds: 9000, scan_interval_seconds: 30 },
      },
      safety: { denied_topics: ["job.x"], mcp: { allow_tools: ["t"] }, pii_detection_enabled: true, a: 1 },
      limits: { max_concurrent_runs: 5, anything: "else" },
      rate_limits: { concurrent_workflows: 3 },
      budget: { monthly: [1, "two", null] },
    };

    expect(wrongFields(data)).toEqual([]);
  });

  it.each<[JsonMap, string]>([
    [{ pools: { topics: null } }, "data.pools.topics"],
    [{ pools: { topics: { "job.a": [] } } }, "data.pools.topics.job.a"],
    [{ pools: { pools: { a: null } } }, "data.pools.pools.a"],
    [{ pools: { pools: { a: { offers: [] } } } }, "data.pools.pools.a.offers"],
    [{ pools: { topic: {} } }, "data.pools.topic"],
    [{ timeouts: { topics: { "job.a": { timeout_seconds: -1 } } } }, "data.timeouts.topics.job.a.timeout_seconds"],
    [{ timeouts: { reconciler: { scan: 1 } } }, "data.timeouts.reconciler.scan"],
    [{ safety: { denied_topics: "job.a" } }, "data.safety.denied_topics"],
    [{ safety: { denied_topics: ["job.*", "job.[a"] } }, "data.safety.denied_topics.1"],
    [{ safety: { deny_topics: ["job.a"] } }, "data.safety.deny_topics"],
    [{ safety: { mcp: { denied_tools: [] } } }, "data.safety.mcp.denied_tools"],
    [{ safety: [] }, "data.safety"],
    [{ data: { safety: { denied_topics: [] } } }, "data.data.safety"],
    [{ data: { safety: null } }, "data.data.safety"],
    [{ limits: { max_concurrent_runs: "5" } }, "data.limits.max_concurrent_runs"],
    [{ rate_limits: { concurrent_workflows: 1.5 } }, "data.rate_limits.concurrent_workflows"],
  ])("46: refuses %j and names %s", (data, field) => {
    expect(wrongFields(data)).toContain(field);
  });
});

describe("normalize()", () => {
  it("45: reads the capitalised keys that older installations wrote, and writes them in lower case", () => {
    const seeded = {
      pools: { Topics: { "job.a": "A" }, Pools: { A: { Requires: ["gpu"] } } },
      timeouts: {
        Topics: { "job.a": { TimeoutSeconds: 1, MaxRetries: 2 } },
        Workflows: { w: { ChildTimeoutSeconds: 3 }, short: 120 },
        Reconciler: { DispatchTimeoutSeconds: 300 },
      },
      safety: { DENIED_TOPICS: ["job.x"], Mcp: { Deny_Tools: ["rm"] }, Custom: 1 },
      Budget: { Topics: 1 },
    };

    const data = normalize(seeded);

    expect(data).toEqual({
      pools: { topics: { "job.a": "A" }, pools: { A: { requires: ["gpu"] } } },
      timeouts: {
        topics: { "job.a": { timeout_seconds: 1, max_retries: 2 } },
        workflows: { w: { child_timeout_seconds: 3 }, short: { total_timeout_seconds: 120 } },
        reconciler: { dispatch_timeout_seconds: 300 },
      },
      safety: { denied_topics: ["job.x"], mcp: { deny_tools: ["rm"] }, Custom: 1 },
      Budget: { Topics: 1 },
    });
    expect(() => validate(data, "data")).not.toThrow();
    expect(normalize(data)).toEqual(data);
  });

  it("reads data.safety, which policy honours too, in the same way", () => {
    expect(normalize({ data: { safety: { DENIED_TOPICS: ["job.x"] }, Other: 1 } })).toEqual({
      data: { safety: { denied_topics: ["job.x"] }, Other: 1 },
    });
  });

  it("a key in two spellings keeps both, and is refused", () => {
    expect(wrongFields({ safety: { denied_topics: ["job.a"], Denied_Topics: ["job.b"] } })).toEqual([
      "data.safety.Denied_Topics",
    ]);
  });
});

describe("checkShape()", () => {
  const nested = (levels: number): Json => (levels === 0 ? 1 : { a: nested(levels - 1) });
  const wrong = (value: Json) => fieldsOf(() => checkShape(value, "data"));

  it.each<[string, Json, string]>([
    ["more than 32 levels", nested(33), `data${".a".repeat(32)}`],
    ["the key __proto__", JSON.parse('{"a": {"__proto__": {"b": 1}}}'), "data.a.__proto__"],
    ["the key constructor", { constructor: 1 }, "data.constructor"],
    ["a number that is none", { a: [1, Number.NaN] }, "data.a[1]"],
    ["more than 256 KiB", { a: "x".repeat(maxDocumentBytes) }, "data"],
  ])("refuses %s", (_, value, field) => {
    expect(wrong(value)).toEqual([field]);
  });

  it("accepts 32 levels and long lists", () => {
    expect(wrong(nested(32))).toEqual([]);
    expect(wrong(Array.from({ length: 10_000 }, (_, index) => index))).toEqual([]);
  });
});
