import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import {
  type CompiledPolicy,
  type CompiledSources,
  compileSources,
  evaluatePolicy,
  formatProblem,
  type PolicyInput,
  type PolicyText,
} from "../../src/policy/index.ts";

export type AskedInit = MessageInitShape<typeof PolicyCheckRequestSchema> &
  Pick<PolicyInput, "now"> & { config?: unknown };

/** A request about topic `job.x` of job `j1`. */
export function asked({ now, config, ...init }: AskedInit = {}): PolicyInput {
  const request = create(PolicyCheckRequestSchema, { topic: "job.x", jobId: "j1", ...init });
  return { ...request, now, effectiveConfig: config };
}

/** Compiles documents given as text or as what their JSON says; a lone one is the base. */
export function compileAll(documents: Partial<PolicyText> | readonly Partial<PolicyText>[]): CompiledSources {
  const texts = [documents]
    .flat()
    .map((document) => ({ id: "base", tier: "base", text: "", ...document }) as PolicyText);
  return compileSources(texts, "snap");
}

/** The policy of documents without errors. */
export function policyOf(source: string | object | readonly Partial<PolicyText>[]): CompiledPolicy {
  const documents = Array.isArray(source)
    ? source
    : { text: typeof source === "string" ? source : JSON.stringify(source) };
  const { policy, problems } = compileAll(documents as Partial<PolicyText>);
  if (policy === undefined) throw new Error(problems.map(formatProblem).join("; "));
  return policy;
}

export function decideOn(source: string | object | readonly Partial<PolicyText>[], init?: AskedInit) {
  return evaluatePolicy(policyOf(source), asked(init));
}
