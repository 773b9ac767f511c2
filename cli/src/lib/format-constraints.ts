import { type PolicyConstraints, PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { toRestJson } from "./json.ts";

/** The limits that policy has set, as JSON on one line; empty when there are none. */
export function formatConstraints(constraints: PolicyConstraints | undefined): string {
  const limits = Object.entries(
    constraints === undefined ? {} : (toRestJson(PolicyConstraintsSchema, constraints) ?? {}),
  );
  const set = limits.filter(([, limit]) => JSON.stringify(limit) !== "{}");
  return set.length === 0 ? "" : JSON.stringify(Object.fromEntries(set));
}
