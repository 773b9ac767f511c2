import type { ScriptArg } from "../../redis/index.ts";
import { type RunHeader, terminalRuns } from "../core/state.ts";
import { eventsPerField, inputField, runFields, separator } from "./keys.ts";
import type { NewRun, RunChanges, RunCommit, TimerChange } from "./model.ts";

type Fields = readonly (readonly [string, string])[];

/** Arguments of create-run.lua for one run. */
export function createArgs(run: NewRun): ScriptArg[] {
  const { header, input, scope, fingerprint } = run;
  const text = JSON.stringify(input);
  const fields: [string, string][] = [[inputField(text), text]];
  if (fingerprint !== "") fields.push(["fp", fingerprint]);
  if (scope) fields.push(["scope", JSON.stringify(scope)]);
  const { tenant, workflowId, workflowVersion } = header;
  const indexed = [tenant, workflowId, workflowVersion, rootOf(header)];
  return measured(header.id, [...indexed, ...writeArgs(1, header, run, { fields, settled: [] })]);
}

/** Arguments of commit-run.lua for one run. */
export function commitArgs(commit: RunCommit): ScriptArg[] {
  const { runId, expected, header, previousStatus, settled = [] } = commit;
  const about = [expected, previousStatus, rootOf(header), header.workflowId, header.workflowVersion];
  return measured(runId, [...about, ...writeArgs(expected + 1, header, commit, { fields: [], settled })]);
}

/** What takes an ended run out of all indexes: the script that does finds nothing of the run any more. */
export function indexRow(header: RunHeader): string {
  const { id, status, tenant, workflowId } = header;
  return JSON.stringify([id, status, tenant, workflowId, rootOf(header)]);
}

/** Outermost run, of a nested one; else empty. */
function rootOf(header: RunHeader): string {
  return header.parent ? header.rootId : "";
}

/** The part that both scripts share, see includes/write.lua. */
function writeArgs(
  version: number,
  header: RunHeader,
  changes: RunChanges,
  { fields, settled }: { fields: Fields; settled: readonly string[] },
): ScriptArg[] {
  const { steps, outputs, inputs, ctx, items = [], events = [], effects = [], timers = [], output } = changes;
  const { id, status } = header;
  const allFields = output === undefined ? fields : [...fields, ["output", JSON.stringify(output)] as const];
  const entries = [...(ctx ?? [])].map(
    ([path, { step, value }], index) => [path, JSON.stringify({ step, value, order: [version, index] })] as const,
  );
  const args: ScriptArg[] = [version, status, JSON.stringify(header)];
  args.push(terminalRuns.has(status) ? indexRow(header) : "");
  pushPairs(
    args,
    effects.map((effect) => [effect.id, toText(effect)] as const),
  );
  pushList(args, settled);
  const count = args.push(0);
  for (const [name, text] of allFields) args.push(name, text);
  for (const [key, state] of steps ?? []) args.push(runFields.step(key), toText(state));
  for (const [key, value] of outputs ?? []) args.push(runFields.output(key), toText(value));
  for (const [key, text] of inputs ?? []) args.push(runFields.input(key), text);
  const before = header.events - events.length;
  if (before < 0) throw new Error(`run ${id} counts ${header.events} events and has more`);
  for (let at = 0; at < events.length; at += eventsPerField) {
    args.push(runFields.events(before + at + 1), toText(events.slice(at, at + eventsPerField)));
  }
  args[count - 1] = (args.length - count) / 2;
  pushPairs(args, entries);
  args.push(items.length);
  for (const { stepId, values } of items) {
    args.push(stepId);
    pushList(args, values.map(toText));
  }
  pushPairs(
    args,
    timers.map((timer) => [timerMember(id, timer), dueText(timer)] as const),
  );
  return args;
}

export function timerMember(runId: string, { stepKey, kind }: Pick<TimerChange, "stepKey" | "kind">): string {
  return [runId, stepKey, kind].join(separator);
}

function dueText({ stepKey, kind, dueMs }: TimerChange): string {
  if (dueMs === undefined) return "";
  // Redis would refuse it in the middle of the write.
  if (!Number.isFinite(dueMs)) throw new Error(`timer ${kind} of step ${stepKey}: ${dueMs} is no time`);
  return String(Math.round(dueMs));
}

const toText = (value: unknown): string => JSON.stringify(value);

function pushPairs(args: ScriptArg[], pairs: Fields): void {
  args.push(pairs.length);
  for (const [key, value] of pairs) args.push(key, value);
}

function pushList(args: ScriptArg[], values: readonly string[]): void {
  args.push(values.length);
  for (const value of values) args.push(value);
}

/** An entry of a batch: whose it is, how many arguments follow, and those. */
function measured(runId: string, args: ScriptArg[]): ScriptArg[] {
  args.unshift(runId, args.length);
  return args;
}
