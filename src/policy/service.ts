import type { ServiceImpl } from "@connectrpc/connect";
import type { PolicyCheckRequest, SafetyKernel } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import type { KernelService } from "@cordum/proto/cordum/v1/kernel_pb.js";

import { inputFromCheck } from "./input.ts";
import type { PolicyKernel } from "./kernel.ts";
import { summarize } from "./summarize.ts";
import { fromDecision, fromDecisionDetail, fromOutputRule } from "./wire.ts";

/** The safety kernel as other processes ask it. */
export function createSafetyKernelService(kernel: PolicyKernel): ServiceImpl<typeof SafetyKernel> {
  const evaluate = async (request: PolicyCheckRequest) => {
    return fromDecision(request.jobId, await kernel.evaluate(inputFromCheck(request)));
  };
  return {
    check: async (request) => fromDecision(request.jobId, await kernel.check(inputFromCheck(request))),
    evaluate,
    simulate: evaluate,
    explain(request) {
      const explanation = kernel.explain(inputFromCheck(request));
      const reason = summarize(explanation, kernel.current().rules);
      return { ...fromDecision(request.jobId, explanation.decision), reason };
    },
    listSnapshots: () => ({ snapshots: kernel.snapshots() }),
  };
}

/** What our schedulers ask beyond that. */
export function createKernelService(kernel: PolicyKernel): ServiceImpl<typeof KernelService> {
  const hasOutputRules = () => kernel.policy().outputRules.length > 0;
  return {
    async decide(request) {
      const decision = await kernel.check(inputFromCheck(request));
      const response = fromDecision(request.jobId, decision);
      return { response, ...fromDecisionDetail(decision), hasOutputRules: hasOutputRules() };
    },
    listOutputRules(request) {
      const rules = kernel.outputRules(inputFromCheck(request)).map(fromOutputRule);
      return { rules, hasOutputRules: hasOutputRules() };
    },
  };
}
