import { payloadKeys } from "./keys.ts";
import { alternativeKey, keyOfPointer, type Payloads, readPointer } from "./payloads.ts";

/** The job whose payloads are read, and the tenant that reads them. */
export interface PayloadOwner {
  readonly id: string;
  readonly tenant: string;
}

/**
 * What a pointer of a job names, as far as it is the job's to show: its own input and results, and artifacts of its
 * tenant. Pointers come from workers and publishers, who may name any key; to others there is nothing behind them.
 */
export async function readOwnPayload(
  payloads: Payloads,
  owner: PayloadOwner,
  pointer: string,
): Promise<Buffer | undefined> {
  const key = keyOfPointer(pointer);
  if (key === undefined) return undefined;
  const canonical = alternativeKey(key) ?? key;
  const isShown = isOwnKey(canonical, owner.id) || (await isArtifactOfTenant(payloads, canonical, owner.tenant));
  return isShown ? readPointer(payloads, pointer) : undefined;
}

/** `ctx:<job>`, and `res:<job>` with the number of an attempt and the mark of a redacted copy, or without. */
function isOwnKey(key: string, jobId: string): boolean {
  if (key === payloadKeys.context(jobId)) return true;
  const result = payloadKeys.result(jobId);
  return key.startsWith(result) && /^(#\d+)?(:redacted)?$/.test(key.slice(result.length));
}

async function isArtifactOfTenant(payloads: Payloads, key: string, tenant: string): Promise<boolean> {
  if (!key.startsWith("art:") || key.startsWith("art:meta:") || tenant === "") return false;
  const meta = await payloads.read(`art:meta:${key.slice("art:".length)}`);
  if (meta === undefined) return false;
  try {
    const { labels } = JSON.parse(meta.toString()) as { labels?: { tenant_id?: unknown } };
    return labels?.tenant_id === tenant;
  } catch {
    return false; // no description that can be read
  }
}
