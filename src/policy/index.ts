export { type CompiledPolicy, compilePolicy } from "./compile.ts";
export { type Decision, isAllowed } from "./decision.ts";
export { type ConsideredRule, type Explanation, evaluatePolicy, explainPolicy } from "./evaluate.ts";
export { inputFromCheck, inputFromJob, type PolicyInput } from "./input.ts";
export {
  openPolicyKernel,
  type PolicyChecker,
  type PolicyKernel,
  type PolicyKernelOptions,
  type PolicyStatus,
} from "./kernel.ts";
export type { ParsedPolicy, PolicyDocument, PolicyRule } from "./model.ts";
export { parsePolicy } from "./parse-policy.ts";
export { formatProblem, type PolicyProblem, PolicySourceError } from "./problem.ts";
export { createRemoteKernel, type RemoteKernel, type RemoteKernelOptions } from "./remote-kernel.ts";
export { createSafetyKernelService } from "./service.ts";
