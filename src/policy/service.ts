import type { ServiceImpl } from "@connectrpc/connect";
import { DecisionType, type PolicyCheckRequest, type SafetyKernel } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import type { Decision } from "./decision.ts";
import type { Explanation } from "./evaluate.ts";
import { inputFromCheck } from "./input.ts";
import type { PolicyKernel } from "./kernel.ts";

/** The safety kernel as other processes ask it. */
export function createSafetyKernelService(kernel: PolicyKernel): ServiceImpl<typeof SafetyKernel> {
  const evaluate = (request: PolicyCheckRequest) => toResponse(request, kernel.evaluate(inputFromCheck(request)));
  return {
    check: (request) => toResponse(request, kernel.check(inputFromCheck(request))),
    evaluate,
    simulate: evaluate,
    explain(request) {
      const explanation = kernel.explain(inputFromCheck(request));
      return { ...toResponse(request, explanation.decision), reason: describe(explanation, kernel) };
    },
    listSnapshots: () => ({ snapshots: kernel.snapshots() }),
  };
}

const wireDecision: Record<SafetyDecision, DecisionType> = {
  [SafetyDecision.UNSPECIFIED]: DecisionType.UNSPECIFIED,
  [SafetyDecision.ALLOW]: DecisionType.ALLOW,
  [SafetyDecision.DENY]: DecisionType.DENY,
  [SafetyDecision.REQUIRE_APPROVAL]: DecisionType.REQUIRE_HUMAN,
  [SafetyDecision.THROTTLE]: DecisionType.THROTTLE,
  [SafetyDecision.ALLOW_WITH_CONSTRAINTS]: DecisionType.ALLOW_WITH_CONSTRAINTS,
};

function toResponse({ jobId }: PolicyCheckRequest, decision: Decision) {
  const { approvalRequired, constraints } = decision;
  return {
    decision: wireDecision[decision.decision],
    reason: decision.reason,
    policySnapshot: decision.snapshot,
    ruleId: decision.ruleId,
    approvalRequired,
    approvalRef: approvalRequired ? jobId : "",
    remediations: [...decision.remediations],
    ...(constraints && { constraints }),
  };
}

/** `rule "x" (safety.yaml:12) decided: no; considered 3 of 7 rules; rule "w" failed on topics`. */
function describe({ decision, considered, winner }: Explanation, kernel: PolicyKernel): string {
  const { rules, source } = kernel.current();
  if (decision.snapshot === "") return `${decision.reason}: no rule is considered`;
  const said = winner?.reason || decision.reason;
  const parts = [
    winner === undefined
      ? "no rule matched"
      : `rule ${JSON.stringify(winner.id)} (${source}:${winner.line}) decided ${winner.decision}`,
    ...(said === "" ? [] : [`reason: ${said}`]),
    ...(winner !== undefined && decision.reason !== "" && decision.reason !== said ? [`then ${decision.reason}`] : []),
    `considered ${considered.length} of ${rules} rules`,
    ...failures(considered),
  ];
  return parts.join("; ");
}

const shownFailures = 10;

function failures(considered: Explanation["considered"]): string[] {
  const failed = considered.flatMap(({ rule, failed }) =>
    failed === undefined ? [] : [`rule ${JSON.stringify(rule.id)} failed on ${failed}`],
  );
  return failed.slice(-shownFailures);
}
