/** What became of one event. */
export type EventOutcome =
  | { kind: "applied"; detail?: { [name: string]: unknown } }
  /** It changes nothing: late, repeated, or of somebody else. */
  | { kind: "ignored"; why: string }
  /** Whoever asked must hear that it cannot be done. */
  | { kind: "refused"; code: RefusalCode; message: string };

export type RefusalCode = "not_found" | "invalid" | "ended" | "forbidden" | "exhausted";

export const applied: EventOutcome = { kind: "applied" };

export function ignored(why: string): EventOutcome {
  return { kind: "ignored", why };
}

export function refused(code: RefusalCode, message: string): EventOutcome {
  return { kind: "refused", code, message };
}
