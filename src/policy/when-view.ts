import { type CelInput, celList, celMap } from "@bufbuild/cel";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { JobPriority } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { actorTypeName } from "./actor-type.ts";
import type { PolicyInput } from "./input.ts";
import { mcpFields } from "./model.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { WhenBindings } from "./when-condition.ts";

type Fields = Readonly<Record<string, CelInput>>;
const toMap = (fields: Fields) => celMap(new Map(Object.entries(fields)));

const priorityNames: Record<JobPriority, string> = {
  [JobPriority.UNSPECIFIED]: "interactive",
  [JobPriority.INTERACTIVE]: "interactive",
  [JobPriority.BATCH]: "batch",
  [JobPriority.CRITICAL]: "critical",
};

/** A request as expressions see it. Each part is made when an expression first asks for it. */
export class WhenView implements WhenBindings {
  readonly #facts: RequestFacts;
  readonly #input: PolicyInput;
  readonly #config: unknown;
  #job: ReturnType<typeof celMap> | undefined;
  #labels: ReturnType<typeof celMap> | undefined;
  #meta: ReturnType<typeof celMap> | undefined;
  #now: ReturnType<typeof timestampFromMs> | undefined;

  constructor(facts: RequestFacts, input: PolicyInput, config: unknown) {
    this.#facts = facts;
    this.#input = input;
    this.#config = config;
  }

  get breadth(): number {
    const { labels, riskTags, requires, hasLabels } = this.#facts;
    const { meta } = this.#input;
    return Math.max(
      hasLabels ? Object.keys(labels).length : 0,
      riskTags.length,
      requires.length,
      // as they were sent: what rules do not look at, such as blank tags, expressions still go through
      Object.keys(meta?.labels ?? {}).length,
      meta?.riskTags.length ?? 0,
      meta?.requires.length ?? 0,
    );
  }

  get tenant() {
    return this.#facts.tenant;
  }

  get principal() {
    return toMap({ id: this.#facts.actorId, type: this.#facts.actorType });
  }

  get labels() {
    this.#labels ??= toMap(this.#facts.labels);
    return this.#labels;
  }

  get job() {
    const { topic, capability, riskTags, requires, packId } = this.#facts;
    const { jobId, priority, estimatedCost = 0, budget } = this.#input;
    this.#job ??= toMap({
      id: jobId,
      topic,
      priority: priorityNames[priority] ?? "interactive",
      capability,
      risk_tags: celList(riskTags),
      requires: celList(requires),
      pack_id: packId,
      estimated_cost: estimatedCost,
      budget: toMap({
        max_input_tokens: budget?.maxInputTokens ?? 0n,
        max_output_tokens: budget?.maxOutputTokens ?? 0n,
        max_total_tokens: budget?.maxTotalTokens ?? 0n,
        deadline_ms: budget?.deadlineMs ?? 0n,
      }),
    });
    return this.#job;
  }

  get meta() {
    const { meta } = this.#input;
    this.#meta ??= toMap({
      tenant_id: meta?.tenantId ?? "",
      actor_id: meta?.actorId ?? "",
      actor_type: actorTypeName(meta?.actorType),
      idempotency_key: meta?.idempotencyKey ?? "",
      capability: meta?.capability ?? "",
      risk_tags: celList(meta?.riskTags ?? []),
      requires: celList(meta?.requires ?? []),
      pack_id: meta?.packId ?? "",
      labels: toMap(meta?.labels ?? {}),
    });
    return this.#meta;
  }

  get mcp() {
    const { mcp } = this.#facts;
    return toMap(Object.fromEntries(mcpFields.map((field) => [field, mcp?.[field] ?? ""])));
  }

  get config() {
    return (this.#config ?? toMap({})) as CelInput;
  }

  get now() {
    this.#now ??= timestampFromMs(this.#input.now ?? Date.now());
    return this.#now;
  }
}
