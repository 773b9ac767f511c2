import { alternativeKey, keyOfPointer, payloadKeys, pointerScheme } from "../jobs/index.ts";

const quarantinePrefix = "quarantine:";
const redactedSuffix = ":redacted";

/**
 * Where an output goes that nobody may read: `quarantine:<job>` for `res:<job>`, with the attempt when there is one, and
 * `quarantine:art:<id>` for an artifact.
 */
export function quarantineKey(key: string): string {
  return quarantinePrefix + key.replace(/^res[:/]/, "").replace(/^art\//, "art:");
}

/** Where the redacted copy of a result is kept. */
export function redactedKey(key: string): string {
  return key + redactedSuffix;
}

/** The id under which the redacted copy of an artifact is kept. */
export function redactedArtifactId(id: string): string {
  return `${id}-redacted`;
}

/** The key behind a pointer to a result; undefined when it is not in Redis. */
export function resultKey(pointer: string): string | undefined {
  return keyOfPointer(pointer);
}

/** Whether a key is one of those that the job's own results have, whatever the attempt. */
export function isOwnResult(key: string, jobId: string): boolean {
  const canonical = alternativeKey(key) ?? key;
  const own = payloadKeys.result(jobId);
  return canonical === own || (canonical.startsWith(`${own}#`) && /^\d+$/.test(canonical.slice(own.length + 1)));
}

export function pointerOf(key: string): string {
  return pointerScheme + key;
}
