export { compilePolicy } from "./compile.ts";
export { type Decision, isAllowed } from "./decision.ts";
export { evaluatePolicy } from "./evaluate.ts";
export { inputFromCheck, inputFromJob, type PolicyInput } from "./input.ts";
export {
  openPolicyKernel,
  type PolicyChecker,
  type PolicyKernel,
  type PolicyKernelOptions,
  type PolicyStatus,
} from "./kernel.ts";
export { parsePolicy } from "./parse-policy.ts";
export { type PolicyProblem, PolicySourceError } from "./problem.ts";
export { createRemoteKernel, type RemoteKernel, type RemoteKernelOptions } from "./remote-kernel.ts";
export { createSafetyKernelService } from "./service.ts";
