import { Worker } from "node:worker_threads";
import { type Content, type ScanRule, scan, type Verdict } from "./scan.ts";
import type { ScanReply, ScanRequest } from "./scan-thread.ts";

/** Applies rules to contents, large ones off the event loop. */
export interface Scanner {
  /** @throws Error when the detectors fail or take too long: then nothing is known about the output */
  scan(rules: readonly ScanRule[], contents: readonly Content[]): Promise<Verdict>;
  close(): Promise<void>;
}

export interface ScannerOptions {
  /** Up to this many characters are looked at here: some milliseconds. Default 32 Ki. */
  inlineChars?: number;
  /** Longer than this no scan takes in the thread. Default 30 s. */
  timeoutMs?: number;
}

interface Waiting {
  resolve(verdict: Verdict): void;
  reject(reason: Error): void;
  timer: NodeJS.Timeout;
}

const defaultInlineChars = 32 * 1_024;
const defaultTimeoutMs = 30_000;
/** In a build the thread's file is JavaScript, as this one is. */
const threadFile = new URL(`./scan-thread${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

export function createScanner(options: ScannerOptions = {}): Scanner {
  const { inlineChars = defaultInlineChars, timeoutMs = defaultTimeoutMs } = options;
  const waiting = new Map<number, Waiting>();
  let thread: Worker | undefined;
  let lastId = 0;
  let isClosed = false;

  /** One thread, made when it is first needed: scans are short, and take turns. */
  function openThread(): Worker {
    if (thread) return thread;
    const fresh = new Worker(threadFile);
    thread = fresh;
    fresh.unref();
    fresh.on("message", (reply: ScanReply) => settle(reply));
    fresh.on("error", (error) => drop(fresh, new Error("the scan thread failed", { cause: error })));
    fresh.on("exit", () => drop(fresh, new Error("the scan thread ended")));
    return fresh;
  }

  function settle(reply: ScanReply): void {
    const asked = waiting.get(reply.id);
    waiting.delete(reply.id);
    clearTimeout(asked?.timer);
    if ("verdict" in reply) asked?.resolve(reply.verdict);
    else asked?.reject(new Error(reply.error));
  }

  /** Whoever waits for this thread is told; the next scan gets a new one. */
  function drop(ended: Worker, reason: Error): void {
    if (thread !== ended) return;
    thread = undefined;
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer);
      reject(reason);
    }
    waiting.clear();
    void ended.terminate();
  }

  function scanInThread(rules: readonly ScanRule[], contents: readonly Content[]): Promise<Verdict> {
    const worker = openThread();
    const id = ++lastId;
    return new Promise((resolve, reject) => {
      const late = () => drop(worker, new Error(`the scan took longer than ${timeoutMs} ms`));
      waiting.set(id, { resolve, reject, timer: setTimeout(late, timeoutMs) });
      worker.postMessage({ id, rules, contents } satisfies ScanRequest);
    });
  }

  return {
    async scan(rules, contents) {
      if (isClosed) throw new Error("the scanner is closed");
      const chars = contents.reduce(
        (sum, content) => sum + (content.kind === "unreadable" ? 0 : content.text.length),
        0,
      );
      return chars <= inlineChars ? scan(rules, contents) : scanInThread(rules, contents);
    },
    async close() {
      isClosed = true;
      if (thread) drop(thread, new Error("the scanner is closed"));
    },
  };
}
