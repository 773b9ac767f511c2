import { actorTypeName } from "./actor-type.ts";
import { fold } from "./fold.ts";
import { effectiveConfigOf, type PolicyInput } from "./input.ts";
import { mcpCallOf } from "./mcp.ts";
import type { RequestFacts } from "./request-facts.ts";
import { WhenView } from "./when-view.ts";

/** What rules compare with, and what their expressions see. */
export interface Facts extends RequestFacts {
  /** Made when the first expression asks. */
  readonly view: () => WhenView;
}

const none: readonly string[] = [];

/** @param defaultTenant - the policy's, for requests that name no tenant; may be empty */
export function factsOf(input: PolicyInput, defaultTenant: string): Facts {
  const { labels, meta } = input;
  const hasLabels = hasMembers(labels);
  const riskTags = meta === undefined ? none : foldAll(meta.riskTags);
  const config = effectiveConfigOf(input);
  let view: WhenView | undefined;
  const facts: Facts = {
    topic: input.topic.trim(),
    tenant: fold(input.tenant) || fold(meta?.tenantId ?? "") || fold(defaultTenant) || "default",
    capability: fold(meta?.capability ?? ""),
    packId: fold(meta?.packId ?? ""),
    actorId: fold(meta?.actorId ?? "") || fold(input.principalId),
    countedPrincipal: fold(input.principalId) || fold(meta?.actorId ?? ""),
    actorType: actorTypeName(meta?.actorType),
    riskTags,
    requires: meta === undefined ? none : foldAll(meta.requires),
    labels,
    hasLabels,
    secretsPresent: riskTags.includes("secrets") || (hasLabels && saysSecrets(labels)),
    mcp: hasLabels ? mcpCallOf(labels) : undefined,
    config,
    view() {
      view ??= new WhenView(facts, input, config);
      return view;
    },
  };
  return facts;
}

/** A label can say that there are secrets; it cannot take back what the risk tag says. */
function saysSecrets(labels: Readonly<Record<string, string>>): boolean {
  const value = Object.hasOwn(labels, "secrets_present") ? (labels.secrets_present ?? "").trim() : "";
  return value === "true" || value === "1" || value.toLowerCase() === "yes";
}

function foldAll(values: readonly string[]): readonly string[] {
  return values.length === 0 ? none : values.map(fold).filter((value) => value !== "");
}

function hasMembers(labels: Readonly<Record<string, string>>): boolean {
  for (const _ in labels) return true;
  return false;
}
