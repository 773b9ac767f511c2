import { alternativeKey, keyOfPointer, pointerScheme } from "../jobs/index.ts";

export const artifactKeys = {
  content: (id: string) => `art:${id}`,
  meta: (id: string) => `art:meta:${id}`,
};

/** The id of an artifact behind a pointer, `redis://art:<id>` or `redis://art/<id>`; undefined when it names something else. */
export function artifactIdOf(pointer: string): string | undefined {
  const key = keyOfPointer(pointer) ?? "";
  const canonical = alternativeKey(key) ?? key;
  return canonical.startsWith("art:") && canonical.length > 4 && !canonical.startsWith("art:meta:")
    ? canonical.slice(4)
    : undefined;
}

export function artifactPointer(id: string): string {
  return pointerScheme + artifactKeys.content(id);
}
