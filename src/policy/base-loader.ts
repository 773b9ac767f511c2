import { createHash, type KeyObject } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ArchivedBase } from "./ports.ts";
import { sourceError } from "./problem.ts";
import { signatureProblem } from "./signature.ts";
import type { PolicySource } from "./source.ts";

export interface BaseChecks {
  /** Set: the document must be signed by the owner of this Ed25519 key. */
  readonly publicKey?: KeyObject | undefined;
  /** The signature, base64 or hex. Default: what `signaturePath` holds, else for a file what `<file>.sig` holds. */
  readonly signature?: string | undefined;
  readonly signaturePath?: string | undefined;
  /** Hex SHA-256 that the document must have. */
  readonly sha256?: string | undefined;
}

const settleTries = 20;

/**
 * Reads the base document and its signature, once two reads in a row agree on something new, and checks them.
 * @param known - what is loaded already, and need not be read twice
 * @throws PolicySourceError when it cannot be read or must not be trusted
 */
export async function readBase(
  source: PolicySource,
  checks: BaseChecks,
  known: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<ArchivedBase> {
  const bytes = await readSettled(source, known, signal);
  const signature = checks.publicKey === undefined ? undefined : await findSignature(source, checks, signal);
  const base = { bytes, signature };
  checkBase(source.name, base, checks);
  return base;
}

/** @throws PolicySourceError when the document must not be trusted */
export function checkBase(name: string, { bytes, signature }: ArchivedBase, checks: BaseChecks): void {
  const problem = checks.publicKey && signatureProblem(checks.publicKey, bytes, signature);
  if (problem !== undefined) throw sourceError(name, problem);
  const found = checks.sha256 && createHash("sha256").update(bytes).digest("hex");
  if (found !== undefined && found !== "" && found !== checks.sha256?.toLowerCase()) {
    throw sourceError(name, `has the SHA-256 ${found}, and SAFETY_POLICY_SHA256 asks for another`);
  }
}

async function findSignature(
  source: PolicySource,
  { signature, signaturePath }: BaseChecks,
  signal: AbortSignal,
): Promise<Uint8Array | string | undefined> {
  if (signature) return signature;
  return source.readSignature(signaturePath, signal);
}

async function readSettled(
  source: PolicySource,
  known: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  let bytes = await source.read(signal);
  if (source.settleMs === 0) return bytes;
  for (let tries = 0; tries < settleTries; tries++) {
    if (known === undefined || Buffer.compare(bytes, known) === 0) return bytes;
    await sleep(source.settleMs, undefined, { signal });
    const again = await source.read(signal);
    if (Buffer.compare(again, bytes) === 0) return again;
    bytes = again;
  }
  throw sourceError(source.name, "keeps changing while it is read");
}
