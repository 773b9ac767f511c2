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

/** The id of an artifact behind a pointer; undefined when it names something else. */
export function artifactIdOf(pointer: string): string | undefined {
  const key = keyOfPointer(pointer) ?? "";
  const canonical = alternativeKey(key) ?? key;
  return canonical.startsWith("art:") && canonical.length > 4 && !canonical.startsWith("art:meta:")
    ? canonical.slice(4)
    : undefined;
}

export const artifactKeys = {
  content: (id: string) => `art:${id}`,
  meta: (id: string) => `art:meta:${id}`,
};

export function pointerOf(key: string): string {
  return pointerScheme + key;
}
