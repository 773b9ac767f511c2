export type { Decision } from "./decision.ts";
export { inputFromJob, type PolicyInput } from "./input.ts";
export { openPolicyKernel, type PolicyChecker, type PolicyKernel } from "./kernel.ts";
export { createRemoteKernel } from "./remote-kernel.ts";
export { createSafetyKernelService } from "./service.ts";
