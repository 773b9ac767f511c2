import { isShallow } from "../../jobs/index.ts";
import { type RedisClient, readsOn } from "../../redis/index.ts";
import type { StepOutput } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";

const scheme = "redis://";
/** Levels of lists and objects; deeper values cannot be written again without risk to the stack. */
const maxDepth = 64;

/**
 * What a job's result pointer names, as far as it is that job's own result and neither too large nor nested too deep. Workers may name any key;
 * nothing is read from there, and the pointer is not handed on.
 */
export async function readJobOutput(
  redis: RedisClient,
  { jobId, resultPtr }: { jobId: string; resultPtr: string },
  maxBytes: number,
): Promise<StepOutput | undefined> {
  if (resultPtr === "") return undefined;
  if (!resultPtr.startsWith(scheme)) return { resultPtr, isInlined: false };
  const key = resultPtr.slice(scheme.length);
  if (key.startsWith("art:")) return { resultPtr, isInlined: false };
  if (!isOwnResult(key, jobId)) return { isInlined: false };
  return { resultPtr, ...(await readValue(redis, key, maxBytes)) };
}

/** `res:<job>`, with the number of an attempt and the mark of a redacted copy, or without. */
function isOwnResult(key: string, jobId: string): boolean {
  const own = `res:${jobId}`;
  return key.startsWith(own) && /^(#\d+)?(:redacted)?$/.test(key.slice(own.length));
}

async function readValue(redis: RedisClient, key: string, maxBytes: number): Promise<Omit<StepOutput, "resultPtr">> {
  const [reply] = await readsOn(redis).all([["getrangeBuffer", key, 0, maxBytes]]);
  const bytes = reply as Buffer;
  if (bytes.length === 0 || bytes.length > maxBytes) return { isInlined: false };
  const output = parseOutput(bytes.toString());
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
