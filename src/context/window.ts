import type { MemoryEvent } from "./events.ts";

/** What a window is made of, in its order. */
export interface WindowParts {
  readonly events: readonly MemoryEvent[];
  /** System messages. */
  readonly context: readonly string[];
  /** Left out when empty. */
  readonly message: string;
}

export interface Window {
  readonly messages: MemoryEvent[];
  readonly inputTokens: number;
}

const defaultInputTokens = 8_000;
const defaultOutputTokens = 1_024;

/**
 * Puts a window together and drops messages from its front until it fits: events first, then context. The last message
 * stays, whole.
 * @param maxInputTokens - 0: 8000; negative: no limit
 */
export function assembleWindow({ events, context, message }: WindowParts, maxInputTokens: number): Window {
  const messages: MemoryEvent[] = [...events, ...context.map((content) => ({ role: "system", content }))];
  if (message !== "") messages.push({ role: "user", content: message });
  const budget = maxInputTokens < 0 ? Number.POSITIVE_INFINITY : maxInputTokens || defaultInputTokens;
  const sizes = messages.map(({ content }) => countTokens(content));
  let inputTokens = sizes.reduce((sum, size) => sum + size, 0);
  let dropped = 0;
  while (inputTokens > budget && dropped < messages.length - 1) inputTokens -= sizes[dropped++] ?? 0;
  return { messages: messages.slice(dropped), inputTokens };
}

export function outputTokens(maxOutputTokens: number): number {
  return maxOutputTokens || defaultOutputTokens;
}

/** A rough count that needs no model's vocabulary: a fourth of the bytes. */
function countTokens(text: string): number {
  return Math.floor(Buffer.byteLength(text) / 4);
}
