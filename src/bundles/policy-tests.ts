import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { type PolicyRequest, PolicyRequestSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { isMap, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { type CompiledPolicy, evaluatePolicy, type PolicyProblem } from "../policy/index.ts";
import { toPolicyInput } from "./to-input.ts";

/** One entry of `tests:` in a bundle. */
export interface PolicyTest {
  readonly name: string;
  readonly request: PolicyRequest;
  /** The decision that must come. */
  readonly decision: SafetyDecision;
  /** The rule that must decide; undefined for any. */
  readonly rule: string | undefined;
  /** From 1. */
  readonly line: number;
}

export interface PolicyTestOutcome {
  readonly name: string;
  readonly line: number;
  readonly passed: boolean;
  /** What was expected and what came; empty when it passed. */
  readonly message: string;
}

const words: Readonly<Record<string, SafetyDecision>> = {
  allow: SafetyDecision.ALLOW,
  permit: SafetyDecision.ALLOW,
  deny: SafetyDecision.DENY,
  block: SafetyDecision.DENY,
  require_approval: SafetyDecision.REQUIRE_APPROVAL,
  require_human: SafetyDecision.REQUIRE_APPROVAL,
  throttle: SafetyDecision.THROTTLE,
  allow_with_constraints: SafetyDecision.ALLOW_WITH_CONSTRAINTS,
};
const testKeys = ["name", "request", "expect"];
const expectKeys = ["decision", "rule"];

/** What the tests of a document are, and what is wrong with them. A document that is no YAML has none. */
export function parseTests(content: string, source: string): { tests: PolicyTest[]; problems: PolicyProblem[] } {
  const tests: PolicyTest[] = [];
  const problems: PolicyProblem[] = [];
  if (!/(^|[{,\s])["']?tests["']?\s*:/m.test(content)) return { tests, problems }; // most have none: parsing costs
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines });
  if (document.errors.length > 0 || !isMap(document.contents)) return { tests, problems };
  const list = document.get("tests", true) as Node | undefined;
  if (list === undefined) return { tests, problems };

  const placeOf = (node: unknown) => {
    const at = (node as Node | null)?.range?.[0] ?? list.range?.[0] ?? 0;
    const { line, col } = lines.linePos(at);
    return { line, column: col };
  };
  const refuse = (node: unknown, path: string, message: string) => {
    problems.push({ severity: "error", source, ...placeOf(node), path, message });
  };
  if (!isSeq(list)) {
    refuse(list, "tests", "must be a list");
    return { tests, problems };
  }
  const { tests: entries } = document.toJS({ maxAliasCount: 100 }) as { tests: unknown[] };
  for (const [index, node] of list.items.entries()) {
    try {
      tests.push({ ...readTest(entries[index]), line: placeOf(node).line });
    } catch (cause) {
      refuse(node, `tests[${index}]`, (cause as Error).message);
    }
  }
  return { tests, problems };
}

function readTest(entry: unknown): Omit<PolicyTest, "line"> {
  const test = objectOf(entry, "a test", testKeys);
  const expected = objectOf(test.expect, "expect", expectKeys);
  const { name } = test;
  if (typeof name !== "string" || name.trim() === "") throw new Error("name must be a text");
  const word = String(expected.decision ?? "").replaceAll("-", "_");
  const decision = Object.hasOwn(words, word) ? words[word] : undefined;
  if (decision === undefined) throw new Error(`expect.decision must be one of ${Object.keys(words).join(", ")}`);
  const { rule } = expected;
  if (rule !== undefined && typeof rule !== "string") throw new Error("expect.rule must be a text");
  const request = fromJson(PolicyRequestSchema, objectOf(test.request, "request") as JsonValue);
  if (request.topic === "") throw new Error("request.topic is required");
  toInput(request); // a wrong priority or time is found now, not when the test runs
  return { name, request, decision, rule };
}

function objectOf(value: unknown, what: string, keys?: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what} must be a mapping`);
  const unknown = keys && Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw new Error(`${what} has the unknown key ${unknown}; known are ${keys?.join(", ")}`);
  return value as Record<string, unknown>;
}

/** Runs tests against a policy. Rate windows count as not reached. */
export function runTests(policy: CompiledPolicy, tests: readonly PolicyTest[]): PolicyTestOutcome[] {
  return tests.map((test) => {
    const { decision, ruleId, reason } = evaluatePolicy(policy, toInput(test.request));
    const { name, line } = test;
    const passed = decision === test.decision && (test.rule === undefined || test.rule === ruleId);
    const came = `${said(decision)} by ${ruleId === "" ? "no rule" : `rule ${ruleId}`}${reason && ` (${reason})`}`;
    const wanted = test.rule === undefined ? "" : ` by rule ${test.rule}`;
    return { name, line, passed, message: passed ? "" : `expected ${said(test.decision)}${wanted}, got ${came}` };
  });
}

function toInput(request: PolicyRequest) {
  const tenant = request.tenant || request.orgId || request.meta?.tenantId || "";
  return toPolicyInput(request, { tenant, principal: "", effectiveConfig: undefined, nowMs: Date.now() }, "request.");
}

function said(decision: SafetyDecision): string {
  return SafetyDecision[decision].toLowerCase();
}
