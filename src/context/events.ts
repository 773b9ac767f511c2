/** One thing that was said. */
export interface MemoryEvent {
  readonly role: string;
  readonly content: string;
}

/** Events that a memory keeps, and that a window shows. */
export const maxEvents = 20;

/** Larger contents are not remembered, bytes: with `maxEvents` the bound of a memory. */
export const maxEventBytes = 256 * 1024;

/** As it is stored. */
export function formatEvent({ role, content }: MemoryEvent, nowMs: number): string {
  return JSON.stringify({ role, content, ts: Math.floor(nowMs / 1000) });
}

/** Undefined for what says nothing. */
export function parseEvent(stored: string): MemoryEvent | undefined {
  try {
    const { role, content } = JSON.parse(stored) as { role?: unknown; content?: unknown };
    if (typeof content !== "string" || content.trim() === "") return undefined;
    return { role: typeof role === "string" && role !== "" ? role : "user", content };
  } catch {
    return undefined; // others may write the list, too
  }
}
