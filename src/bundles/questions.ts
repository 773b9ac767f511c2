import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { PolicyRequest, PolicyService } from "@cordum/proto/cordum/v1/policy_pb.js";
import { requireTenant } from "../auth/index.ts";
import { DomainError, invalidField } from "../errors/index.ts";
import {
  concerns,
  evaluatePolicy,
  explainPolicy,
  explanationFor,
  type PolicyInput,
  summarize,
} from "../policy/index.ts";
import { callerKey } from "../rpc/index.ts";
import { backtest } from "./backtest.ts";
import { compileCandidate, selectDrafts, testBundles, withDrafts } from "./candidate.ts";
import { createDraftedPolicies } from "./drafted-policies.ts";
import { noBundle } from "./drafts.ts";
import type { Bundle } from "./model.ts";
import { parseBundleId } from "./model.ts";
import { isPlatform, requirePlatform } from "./platform.ts";
import type { PolicyServiceDeps } from "./service-deps.ts";
import { toPolicyInput } from "./to-input.ts";
import { toComparisonMessage, toVerdict } from "./to-message.ts";

type Questions = Pick<
  ServiceImpl<typeof PolicyService>,
  | "evaluatePolicy"
  | "simulatePolicy"
  | "explainPolicy"
  | "simulatePolicyBundle"
  | "backtestPolicy"
  | "testPolicy"
  | "listPolicySnapshots"
>;

const defaultBacktestLimit = 1_000;
const defaultExamples = 10;

/** The RPCs that ask what policy says, or would say. None leaves a trace. */
export function createQuestions(deps: PolicyServiceDeps): Questions {
  const { kernel, store, reader, effectiveConfigOf, now = Date.now } = deps;
  const drafted = createDraftedPolicies(deps);

  async function toInput(request: PolicyRequest, context: HandlerContext, prefix = ""): Promise<PolicyInput> {
    const caller = context.values.get(callerKey);
    if (request.topic === "") throw invalidField(`${prefix}topic`, "is required");
    const tenant = requireTenant(caller, request.tenant || request.meta?.tenantId || "");
    const { teamId: team, workflowId: workflow, stepId: step } = request;
    const isGiven = request.effectiveConfig !== undefined;
    const effectiveConfig = isGiven ? undefined : await effectiveConfigOf({ tenant, team, workflow, step });
    return toPolicyInput(request, { tenant, principal: caller.principal, effectiveConfig, nowMs: now() }, prefix);
  }

  return {
    async evaluatePolicy(request, context) {
      if (request.draftBundleIds.length > 0) {
        throw invalidField("draft_bundle_ids", "is for simulate and explain; evaluate asks the live policy");
      }
      return toVerdict(request.jobId, await kernel.evaluate(await toInput(request, context)));
    },
    async simulatePolicy(request, context) {
      const input = await toInput(request, context);
      if (request.draftBundleIds.length === 0) return toVerdict(request.jobId, await kernel.evaluate(input));
      requirePlatform(context.values.get(callerKey), deps.defaultTenant);
      return toVerdict(request.jobId, evaluatePolicy(await drafted(request.draftBundleIds.map(toId)), input));
    },
    async explainPolicy(request, context) {
      const input = await toInput(request, context);
      const { draftBundleIds: ids, jobId } = request;
      const caller = context.values.get(callerKey);
      if (ids.length > 0) requirePlatform(caller, deps.defaultTenant);
      const policy = ids.length === 0 ? kernel.policy() : await drafted(ids.map(toId));
      const isAll = isPlatform(caller, deps.defaultTenant);
      const whole = explainPolicy(policy, input);
      const explanation = isAll ? whole : explanationFor(input.tenant, whole);
      const rules = isAll ? policy.rules.length : policy.rules.filter((rule) => concerns(rule, input.tenant)).length;
      return {
        verdict: toVerdict(jobId, explanation.decision),
        considered: explanation.considered.map(({ rule, source, matched, failed = "", detail }) => {
          return { ruleId: rule.id, source: { ...source }, decision: rule.decision, matched, failed, detail };
        }),
        rules,
        overrides: [...explanation.overrides],
        summary: summarize(explanation, rules),
      };
    },
    async simulatePolicyBundle({ bundleId, request, content }, context) {
      const id = parseBundleId(bundleId);
      if (request === undefined) throw invalidField("request", "is required");
      requirePlatform(context.values.get(callerKey), deps.defaultTenant);
      const input = await toInput(request, context, "request.");
      if (content.trim() === "") return toVerdict(request.jobId, evaluatePolicy(await drafted([id]), input));
      if (!context.values.get(callerKey).allows("policy.write")) {
        throw new DomainError("permission_denied", "trying other content needs the permission policy.write");
      }
      const { bundles } = await store.live();
      const { policy } = await compileCandidate({ kernel }, new Map(bundles).set(id, contentOf(id, content)));
      return toVerdict(request.jobId, evaluatePolicy(policy, input));
    },
    async backtestPolicy({ bundleIds, limit, tenant, topic, examples }, context) {
      const caller = context.values.get(callerKey);
      const scope = caller.crossTenant && tenant === "" ? undefined : requireTenant(caller, tenant);
      const { drafts, bundles } = await store.state();
      const chosen = selectDrafts(drafts, bundleIds.map(toId), { withPacks: true });
      if (chosen.length > 0) requirePlatform(caller, deps.defaultTenant);
      const { policy } = await compileCandidate({ kernel }, withDrafts(bundles, chosen, now()));
      const perKind = examples || defaultExamples;
      const query = { tenant: scope, topic, limit: limit || defaultBacktestLimit, examples: perKind };
      const found = await backtest({ reader, effectiveConfigOf }, policy, query, context.signal);
      return toComparisonMessage({ ...found, liveSnapshot: kernel.current().snapshot }, perKind);
    },
    async testPolicy({ bundleIds, contents }, context) {
      requirePlatform(context.values.get(callerKey), deps.defaultTenant);
      const { drafts, bundles } = await store.state();
      const all = new Map(withDrafts(bundles, [...drafts.values()], now()));
      for (const [key, content] of Object.entries(contents)) {
        const id = parseBundleId(key, "contents");
        all.set(id, contentOf(id, content));
      }
      const { policy } = await compileCandidate({ kernel }, all);
      const ids = bundleIds.map(toId);
      const tested =
        ids.length === 0 ? [...all.values()].filter(({ enabled }) => enabled) : ids.map((id) => find(all, id));
      const results = testBundles(policy, tested);
      return { results, passed: results.every(({ passed }) => passed) };
    },
    listPolicySnapshots: () => ({ snapshots: kernel.snapshots() }),
  };
}

function toId(text: string): string {
  return parseBundleId(text, "bundle_ids");
}

function find(bundles: ReadonlyMap<string, Bundle>, id: string): Bundle {
  const bundle = bundles.get(id);
  if (bundle === undefined) throw noBundle(id);
  return bundle;
}

function contentOf(id: string, content: string): Bundle {
  const none = { author: "", message: "", createdAt: "", updatedAt: "", signature: "", version: "", installedAt: "" };
  return { id, content, enabled: true, ...none };
}
