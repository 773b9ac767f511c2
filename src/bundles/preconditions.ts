import { DomainError, invalidField } from "../errors/index.ts";
import { type Bundle, type StoredDraft, sha256Of } from "./model.ts";

/** What a change of one bundle must find. None given: whatever is there. */
export interface Expected {
  /** Revision of the draft, 0 for none; from the request itself. */
  readonly revision?: number | undefined;
  /** Entity tags, one of which is the bundle's; from `If-Match`. */
  readonly tags?: readonly string[] | undefined;
  /** Neither draft nor published bundle; from `If-None-Match: *`. */
  readonly isNew?: boolean | undefined;
}

/** A bundle as the next change of it would find it. */
export interface FoundBundle {
  readonly bundle: Bundle | undefined;
  readonly draft: StoredDraft | undefined;
}

/** The entity tag: another one after every change of the draft and, where there is none, of what is published. */
export function etagOf({ bundle, draft }: FoundBundle): string {
  if (draft) return draftEtag(draft.revision);
  return bundle ? `"live-${sha256Of(JSON.stringify(bundle)).slice(0, 16)}"` : '"0"';
}

export function draftEtag(revision: number): string {
  return `"${revision}"`;
}

/**
 * What a request says that it must find: `expected_revision`, else the headers.
 * @throws DomainError invalid_argument for a header of another form
 */
export function expectedOf(revision: bigint | undefined, headers: Headers): Expected {
  if (revision !== undefined) return { revision: Number(revision) };
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null) {
    if (ifMatch.trim() === "*") throw invalidField("if-match", "must be entity tags, not *");
    const tags = ifMatch.split(",").map((tag) => `"${tag.trim().replace(/^W\//, "").replaceAll('"', "")}"`);
    return { tags };
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch === null) return {};
  if (ifNoneMatch.trim() === "*") return { isNew: true };
  throw invalidField("if-none-match", "must be * in a change");
}

/** Whether the headers ask for anything: then what is published counts, too. */
export function concernsLive({ tags, isNew }: Expected): boolean {
  return tags !== undefined || isNew === true;
}

/** @throws DomainError aborted when what was found is not what was expected; `expected.revision` is the store's affair */
export function checkExpected(id: string, { tags, isNew }: Expected, found: FoundBundle): void {
  const tag = etagOf(found);
  if (isNew && (found.bundle || found.draft)) throw conflict(`there is a bundle ${id}`);
  if (tags && !tags.includes(tag)) throw conflict(`the entity tag of bundle ${id} is ${tag}: somebody has changed it`);
}

function conflict(message: string): DomainError {
  return new DomainError("aborted", message, { reason: "revision_conflict" });
}
