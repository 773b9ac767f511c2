import { watch } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { sourceError } from "./problem.ts";

/** Where a policy document comes from. */
export interface PolicySource {
  /** Path, or address without credentials and query: may be logged. */
  readonly name: string;
  /** For how long content must stay the same before it is believed, milliseconds: a file may be half written. */
  readonly settleMs: number;
  /** @throws PolicySourceError when it cannot be read */
  read(signal: AbortSignal): Promise<Uint8Array>;
  /**
   * The signature that lies at a path, else beside a file as `<file>.sig`.
   * @throws PolicySourceError when there is none where one must be
   */
  readSignature(path: string | undefined, signal: AbortSignal): Promise<Uint8Array>;
  /** Calls back when the content may have changed. Answers how to stop. Without means to notice, does nothing. */
  watch(onTouched: () => void, onFailed: (reason: unknown) => void): () => void;
}

const maxSourceBytes = 16 * 1024 * 1024;
const fetchTimeoutMs = 10_000;

/** A path, `http://` or `https://` address. */
export function policySource(location: string): PolicySource {
  return /^https?:\/\//i.test(location) ? urlSource(location) : fileSource(location);
}

function fileSource(path: string): PolicySource {
  return {
    name: path,
    settleMs: 50,
    read: () => readFile(path),
    readSignature: (signaturePath) => readFile(signaturePath ?? `${path}.sig`),
    watch: (onTouched, onFailed) => watchFile(path, onTouched, onFailed),
  };
}

async function readFile(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    if (size > maxSourceBytes) throw tooLarge(path);
    return await file.readFile();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw sourceError(path, `cannot be read: ${message}`, { cause });
  }
}

/** Watches the folder: editors and Kubernetes replace files, and a watch on the file would die with the old one. */
function watchFile(path: string, onTouched: () => void, onFailed: (reason: unknown) => void): () => void {
  const name = basename(path);
  try {
    const watcher = watch(dirname(resolve(path)), { persistent: false }, (_event, touched) => {
      const isOurs = touched === null || touched === name || touched === `${name}.sig`;
      if (isOurs || touched.startsWith("..")) onTouched();
    });
    watcher.on("error", onFailed);
    return () => watcher.close();
  } catch (reason) {
    onFailed(reason);
    return () => {};
  }
}

function urlSource(location: string): PolicySource {
  const url = new URL(location);
  const { username, password } = url;
  // fetch refuses credentials in an address, and prints them while doing so
  url.username = "";
  url.password = "";
  const name = `${url.origin}${url.pathname}`;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers: Record<string, string> =
    username === "" ? {} : { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
  return {
    name,
    settleMs: 0,
    read: (signal) => fetchBytes(url, name, headers, signal),
    async readSignature(signaturePath) {
      if (signaturePath) return readFile(signaturePath);
      throw sourceError(name, "has no signature: set SAFETY_POLICY_SIGNATURE or SAFETY_POLICY_SIGNATURE_PATH");
    },
    watch: () => () => {},
  };
}

async function fetchBytes(
  url: URL,
  name: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)]);
  try {
    const response = await fetch(url, { headers, signal: limit });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength;
      if (size > maxSourceBytes) throw tooLarge(name);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw sourceError(name, `cannot be fetched: ${message}`, { cause });
  }
}

function tooLarge(name: string): Error {
  return new Error(`${name} is larger than ${maxSourceBytes} bytes`);
}
