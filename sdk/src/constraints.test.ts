import { describe, expect, it } from "vitest";
import { parseConstraints } from "./constraints.ts";

describe("parseConstraints()", () => {
  it("is empty when policy set nothing", () => {
    expect(parseConstraints({ OTHER: "1" })).toEqual({});
  });

  it("reads every limit, and the whole of what policy said", () => {
    const constraints = parseConstraints({
      CORDUM_POLICY_CONSTRAINTS: '{"toolchain":{"allowedTools":["git"]},"budgets":{"maxRuntimeMs":"5000"},"later":1}',
      CORDUM_REDACTION_LEVEL: "strict",
      CORDUM_MAX_ARTIFACT_BYTES: "1024",
      CORDUM_MAX_CONCURRENT_JOBS: "2",
      CORDUM_MAX_RETRIES: "0",
    });

    expect(constraints).toMatchObject({
      policy: { toolchain: { allowedTools: ["git"] }, budgets: { maxRuntimeMs: 5000n } },
      redactionLevel: "strict",
      maxArtifactBytes: 1024,
      maxConcurrentJobs: 2,
      maxRetries: 0,
    });
  });

  it("throws rather than run a job without limits that it has", () => {
    expect(() => parseConstraints({ CORDUM_MAX_ARTIFACT_BYTES: "many" })).toThrow(/CORDUM_MAX_ARTIFACT_BYTES/);
    expect(() => parseConstraints({ CORDUM_POLICY_CONSTRAINTS: "{" })).toThrow();
  });
});
