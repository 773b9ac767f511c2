export { type BaseDocument, type BuiltPolicy, buildPolicy } from "./build-policy.ts";
export type { CompiledPolicy } from "./compile.ts";
export {
  type CompiledSources,
  type CompileOptions,
  compileSources,
  compileSourcesInSlices,
  type PolicyText,
} from "./compile-sources.ts";
export type { Decision } from "./decision.ts";
export { evaluatePolicy } from "./evaluate.ts";
export { type ConsideredRule, concerns, type Explanation, explainPolicy, explanationFor } from "./explain.ts";
export { parseGlob } from "./glob.ts";
export { inputFromJob, type PolicyInput } from "./input.ts";
export {
  type OutputPolicy,
  openPolicyKernel,
  type PolicyChecker,
  type PolicyKernel,
  type PolicyKernelOptions,
  type PolicyStatus,
} from "./kernel.ts";
export type { ApprovalTerms, OutputDecision, OutputRule, PolicyRule, PolicyTier, RuleSource } from "./model.ts";
export type { OutputPattern } from "./output-pattern.ts";
export type { ArchivedBase, BaseArchive, BundleSource, PublishedBundle } from "./ports.ts";
export { formatProblem, type PolicyProblem } from "./problem.ts";
export { createRateCounter } from "./rate-counter.ts";
export type { RateCounter, RateRequest } from "./rates.ts";
export { createRemoteKernel, type RemoteKernel } from "./remote-kernel.ts";
export { createKernelService, createSafetyKernelService } from "./service.ts";
export { parsePolicyKey, signatureProblem, signedBundleBytes } from "./signature.ts";
export { summarize } from "./summarize.ts";
export { fromDecision, fromDecisionDetail } from "./wire.ts";
