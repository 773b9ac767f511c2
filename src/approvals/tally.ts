import { createTally, type Tally } from "../telemetry/index.ts";
import type { ApprovalStateName } from "./model.ts";

let decided: Tally | undefined;

/** Counts an approval that has come to an end. One counter for the gateway and the scheduler of a process. */
export function countDecided(state: Exclude<ApprovalStateName, "PENDING">): void {
  decided ??= createTally("cordum_approvals_decided_total", "Approvals that came to an end, by how.", ["state"]);
  decided.add(state);
}
