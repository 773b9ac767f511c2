import { DomainError } from "../errors/index.ts";
import type { SubmitterMark } from "../jobs/index.ts";
import type { ApprovalTerms } from "../policy/index.ts";
import type { Approval, Vote } from "./model.ts";

/** Somebody who decides, as authentication knows them. */
export interface Approver {
  keyId: string;
  /** Empty when the call names nobody. */
  principal: string;
  role: string;
  /** Further names by which policy may ask for this key. */
  groups: readonly string[];
}

/** Whose job it is. */
export interface Requester {
  /** Principal and actor that the request names; the empty ones are left out. */
  names: readonly string[];
  submitter: SubmitterMark | undefined;
}

/** Votes that count under the terms: one for each person who agreed and whom the terms ask for. */
export function countedVotes(terms: ApprovalTerms, votes: readonly Vote[]): number {
  return votes.filter((vote) => vote.approved && holdsAny(terms, vote.holds)).length;
}

/** Whether enough people have agreed. */
export function isSatisfied(terms: ApprovalTerms, votes: readonly Vote[]): boolean {
  return countedVotes(terms, votes) >= terms.count;
}

/**
 * Whether the approver is the one who asks. Names tell people apart, keys only where somebody names nobody: with one key
 * for all, both calls must name a principal. What a request says of itself excludes, it never frees.
 */
export function isRequester(
  { names, submitter }: Requester,
  { principal, keyId }: Pick<Approver, "principal" | "keyId">,
): boolean {
  if (principal !== "" && (names.includes(principal) || submitter?.principal === principal)) return true;
  const isAnonymous = principal === "" || submitter?.principal === "";
  return isAnonymous && submitter?.keyId === keyId;
}

/** Who the vote belongs to. */
export function voterOf({ principal, keyId }: Pick<Approver, "principal" | "keyId">): string {
  return principal || `key:${keyId}`;
}

export function holdsOf({ role, groups }: Approver): string[] {
  return [...new Set([role, ...groups])];
}

export interface VotingRules {
  /** The requester may approve. */
  allowsSelf: boolean;
}

/** Why this approver may not decide, or not agree; undefined when they may. */
export function objectionTo(
  approver: Approver,
  { requester, terms, agrees }: { requester: Requester; terms: ApprovalTerms; agrees: boolean },
  { allowsSelf }: VotingRules,
): DomainError | undefined {
  if (!holdsAny(terms, holdsOf(approver))) {
    const message = `this approval needs one of the roles ${terms.roles.join(", ")}; the key has ${holdsOf(approver).join(", ")}`;
    return new DomainError("permission_denied", message, { reason: "approver_role_required" });
  }
  if (!agrees || allowsSelf || !isRequester(requester, approver)) return undefined;
  const message =
    approver.principal === "" || requester.submitter?.principal === ""
      ? "the job was submitted with this key, and one of both calls names no principal: approve with another key"
      : `${approver.principal} has asked for this job and may not approve it`;
  return new DomainError("permission_denied", message, { reason: "self_approval" });
}

/** The votes with this one; an earlier one of the same voter that does not count any more makes way. Undefined: it is there. */
export function castVote({ terms, votes }: Pick<Approval, "terms" | "votes">, vote: Vote): readonly Vote[] | undefined {
  const earlier = votes.find(({ voter }) => voter === vote.voter);
  if (earlier?.approved && vote.approved && holdsAny(terms, earlier.holds)) return undefined;
  return [...votes.filter((other) => other !== earlier), vote];
}

function holdsAny({ roles }: ApprovalTerms, holds: readonly string[]): boolean {
  return roles.length === 0 || roles.some((role) => holds.includes(role));
}
