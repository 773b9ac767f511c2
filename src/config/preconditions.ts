import { invalidField } from "../errors/index.ts";

export function formatEtag(revision: number): string {
  return `"${revision}"`;
}

/**
 * The revision that a change must find: `expected_revision` of the request, else the header `If-Match` with an ETag, or
 * `If-None-Match: *` for "no document". Undefined: whatever is there.
 * @throws DomainError invalid_argument for a header of another form
 */
export function presentedRevision(expected: bigint | undefined, headers: Headers): number | undefined {
  if (expected !== undefined) return Number(expected);
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null) {
    const match = /^\s*(?:W\/)?"?(\d{1,15})"?\s*$/.exec(ifMatch);
    if (!match) throw invalidField("if-match", "must be the ETag of one revision");
    return Number(match[1]);
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch === null) return undefined;
  if (ifNoneMatch.trim() === "*") return 0;
  throw invalidField("if-none-match", "must be * in a change");
}
