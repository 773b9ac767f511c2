import { ActorType } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { fold } from "./fold.ts";
import type { PolicyInput } from "./input.ts";
import { type McpCall, mcpCallOf } from "./mcp.ts";

/** What rules compare with, derived from a request. All texts but topic and labels are folded; empty means none. */
export interface Facts {
  readonly topic: string;
  readonly tenant: string;
  readonly capability: string;
  readonly packId: string;
  readonly actorId: string;
  readonly actorType: string;
  readonly riskTags: readonly string[];
  readonly requires: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly hasLabels: boolean;
  readonly secretsPresent: boolean;
  readonly mcp: McpCall | undefined;
}

const none: readonly string[] = [];

/** @param defaultTenant - the policy's, for requests that name no tenant; may be empty */
export function factsOf(input: PolicyInput, defaultTenant: string): Facts {
  const { labels, meta } = input;
  const hasLabels = hasMembers(labels);
  const riskTags = meta === undefined ? none : foldAll(meta.riskTags);
  return {
    topic: input.topic.trim(),
    tenant: fold(input.tenant) || fold(meta?.tenantId ?? "") || fold(defaultTenant) || "default",
    capability: fold(meta?.capability ?? ""),
    packId: fold(meta?.packId ?? ""),
    actorId: fold(meta?.actorId ?? "") || fold(input.principalId),
    actorType: actorTypeName(meta?.actorType),
    riskTags,
    requires: meta === undefined ? none : foldAll(meta.requires),
    labels,
    hasLabels,
    secretsPresent: riskTags.includes("secrets") || (hasLabels && saysSecrets(labels)),
    mcp: hasLabels ? mcpCallOf(labels) : undefined,
  };
}

/** A label can say that there are secrets; it cannot take back what the risk tag says. */
function saysSecrets(labels: Readonly<Record<string, string>>): boolean {
  const value = Object.hasOwn(labels, "secrets_present") ? (labels.secrets_present ?? "").trim() : "";
  return value === "true" || value === "1" || value.toLowerCase() === "yes";
}

function foldAll(values: readonly string[]): readonly string[] {
  return values.length === 0 ? none : values.map(fold).filter((value) => value !== "");
}

function actorTypeName(type: ActorType | undefined): string {
  if (type === ActorType.HUMAN) return "human";
  return type === ActorType.SERVICE ? "service" : "";
}

function hasMembers(labels: Readonly<Record<string, string>>): boolean {
  for (const _ in labels) return true;
  return false;
}
