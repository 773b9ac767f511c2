import type { McpCall } from "./mcp.ts";

/** What rules compare with, derived from a request. All texts but topic and labels are folded; empty means none. */
export interface RequestFacts {
  readonly topic: string;
  readonly tenant: string;
  readonly capability: string;
  readonly packId: string;
  readonly actorId: string;
  /** Whom rates are counted for: the principal that the gateway has authenticated, not the actor that a client names. */
  readonly countedPrincipal: string;
  readonly actorType: string;
  readonly riskTags: readonly string[];
  readonly requires: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly hasLabels: boolean;
  readonly secretsPresent: boolean;
  readonly mcp: McpCall | undefined;
  /** Parsed; undefined when there is none. */
  readonly config: unknown;
}
