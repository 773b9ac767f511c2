import { isRequester, type Requester, voterOf } from "../../approvals/index.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledStep } from "../model/compiled.ts";
import type { Draft } from "./draft.ts";
import type { EventOutcome } from "./outcome.ts";
import type { RunEvent, StepState, VoteState } from "./state.ts";
import { endStep, endWithValue } from "./steps.ts";

/** Somebody agrees to a step, or refuses it. */
export function decide(draft: Draft, stepId: string, vote: VoteState): EventOutcome {
  const step = draft.workflow.byId.get(stepId);
  if (!step) return { kind: "refused", code: "not_found", message: "step not found" };
  const state = draft.letter(step.index) === "." ? undefined : draft.step(stepId);
  if (step.kind !== "approval" || state?.status !== "waiting") {
    return { kind: "refused", code: "invalid", message: "step not waiting" };
  }
  const refusal = refusalOf(draft, step, state, vote);
  if (refusal) return { kind: "refused", code: "forbidden", message: refusal };
  const votes = [...(state.votes ?? []), vote];
  const after = { ...state, votes };
  const data: { [name: string]: Json } = { principal: vote.principal, role: vote.role };
  if (vote.note) data.note = vote.note;
  const about = { stepId, ...(vote.reason && { message: vote.reason }), data };
  const needed = step.document.approvals?.count ?? 1;
  const given = votes.filter(({ approved }) => approved).length;
  if (!vote.approved) {
    draft.event("step_rejected", { ...about, status: "failed" });
    close(draft, state, stepId);
    endStep(draft, step, after, { status: "failed" });
    // The step has no error of its own; that of the run says who and why.
    const message = vote.reason || `rejected by ${voterOf(vote)}`;
    if (draft.failure?.stepId === stepId) draft.failure.error = { code: "rejected", message };
  } else if (given >= needed) {
    draft.event("step_approved", { ...about, status: "succeeded" });
    close(draft, state, stepId);
    endStep(draft, step, after, { status: "succeeded" });
  } else {
    draft.event("step_vote", { ...about, status: "waiting" });
    draft.setStep(stepId, after);
  }
  return { kind: "applied", detail: { missing: vote.approved ? Math.max(0, needed - given) : 0 } };
}

function close(draft: Draft, state: StepState, stepId: string): void {
  if (state.dueAt !== undefined) draft.timer(stepId, "due", undefined);
}

function refusalOf(draft: Draft, step: CompiledStep, state: StepState, vote: VoteState): string | undefined {
  const { roles = [], allow_requester: allowsRequester } = step.document.approvals ?? {};
  const holds = vote.holds ?? [vote.role];
  if (roles.length > 0 && !roles.some((role) => holds.includes(role))) {
    return `the step asks for the role ${roles.join(" or ")}, not ${holds.join(", ") || "none"}`;
  }
  const isAllowed = allowsRequester ?? draft.now.limits.allowsSelfApproval;
  const requester = requesterOf(draft);
  if (!isAllowed && isRequester(requester, vote)) {
    const { principal } = vote;
    return principal !== "" && [...requester.names, requester.submitter?.principal].includes(principal)
      ? "who started the run, or whom its jobs act for, must not approve it"
      : "the run was started with this key, and one of both calls names no principal: approve with another key";
  }
  if (state.votes?.some((earlier) => isSameVoter(earlier, vote))) return "they have decided already";
  return undefined;
}

/** Everybody who stands behind the run: who started it, and for whom its jobs act. */
function requesterOf({ header, workflow }: Draft): Requester {
  const names = workflow.steps.map(({ job }) => job.meta?.actor_id ?? "").filter((name) => name !== "");
  return { names, submitter: header.requester };
}

/** As for requesters, keys tell people apart only where both calls name a principal. */
function isSameVoter(earlier: VoteState, vote: VoteState): boolean {
  return isRequester({ names: [], submitter: earlier }, vote);
}

/** They are kept in the header, which every event reads. */
const maxKeptSignalBytes = 65_536;

/** A signal goes to the first step that waits for it, else it is kept for the one that will. */
export function signal(draft: Draft, { name, payload, by }: Extract<RunEvent, { kind: "signal" }>): EventOutcome {
  const { header, now } = draft;
  if (JSON.stringify(payload).length > now.limits.inlineBytes) {
    const message = `a signal's payload must be at most ${now.limits.inlineBytes} bytes; pass a pointer instead`;
    return { kind: "refused", code: "invalid", message };
  }
  const step = draft.workflow.steps.find(
    (other) =>
      other.kind === "signal" && draft.letter(other.index) === "w" && (other.document.signal ?? other.id) === name,
  );
  if (step) {
    const state = draft.step(step.id);
    if (!state) return { kind: "refused", code: "not_found", message: "step not found" };
    draft.event("step_signalled", { stepId: step.id, status: "succeeded", data: { signal: name, by } });
    close(draft, state, step.id);
    endWithValue(draft, step, { ...state, by }, payload);
    return { kind: "applied", detail: { delivered: true } };
  }
  const isExpected = draft.workflow.steps.some(
    ({ kind, id, index, document }) =>
      kind === "signal" && (document.signal ?? id) === name && draft.letter(index) === ".",
  );
  if (!isExpected)
    return { kind: "refused", code: "not_found", message: `no step waits, or will wait, for signal ${name}` };
  const kept = header.signals ?? [];
  const size = JSON.stringify([...kept, payload]).length;
  if (size > maxKeptSignalBytes) {
    const message = `signals that nobody has waited for may take ${maxKeptSignalBytes} bytes together`;
    return { kind: "refused", code: "exhausted", message };
  }
  if (kept.length >= now.limits.maxSignals) {
    const message = `the run keeps ${kept.length} signals that nobody has waited for; no more fit`;
    return { kind: "refused", code: "exhausted", message };
  }
  header.signals = [...kept, { name, payload, by, at: now.nowMs }];
  draft.event("signal_received", { message: `signal ${name} is kept`, data: { signal: name, by } });
  return { kind: "applied", detail: { delivered: false } };
}

/** The time of a delay, of an approval or of a wait for a signal is over. */
export function expireWait(draft: Draft, step: CompiledStep, state: StepState): void {
  if (step.kind === "delay") {
    draft.event("step_delay_completed", { stepId: step.id, status: "succeeded", message: "delay completed" });
    endStep(draft, step, state, { status: "succeeded" });
    return;
  }
  const what = step.kind === "approval" ? "nobody has decided in time" : "no signal has come in time";
  const answer = step.document.on_timeout ?? "fail";
  const type = step.kind === "approval" ? "step_approval_expired" : "step_signal_expired";
  const error = { code: step.kind === "approval" ? "approval_expired" : "signal_expired", message: what };
  if (answer === "approve" || answer === "continue") {
    draft.event(type, {
      stepId: step.id,
      status: "succeeded",
      message: `${what}; the definition goes on all the same`,
    });
    if (step.kind === "signal") {
      endWithValue(draft, step, state, null);
      return;
    }
    endStep(draft, step, state, { status: "succeeded" });
    return;
  }
  const status = answer === "reject" ? "failed" : "timed_out";
  draft.event(type, { stepId: step.id, status, message: what });
  endStep(draft, step, state, { status, error });
}
