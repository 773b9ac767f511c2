import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { PolicyService } from "@cordum/proto/cordum/v1/policy_pb.js";
import { DomainError } from "../errors/index.ts";
import { auditDetail, callerKey } from "../rpc/index.ts";
import { selectDrafts } from "./candidate.ts";
import { unifiedDiff } from "./diff.ts";
import { diffRules } from "./diff-rules.ts";
import { deleteBundle, noBundle, putDraft } from "./drafts.ts";
import { compareIds, parseBundleId, sha256Of, timestampOf } from "./model.ts";
import { requirePlatform } from "./platform.ts";
import { draftEtag, etagOf, expectedOf } from "./preconditions.ts";
import { createQuestions } from "./questions.ts";
import { type RawRule, readRawRules } from "./raw-rules.ts";
import { capture, publish, type Released, rollback } from "./releases.ts";
import type { PolicyServiceDeps } from "./service-deps.ts";
import { keptExamples } from "./shadow-store.ts";
import {
  toBundleMessage,
  toComparisonMessage,
  toDisabledRuleMessages,
  toProblem,
  toReleaseMessage,
  toRuleMessages,
} from "./to-message.ts";

const defaultReleases = 100;

export function createPolicyService(deps: PolicyServiceDeps): ServiceImpl<typeof PolicyService> {
  const { kernel, store, shadows, announce, publicKey, areSignaturesRequired, now = Date.now } = deps;
  const bundleKey = areSignaturesRequired ? publicKey : undefined;
  const releaseDeps = { kernel, store, bundleKey, announce, now };

  /** The caller's name, for authors. */
  function platformCaller(context: HandlerContext): string {
    const caller = context.values.get(callerKey);
    requirePlatform(caller, deps.defaultTenant);
    return caller.principal || caller.keyId;
  }

  /** What is live here decides at once; other processes are told. */
  async function takeEffect({ before, release }: Released, context: HandlerContext) {
    await kernel.reload().catch(() => {}); // the kernel reports it; the release stands
    const { id, changed } = release;
    auditDetail(context, { details: { snapshot_before: before, snapshot_after: id, bundle_ids: changed.join(",") } });
    return { snapshotBefore: before, snapshotAfter: id };
  }

  function requireBundlesUsed(): void {
    if (deps.areBundlesUsed) return;
    const message = "SAFETY_POLICY_CONFIG_DISABLE is set: published bundles would not be enforced";
    throw new DomainError("failed_precondition", message, { reason: "policy_bundles_disabled" });
  }

  return {
    ...createQuestions(deps),
    async listPolicyRules({ includeDisabled, bundleId }, context) {
      platformCaller(context);
      const only = bundleId === "" ? undefined : parseBundleId(bundleId);
      const { base, bundles } = kernel.sources();
      const contents = new Map(bundles.map(({ id, content }) => [id, content]));
      const raw = new Map<string, RawRule[]>();
      const rawOf = (source: string) => {
        const known = raw.get(source);
        if (known !== undefined) return known;
        const read = readRawRules(
          contents.get(source) ?? (source === base.name ? Buffer.from(base.bytes).toString() : ""),
        );
        raw.set(source, read);
        return read;
      };
      const items = toRuleMessages(kernel, rawOf);
      if (includeDisabled) {
        const stored = (await store.live()).bundles;
        const idle = [...stored.values()].filter(({ id }) => !contents.has(id));
        items.push(...idle.flatMap(({ id, content }) => toDisabledRuleMessages(id, readRawRules(content))));
      }
      const isWanted = ({ source }: { source: { source: string } }) => only === undefined || source.source === only;
      const errors = kernel.problems().filter(({ source }) => only === undefined || source === only);
      return { items: items.filter(isWanted), errors: errors.map(toProblem) };
    },
    async listPolicyBundles(_request, context) {
      platformCaller(context);
      const { bundles, drafts, updatedAt } = await store.state();
      const ids = [...new Set([...bundles.keys(), ...drafts.keys()])].sort(compareIds);
      const problems = kernel.problems();
      const items = ids.map((id) => {
        return toBundleMessage(id, bundles.get(id), drafts.get(id), { withContent: false, problems });
      });
      return { items, updatedAt };
    },
    async getPolicyBundle({ bundleId }, context) {
      platformCaller(context);
      const id = parseBundleId(bundleId);
      const { bundles, drafts } = await store.state();
      if (!bundles.has(id) && !drafts.has(id)) throw noBundle(id);
      const problems = kernel.problems();
      context.responseHeader.set("etag", etagOf({ bundle: bundles.get(id), draft: drafts.get(id) }));
      return toBundleMessage(id, bundles.get(id), drafts.get(id), { withContent: true, problems });
    },
    async putPolicyBundle(request, context) {
      const author = platformCaller(context);
      const id = parseBundleId(request.bundleId);
      const { content, enabled, message, signature, expectedRevision } = request;
      auditDetail(context, { resource: bundleResource(id), afterHash: sha256Of(content) });
      const draft = { content, enabled, author: request.author || author, message, signature };
      const expected = expectedOf(expectedRevision, context.requestHeader);
      const written = await putDraft({ store, publicKey, now }, id, draft, expected);
      const { revision, updatedAt, problems, beforeHash } = written;
      if (beforeHash !== "") auditDetail(context, { beforeHash });
      context.responseHeader.set("etag", draftEtag(revision));
      return { id, updatedAt, revision: BigInt(revision), problems: problems.map(toProblem) };
    },
    async deletePolicyBundle({ bundleId, draftOnly }, context) {
      const author = platformCaller(context);
      const id = parseBundleId(bundleId);
      auditDetail(context, { resource: bundleResource(id) });
      const expected = expectedOf(undefined, context.requestHeader);
      const beforeHash = await deleteBundle({ store, now }, id, { draftOnly, author }, expected);
      auditDetail(context, { beforeHash });
      return {};
    },
    async diffPolicyBundle({ bundleId, releaseId }, context) {
      platformCaller(context);
      const id = parseBundleId(bundleId);
      const { bundles, drafts, release } = await store.state();
      const old = releaseId === "" ? { head: { id: release }, bundles } : await store.getRelease(releaseId);
      if (old === undefined) throw noRelease(releaseId);
      const draft = drafts.get(id);
      if (draft === undefined && !bundles.has(id) && !old.bundles.has(id)) throw noBundle(id);
      const before = old.bundles.get(id)?.content ?? "";
      const after = draft?.content ?? bundles.get(id)?.content ?? "";
      const names = [`${id}@${old.head.id || "none"}`, draft ? `${id}@draft-${draft.revision}` : id] as const;
      const { added, removed, changed, reordered } = diffRules(readRawRules(before), readRawRules(after));
      return {
        text: unifiedDiff(before, after, ...names),
        addedRules: [...added],
        removedRules: [...removed],
        changedRules: [...changed],
        reordered,
      };
    },
    async setPolicyShadow({ enabled, bundleIds }, context) {
      platformCaller(context);
      auditDetail(context, { resource: "policy/shadow", details: { enabled: String(enabled) } });
      if (enabled) {
        const { drafts } = await store.state();
        const ids = bundleIds.map((id) => parseBundleId(id, "bundle_ids"));
        const chosen = selectDrafts(drafts, ids, { withPacks: true });
        if (chosen.length === 0) {
          throw new DomainError("failed_precondition", "there is no draft to evaluate", { reason: "no_policy_draft" });
        }
        await shadows.start(chosen, timestampOf(now()));
      } else await shadows.stop();
      announce();
      return toShadowMessage();
    },
    async getPolicyShadow(_request, context) {
      platformCaller(context);
      return toShadowMessage();
    },
    async publishPolicy({ bundleIds, author, message, note }, context) {
      const name = platformCaller(context);
      auditDetail(context, { resource: "policy", details: { message } });
      requireBundlesUsed();
      const ids = bundleIds.map((id) => parseBundleId(id, "bundle_ids"));
      const released = await publish(releaseDeps, ids, { author: author || name, message, note });
      return { ...(await takeEffect(released, context)), published: released.published };
    },
    async rollbackPolicy({ snapshotId, author, message, note, includePacks }, context) {
      const name = platformCaller(context);
      auditDetail(context, { resource: "policy", details: { rollback_to: snapshotId, message } });
      requireBundlesUsed();
      const released = await rollback(releaseDeps, snapshotId, { author: author || name, message, note, includePacks });
      return { ...(await takeEffect(released, context)), rollbackTo: snapshotId };
    },
    async capturePolicyRelease({ note }, context) {
      const author = platformCaller(context);
      auditDetail(context, { resource: "policy" });
      const { release } = await capture(releaseDeps, { author, message: "", note });
      auditDetail(context, { details: { snapshot_after: release.id } });
      const kept = await store.getRelease(release.id);
      return toReleaseMessage(release, [...(kept?.bundles.values() ?? [])]);
    },
    async listPolicyReleases({ pageSize, cursor }, context) {
      platformCaller(context);
      const { releases, nextCursor } = await store.releases(pageSize || defaultReleases, cursor);
      return { items: releases.map((head) => toReleaseMessage(head)), nextCursor };
    },
    async getPolicyRelease({ releaseId }, context) {
      platformCaller(context);
      const release = await store.getRelease(releaseId);
      if (release === undefined) throw noRelease(releaseId);
      return toReleaseMessage(release.head, [...release.bundles.values()]);
    },
  };

  async function toShadowMessage() {
    const { enabled, bundleIds, startedAt, comparison } = await shadows.report();
    return { enabled, bundleIds: [...bundleIds], startedAt, comparison: toComparisonMessage(comparison, keptExamples) };
  }
}

function noRelease(id: string): DomainError {
  return new DomainError("not_found", `no policy release ${id}`, { reason: "policy_release_not_found" });
}

function bundleResource(id: string): string {
  return `policy/${id}`;
}
