import type { JsonValue } from "@bufbuild/protobuf";
import {
  type Approval,
  type ApprovalRequirement,
  ApprovalSchema,
  ApprovalState,
  type ApprovalVote,
} from "@cordum/proto/cordum/v1/approval_pb.js";
import { usageError } from "./cli-error.ts";
import { formatPeriod } from "./duration.ts";
import { formatConstraints } from "./format-constraints.ts";
import { toRestJson } from "./json.ts";
import { type Column, colour, createTable, formatMicros, formatPairs, oneLine } from "./text.ts";

export const approvalColumns: Column<Approval>[] = [
  { title: "JOB", value: (approval) => approval.jobId },
  { title: "STATE", value: ({ state }) => approvalStateName(state) },
  { title: "TOPIC", value: (approval) => approval.topic },
  { title: "REQUESTER", value: (approval) => approval.requester },
  { title: "AGREED", value: formatProgress },
  { title: "ROLES", value: ({ requirement }) => requirement?.roles.join(",") ?? "" },
  { title: "RULE", value: (approval) => approval.policyRuleId },
  { title: "REASON", value: (approval) => approval.policyReason },
  { title: "EXPIRES", value: ({ expiresAt }) => formatMicros(expiresAt) },
  { title: "CREATED", value: ({ createdAt }) => formatMicros(createdAt) },
];

const voteColumns: Column<ApprovalVote>[] = [
  { title: "AT", value: ({ at }) => formatMicros(at) },
  { title: "VOTE", value: ({ approved }) => (approved ? "approve" : "reject") },
  { title: "BY", value: ({ keyId, principal }) => principal || keyId },
  { title: "ROLE", value: ({ role }) => role },
  { title: "REASON", value: ({ reason }) => reason },
  { title: "NOTE", value: ({ note }) => note },
];

/** Everything an approval is known by, and a table of who has voted. */
export function approvalLines(approval: Approval): string[] {
  const { constraints, requirement, round, state, votes } = approval;
  const pairs = formatPairs([
    ["job", approval.jobId],
    ["state", approvalStateName(state)],
    ["because", stateRemark(approval)],
    ["topic", approval.topic],
    ["tenant", approval.tenant],
    ["requester", approval.requester],
    ["rule", approval.policyRuleId],
    ["reason", approval.policyReason],
    ["needs", requirementText(requirement)],
    ["agreed", formatProgress(approval)],
    ["round", round > 1 ? String(round) : ""],
    ["constraints", formatConstraints(constraints)],
    ["snapshot", approval.policySnapshot],
    ["job hash", approval.jobHash],
    ["created", formatMicros(approval.createdAt)],
    ["updated", formatMicros(approval.updatedAt)],
    ["expires", formatMicros(approval.expiresAt)],
  ]);
  return votes.length === 0 ? pairs : [...pairs, "", ...createTable(voteColumns)(votes)];
}

/** One line for each change that `approval list --watch` sees. */
export function approvalChangeLine(approval: Approval): string {
  const { jobId, policyReason, requester, state, topic, updatedAt } = approval;
  const facts = [jobId, topic, requester && `by ${requester}`, `agreed ${formatProgress(approval)}`];
  return [
    colour("dim", formatMicros(updatedAt)),
    colouredApprovalState(state),
    ...[...facts, stateRemark(approval) || policyReason].filter(Boolean).map(oneLine),
  ].join("  ");
}

/** An approval in a few words, for whoever looks at its job: `PENDING: agreed 1/2, needs 2 people of the role secops`. */
export function approvalText(approval: Approval): string {
  const { requirement, state, votes } = approval;
  const needs = state === ApprovalState.PENDING ? requirementText(requirement) : "";
  const voters = votes.map(({ approved, keyId, principal, reason }) =>
    [`${approved ? "approved" : "rejected"} by ${principal || keyId || "an unknown key"}`, reason]
      .filter(Boolean)
      .join(": "),
  );
  const facts = [`agreed ${formatProgress(approval)}`, needs && `needs ${needs}`, stateRemark(approval)].filter(
    Boolean,
  );
  return [`${approvalStateName(state)}: ${facts.join(", ")}`, ...voters].join("\n");
}

/** `2 people of the roles secops, admin within 1h`; empty when nobody has to agree. */
export function requirementText(requirement: ApprovalRequirement | undefined): string {
  if (requirement === undefined) return "";
  const { count, expiresAfterMs, roles } = requirement;
  const people = `${Math.max(count, 1)} ${count > 1 ? "people" : "person"}`;
  const ofRoles = roles.length === 0 ? "" : ` of the role${roles.length > 1 ? "s" : ""} ${roles.join(", ")}`;
  return `${people}${ofRoles}${expiresAfterMs > 0n ? ` within ${formatPeriod(Number(expiresAfterMs))}` : ""}`;
}

/** What became of a vote: `j1 APPROVED`, or `j1 PENDING, agreed 1/2`. */
export function votedLine(jobId: string, approval: Approval | undefined, otherwise: ApprovalState): string {
  if (approval?.state === ApprovalState.PENDING) return `${jobId} PENDING, agreed ${formatProgress(approval)}`;
  return `${jobId} ${approvalStateName(approval?.state ?? otherwise)}`;
}

export function approvalJson(approval: Approval): JsonValue {
  return toRestJson(ApprovalSchema, approval);
}

/** The name of a state, `PENDING`; empty when there is none. */
export function approvalStateName(state: ApprovalState): string {
  return state === ApprovalState.UNSPECIFIED ? "" : (ApprovalState[state] ?? String(state));
}

/**
 * The state of a name, in any case.
 * @throws CliError (usage) for an unknown one
 */
export function parseApprovalState(name: string): ApprovalState {
  const names = Object.values(ApprovalState).filter((known) => typeof known === "string" && known !== "UNSPECIFIED");
  if (!names.includes(name.toUpperCase())) {
    throw usageError(`"${name}" is not a state of an approval: ${names.join(", ")}`);
  }
  return ApprovalState[name.toUpperCase() as keyof typeof ApprovalState];
}

/** Why it is in its state; empty where that says no more than the state does. */
function stateRemark({ state, stateReason }: Approval): string {
  return stateReason.toUpperCase() === approvalStateName(state) ? "" : stateReason;
}

/** `1/2`: who has agreed, of how many that must. */
function formatProgress({ requirement, votes }: Approval): string {
  return `${votes.filter(({ approved }) => approved).length}/${Math.max(requirement?.count ?? 1, 1)}`;
}

function colouredApprovalState(state: ApprovalState): string {
  const name = approvalStateName(state);
  if (state === ApprovalState.APPROVED) return colour("green", name);
  return colour(state === ApprovalState.PENDING || state === ApprovalState.SUPERSEDED ? "yellow" : "red", name);
}
