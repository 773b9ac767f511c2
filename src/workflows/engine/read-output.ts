import { isShallow } from "../../jobs/index.ts";
import { type RedisClient, readsOn } from "../../redis/index.ts";
import type { StepOutput } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";

const scheme = "redis://";
/** Levels of lists and objects; deeper values cannot be written again without risk to the stack. */
const maxDepth = 64;

interface JobResult {
  jobId: string;
  resultPtr: string;
  /** The value, when it has been read already; empty: it has not. */
  known?: string;
}

/**
 * What a job's result pointer names, as far as it is that job's own result and neither too large nor nested too deep.
 * Workers may name any key; nothing is read from there, and the pointer is not handed on.
 */
export async function readJobOutput(
  redis: RedisClient,
  { jobId, resultPtr, known = "" }: JobResult,
  maxBytes: number,
): Promise<StepOutput | undefined> {
  if (resultPtr === "") return undefined;
  if (!resultPtr.startsWith(scheme)) return { resultPtr, isInlined: false };
  const key = resultPtr.slice(scheme.length);
  if (key.startsWith("art:")) return { resultPtr, isInlined: false };
  if (!isOwnResult(key, jobId)) return { isInlined: false };
  const read = known === "" ? await readText(redis, key, maxBytes) : { text: known, size: Buffer.byteLength(known) };
  return { resultPtr, ...(read.size > maxBytes ? { isInlined: false } : toOutput(read.text)) };
}

/** Key of a job's own result in Redis; undefined when the pointer names something else. */
export function resultKeyOf(jobId: string, resultPtr: string): string | undefined {
  if (!resultPtr.startsWith(scheme)) return undefined;
  const key = resultPtr.slice(scheme.length);
  return isOwnResult(key, jobId) ? key : undefined;
}

/** `res:<job>`, with the number of an attempt and the mark of a redacted copy, or without. */
function isOwnResult(key: string, jobId: string): boolean {
  const own = `res:${jobId}`;
  return key.startsWith(own) && /^(#\d+)?(:redacted)?$/.test(key.slice(own.length));
}

/** At most one byte more than may be inlined, so that a longer value is seen to be one; empty for what is no text at all. */
async function readText(redis: RedisClient, key: string, maxBytes: number): Promise<{ text: string; size: number }> {
  try {
    const [reply] = await readsOn(redis).all([["getrangeBuffer", key, 0, maxBytes]]);
    const bytes = reply as Buffer;
    return { text: bytes.toString(), size: bytes.length };
  } catch (error) {
    const isNoText = error instanceof Error && error.message.startsWith("WRONGTYPE");
    if (isNoText) return { text: "", size: 0 }; // it would be that for ever
    throw error;
  }
}

function toOutput(text: string): Omit<StepOutput, "resultPtr"> {
  if (text === "") return { isInlined: false };
  const output = parseOutput(text);
  return isShallow(output, maxDepth) ? { output, isInlined: true } : { isInlined: false };
}

/** Text that is no JSON is itself the value. */
export function parseOutput(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
