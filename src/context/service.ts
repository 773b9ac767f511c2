import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type ContextEngine, ContextMode } from "@cordum/proto/cordum/v1/context_pb.js";
import { DomainError } from "../errors/index.ts";
import { callerKey } from "../rpc/index.ts";
import { describeChunk } from "./chunks.ts";
import { type MemoryEvent, maxEventBytes } from "./events.ts";
import type { MemoryPrefix } from "./keys.ts";
import { findMemory, type MemoryOwners } from "./owner.ts";
import { type LogicalPayload, parsePayload } from "./payload.ts";
import type { MemoryStore } from "./store.ts";
import { assembleWindow, outputTokens } from "./window.ts";

export interface ContextEngineDeps extends MemoryOwners {
  store: MemoryStore;
  now?: () => number;
}

/** What models are told, and what is remembered of it. */
export function createContextEngine(deps: ContextEngineDeps): ServiceImpl<typeof ContextEngine> {
  const { store, now = Date.now } = deps;

  /** Undefined when nothing is remembered: there is no id, or the mode does without. */
  async function memoryOf(
    request: { memoryId: string; mode: ContextMode },
    context: HandlerContext,
  ): Promise<MemoryPrefix | undefined> {
    const id = request.memoryId.trim();
    if (!isRemembered(request.mode) || id === "") return undefined;
    return findMemory(deps, id, context.values.get(callerKey));
  }

  /** System messages from a memory: what is known of the file that the payload is about, else of everything. */
  async function contextOf(memory: MemoryPrefix, { filePath }: LogicalPayload): Promise<string[]> {
    if (filePath !== "") return (await store.chunks(memory, filePath)).map(describeChunk);
    const summary = await store.summary(memory);
    return summary.trim() === "" ? [] : [summary];
  }

  return {
    async buildWindow(request, context) {
      const payload = parsePayload(request.logicalPayload);
      const memory = await memoryOf(request, context);
      const [events, remembered] = await Promise.all([
        memory === undefined ? [] : store.events(memory),
        memory === undefined || request.mode !== ContextMode.RAG ? [] : contextOf(memory, payload),
      ]);
      const parts = { events, context: remembered, message: payload.message };
      return {
        ...assembleWindow(parts, request.maxInputTokens),
        outputTokens: outputTokens(request.maxOutputTokens),
      };
    },

    async updateMemory(request, context) {
      const memory = await memoryOf(request, context);
      if (memory === undefined) return {};
      const { message } = parsePayload(request.logicalPayload);
      const events = [
        ...eventOf("user", message, "logical_payload"),
        ...eventOf("assistant", Buffer.from(request.modelResponse).toString().trim(), "model_response"),
      ];
      if (events.length > 0) await store.append(memory, events, now());
      return {};
    },
  };
}

function isRemembered(mode: ContextMode): boolean {
  return mode === ContextMode.CHAT || mode === ContextMode.RAG;
}

/** None for what says nothing. */
function eventOf(role: string, content: string, field: string): MemoryEvent[] {
  const bytes = Buffer.byteLength(content);
  if (bytes > maxEventBytes) {
    const message = `${field}: the message has ${bytes} bytes: a memory keeps at most ${maxEventBytes} of one`;
    throw new DomainError("resource_exhausted", message, { reason: "payload_too_large" });
  }
  return content.trim() === "" ? [] : [{ role, content }];
}
