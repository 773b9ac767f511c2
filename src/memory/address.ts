import { invalidField } from "../errors/index.ts";
import { alternativeKey, pointerScheme } from "../jobs/index.ts";

export type PayloadKind = "context" | "result" | "memory" | "artifact" | "quarantine";

/** What a request asks to read. */
export interface Address {
  /** As the caller named it, without `redis://`. */
  key: string;
  /** The same with a colon after the kind: `ctx:j` for `ctx/j`. */
  canonicalKey: string;
  kind: PayloadKind;
}

const kinds: Record<string, PayloadKind> = {
  "ctx:": "context",
  "res:": "result",
  "mem:": "memory",
  "art:": "artifact",
};
/** What policy keeps from everybody else: `quarantine:<job>`, and `quarantine:art:<id>`. */
const quarantinePrefix = "quarantine:";

/**
 * Reads `ptr` (`redis://<key>`) or `key` (a key or a pointer; wins over `ptr`). Quotes around them do not count.
 * @throws DomainError invalid_argument that names the field
 */
export function parseAddress({ ptr, key }: { ptr: string; key: string }): Address {
  const field = key.trim() ? "key" : "ptr";
  const text = unquote(key.trim() || ptr.trim());
  if (!text) throw invalidField("ptr", "ptr or key is required");
  const isPointer = text.startsWith(pointerScheme);
  if (field === "ptr" && !isPointer) throw invalidField("ptr", `must start with ${pointerScheme}`);
  const found = isPointer ? text.slice(pointerScheme.length) : text;
  const canonicalKey = alternativeKey(found) ?? found;
  if (isQuarantined(canonicalKey)) return { key: found, canonicalKey, kind: "quarantine" };
  const kind = kinds[canonicalKey.slice(0, 4)];
  if (!kind || canonicalKey.length <= 4)
    throw invalidField(field, "must name a key that starts with ctx:, res:, mem: or art:");
  return { key: found, canonicalKey, kind };
}

function isQuarantined(key: string): boolean {
  return key.startsWith(quarantinePrefix) && key.length > quarantinePrefix.length;
}

/** The id of a quarantined artifact; undefined for a result. */
export function quarantinedArtifact(canonicalKey: string): string | undefined {
  const rest = canonicalKey.slice(quarantinePrefix.length);
  return isQuarantined(canonicalKey) && rest.startsWith("art:") ? rest.slice(4) : undefined;
}

function unquote(text: string): string {
  return text.replace(/^["']+|["']+$/g, "").trim();
}

/**
 * The jobs that a payload may belong to. A result's attempt (`res:<job>#<attempt>`) and the mark of a redacted copy are
 * not part of the id, but an id may look as if it had them, so all readings count. Empty when the key does not lead to a
 * job.
 */
export function ownersOf({ canonicalKey, kind }: Address): string[] {
  const rest = canonicalKey.slice(4);
  if (kind === "context") return [rest];
  if (kind === "result") return readings(rest);
  if (kind === "quarantine") return readings(canonicalKey.slice(quarantinePrefix.length));
  if (kind === "memory") {
    const memoryId = rest.replace(/:(events|chunks|summary|chunk:\d+)$/, "");
    return memoryId.startsWith("mem:") ? [memoryId.slice(4)] : []; // `mem:<job id>` is the default memory of a job
  }
  return [];
}

function readings(rest: string): string[] {
  const unmarked = rest.replace(/:redacted$/, "");
  return [...new Set([rest, unmarked, unmarked.replace(/#\d+$/, "")])];
}
