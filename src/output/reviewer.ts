import type { Logger } from "pino";
import { artifactIdOf, artifactKeys } from "../artifacts/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { isOwnResult, pointerOf, redactedArtifactId, redactedKey, resultKey } from "./keys.ts";
import { createOutputMetrics } from "./metrics.ts";
import { createOutputPayloads, type Found, type OutputPayloadOptions, type OutputPayloads } from "./payloads.ts";
import { type Content, type ScanRule, scanFailed, type Verdict } from "./scan.ts";
import { createScanner, type ScannerOptions } from "./scanner.ts";

/** A rule for the output of one job, as policy gives it. */
export interface OutputRule extends Omit<ScanRule, "maxBytes" | "patterns"> {
  readonly hold: boolean;
  readonly patterns?: readonly { readonly text: string }[];
  /** Undefined: as much as can be looked at. */
  readonly maxBytes: number | undefined;
}

/** What a job has produced. */
export interface JobOutput {
  readonly jobId: string;
  readonly tenant: string;
  /** Empty when there is no result. */
  readonly resultPtr: string;
  readonly artifactPtrs: readonly string[];
  readonly errorMessage: string;
}

/** What may be told of it. */
export interface ReviewedOutput extends Pick<JobOutput, "resultPtr" | "errorMessage"> {
  readonly artifactPtrs: string[];
  readonly verdict: Omit<Verdict, "texts">;
}

export interface OutputReviewer {
  /**
   * Looks at an output and puts out of reach what may not be read. All of it is done when this resolves; repeating it,
   * also after a crash half way, comes to the same.
   * @throws Error when Redis fails: nothing is known then, and the caller must ask again
   */
  review(output: JobOutput, rules: readonly OutputRule[]): Promise<ReviewedOutput>;
  /** Bytes of the artifacts behind pointers, in their order; 0 for what is not there or not in Redis. */
  artifactBytes(pointers: readonly string[]): Promise<number[]>;
  close(): Promise<void>;
}

export interface OutputReviewerOptions extends OutputPayloadOptions {
  redis: RedisClient;
  log: Logger;
  scanner?: ScannerOptions;
}

/** Larger contents are not looked at. As much as the memory API would give out. */
const defaultMaxBytes = 8 * 1_024 * 1_024;
/** Of one job, all contents together. */
const maxTotalBytes = 32 * 1_024 * 1_024;
/** Outputs that are held in memory at once. */
const maxAtOnce = 4;

interface Item {
  readonly what: "result" | "artifact" | "message";
  /** Where it is; empty for the message and for what is not in Redis. */
  readonly key: string;
  readonly pointer: string;
  readonly content: Content;
  /** It may be moved: it is this job's. */
  readonly isOwn: boolean;
  /** An earlier look has put it out of reach. */
  readonly isMoved: boolean;
  /** Stored description of an artifact. */
  readonly meta: string;
}

export function createOutputReviewer(options: OutputReviewerOptions): OutputReviewer {
  const { log } = options;
  const payloads = createOutputPayloads(options.redis, options);
  const scanner = createScanner(options.scanner);
  const metrics = createOutputMetrics();
  const turns = createTurns(maxAtOnce);

  async function look(output: JobOutput, rules: readonly OutputRule[]): Promise<ReviewedOutput> {
    const startedMs = performance.now();
    const scanRules = rules.map(toScanRule);
    const items = await gather(payloads, output, Math.max(...scanRules.map(({ maxBytes }) => maxBytes)));
    const verdict = await scanner
      .scan(
        scanRules,
        items.flatMap(({ content, meta }) => (meta ? [content, textContent(meta)] : [content])),
      )
      .catch((error: unknown): Verdict => {
        log.error({ err: error, job_id: output.jobId }, "output not scanned: it is quarantined");
        const reason = `${scanFailed}: the detectors failed`;
        return { decision: "quarantine", ruleId: "", reason, findings: {}, texts: [] };
      });
    const reviewed = await apply(payloads, output, items, verdict);
    metrics.decided(verdict, (performance.now() - startedMs) / 1000);
    return reviewed;
  }

  return {
    review: (output, rules) => turns(() => look(output, rules)),
    artifactBytes: (pointers) => {
      const keys = pointers.map(artifactIdOf).map((id) => (id === undefined ? undefined : artifactKeys.content(id)));
      return Promise.all(keys.map((key) => (key === undefined ? 0 : options.redis.strlen(key))));
    },
    close: () => scanner.close(),
  };
}

function toScanRule({ id, decision, reason, detectors, patterns = [], maxBytes }: OutputRule): ScanRule {
  const texts = patterns.map(({ text }) => text);
  const limit = Math.min(maxBytes ?? defaultMaxBytes, maxTotalBytes);
  return { id, decision, reason, detectors: [...detectors], patterns: texts, maxBytes: limit };
}

/** Reads one after the other, so that the sum stays in bounds. */
async function gather(payloads: OutputPayloads, output: JobOutput, maxBytes: number): Promise<Item[]> {
  const items: Item[] = [];
  let leftBytes = maxTotalBytes;
  const read = async (key: string, where: string): Promise<Found> => {
    if (key === "") return { content: { kind: "unreadable", why: `${where} is not in redis` }, isMoved: false };
    const found = await payloads.read(key, Math.min(maxBytes, leftBytes));
    if (found.content.kind !== "unreadable") leftBytes -= found.content.sizeBytes;
    return found;
  };
  const gatherArtifact = async (what: "result" | "artifact", pointer: string, id: string | undefined) => {
    const key = id === undefined ? "" : artifactKeys.content(id);
    const found = await read(key, what === "result" ? "the result" : "an artifact");
    const meta = id === undefined ? "" : ((await payloads.readMeta(artifactKeys.meta(id))) ?? "");
    items.push({ what, key, pointer, ...found, isOwn: isArtifactOf(output, meta), meta });
  };
  const { resultPtr } = output;
  const resultArtifact = artifactIdOf(resultPtr);
  if (resultArtifact !== undefined) {
    await gatherArtifact("result", resultPtr, resultArtifact);
  } else if (resultPtr) {
    const key = resultKey(resultPtr) ?? "";
    const found = await read(key, "the result");
    items.push({ what: "result", key, pointer: resultPtr, ...found, isOwn: isOwnResult(key, output.jobId), meta: "" });
  }
  if (output.errorMessage) {
    const content = textContent(output.errorMessage);
    items.push({ what: "message", key: "", pointer: "", content, isOwn: false, isMoved: false, meta: "" });
  }
  for (const pointer of output.artifactPtrs) await gatherArtifact("artifact", pointer, artifactIdOf(pointer));
  return items;
}

function textContent(text: string): Content {
  return { kind: "text", text, sizeBytes: Buffer.byteLength(text) };
}

/** By its labels: a result may name what belongs to another job. */
function isArtifactOf({ jobId, tenant }: JobOutput, meta: string): boolean {
  try {
    const { labels } = JSON.parse(meta) as { labels?: Record<string, unknown> };
    if (labels?.job_id !== undefined) return labels.job_id === jobId;
    return tenant !== "" && labels?.tenant_id === tenant;
  } catch {
    return false; // no description, or none that can be read
  }
}

/** First the copies, then the end of the originals: after a crash half way the next look begins with the originals. */
async function apply(
  payloads: OutputPayloads,
  output: JobOutput,
  items: readonly Item[],
  verdict: Verdict,
): Promise<ReviewedOutput> {
  const { decision, ruleId, reason, findings, texts } = verdict;
  const shown = { decision, ruleId, reason, findings };
  if (decision === "quarantine") {
    for (const { key, isOwn } of items) if (isOwn) await payloads.quarantine(key);
    return { resultPtr: "", artifactPtrs: [], errorMessage: "", verdict: shown };
  }
  let { resultPtr, errorMessage } = output;
  const artifactPtrs: string[] = [];
  let at = 0;
  for (const item of items) {
    const text = texts[at++];
    const metaText = item.meta ? texts[at++] : undefined;
    const isChanged = text !== undefined || metaText !== undefined;
    if (!isChanged && item.isOwn && item.isMoved) await payloads.restore(item.key);
    if (item.what === "message") errorMessage = text ?? errorMessage;
    else if (item.what === "result")
      resultPtr = isChanged ? await replaceResult(payloads, output, item, text, metaText) : resultPtr;
    else artifactPtrs.push(isChanged ? await replaceArtifact(payloads, item, text, metaText) : item.pointer);
  }
  return { resultPtr, artifactPtrs, errorMessage, verdict: shown };
}

/** @returns the pointer to the copy */
async function replaceResult(
  payloads: OutputPayloads,
  output: JobOutput,
  item: Item,
  text?: string,
  meta?: string,
): Promise<string> {
  const isArtifact = artifactIdOf(item.pointer) !== undefined;
  if (isArtifact && item.isOwn) return replaceArtifact(payloads, item, text, meta);
  const copy = redactedKey(item.isOwn ? item.key.replace("/", ":") : `res:${output.jobId}`);
  await payloads.writeCopy(item.key, copy, text ?? bodyOf(item.content));
  if (item.isOwn) await payloads.quarantine(item.key);
  return pointerOf(copy);
}

/** @returns the pointer to the copy, which has a description of its own */
async function replaceArtifact(payloads: OutputPayloads, item: Item, text?: string, meta?: string): Promise<string> {
  const id = redactedArtifactId(artifactIdOf(item.pointer) ?? "");
  const body = text ?? bodyOf(item.content);
  await payloads.writeCopy(item.key, artifactKeys.meta(id), withSize(meta ?? item.meta, Buffer.byteLength(body)));
  await payloads.writeCopy(item.key, artifactKeys.content(id), body);
  if (item.isOwn) await payloads.quarantine(item.key);
  return pointerOf(artifactKeys.content(id));
}

function bodyOf(content: Content): string | Buffer {
  if (content.kind === "unreadable") return "";
  return content.kind === "binary" ? Buffer.from(content.text, "latin1") : content.text;
}

/** The description of an artifact, with another size and without the hash of the original. */
function withSize(meta: string, sizeBytes: number): string {
  try {
    return JSON.stringify({ ...(JSON.parse(meta) as object), size_bytes: sizeBytes, sha256: undefined });
  } catch {
    return meta;
  }
}

/** Lets so many run at once; the others wait for their turn. */
function createTurns(most: number) {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    while (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
    try {
      return await work();
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
}
