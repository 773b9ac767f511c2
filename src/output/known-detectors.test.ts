import { expect, it } from "vitest";
import { compileSources } from "../policy/index.ts";
import { knownDetectors } from "./index.ts";

const problemsOf = (detectors: readonly string[]) => {
  const rules = [{ id: "r", stage: "output", match: { topics: ["job.a"] }, decision: "redact", detectors }];
  const text = JSON.stringify({ version: "1", default_decision: "allow", rules });
  return compileSources([{ id: "p.yaml", tier: "base", text }], "s").problems;
};

it("a policy may name every detector that there is, and no other", () => {
  expect(problemsOf(knownDetectors)).toEqual([]);
  expect(problemsOf(["secret"])).toHaveLength(1);
});
