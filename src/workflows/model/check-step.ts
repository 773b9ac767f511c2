import { checkJob, checkSchemaPair } from "./check-job.ts";
import type { StepKind } from "./compiled.ts";
import type { StepDocument } from "./document.ts";
import { nearest } from "./nearest.ts";
import type { Path, ProblemList } from "./problem.ts";
import type { SchemaUses } from "./schema-uses.ts";
import { builtInTypes, canFanOut, jobTypes, runsAsJob, typesWith, unusedFields } from "./step-kind.ts";
import { isTemplate } from "./step-texts.ts";

export interface StepChecks {
  /** Gets those of the step. */
  schemas: SchemaUses;
  /** What is wrong with a cron expression in a time zone; undefined when nothing is. */
  checkCron: (expression: string, zone: string) => string | undefined;
}

/** Reports what is wrong with the fields of one step, but not with its expressions, its body and its place. */
export function checkStep(
  step: StepDocument,
  kind: StepKind,
  path: Path,
  checks: StepChecks,
  problems: ProblemList,
): void {
  checkType(step, path, problems);
  checkUnused(step, kind, path, problems);
  checkJob(step, path, checks.schemas, problems);
  checkSchemaPair(step, "output_schema", path, checks.schemas, problems);
  if (step.on_failure) checkJob(step.on_failure, [...path, "on_failure"], checks.schemas, problems);
  checkOutputPath(step, path, problems);
  checksOfKind[kind]?.(step, path, problems, checks);
}

function checkType(step: StepDocument, path: Path, problems: ProblemList): void {
  const { type = "" } = step;
  const at = [...path, "type"];
  if (runsAsJob(step)) {
    const message = `without the fields of type ${type} this step is a job on ${step.topic}`;
    problems.warning("runs_as_job", at, message, { hint: `leave type out, or say what the ${type} does` });
    return;
  }
  if (type === "" || builtInTypes.includes(type) || jobTypes.includes(type)) return;
  const near = nearest(type, builtInTypes);
  if (near === undefined) return;
  const message = `${JSON.stringify(type)} is no built-in type, so this step is a job`;
  problems.warning("unknown_type", at, message, { hint: `did you mean ${near}?` });
}

/** Needed to make sense of the others: the others do nothing without them. */
const companions: [needed: keyof StepDocument, others: (keyof StepDocument)[]][] = [
  ["for_each", ["max_parallel", "min_success", "continue_on_error"]],
  ["delay_cron", ["time_zone"]],
  ["timeout_sec", ["on_timeout"]],
  ["workflow_id", ["workflow_version"]],
];

function checkUnused(step: StepDocument, kind: StepKind, path: Path, problems: ProblemList): void {
  const unused = new Set(unusedFields(step, kind));
  const words = kind === "job" || kind === "body" ? `on a step that is a ${kind}` : `on type ${kind}`;
  if (step.for_each !== undefined && !canFanOut(kind)) {
    const hint = "put the step into the body of a step with for_each";
    problems.error("for_each_not_allowed", [...path, "for_each"], `for_each cannot be used ${words}`, {
      atKey: true,
      hint,
    });
    unused.delete("for_each");
  }
  if (kind === "job" && step.steps !== undefined) {
    const hint = `leave out type ${step.type}, or write type: loop`;
    problems.error("conflict", [...path, "steps"], `a step of type ${step.type} is a job and has no steps`, {
      atKey: true,
      hint,
    });
    unused.delete("steps");
  }
  for (const field of unused) {
    const types = typesWith(field);
    const hint = types.length === 0 ? undefined : `it belongs to type ${types.join(", ")}`;
    problems.warning("unused_field", [...path, field], `${field} does nothing ${words}`, { atKey: true, hint });
  }
  for (const [needed, others] of companions) {
    if (step[needed] !== undefined || (needed === "for_each" && kind !== "job" && !canFanOut(kind))) continue;
    for (const field of others.filter((other) => step[other] !== undefined && !unused.has(other))) {
      problems.warning("unused_field", [...path, field], `${field} does nothing without ${needed}`, { atKey: true });
    }
  }
}

function checkOutputPath({ output_path }: StepDocument, path: Path, problems: ProblemList): void {
  if (output_path === undefined) return;
  const segments = output_path.split(".").map((segment) => segment.trim());
  const at = [...path, "output_path"];
  if (segments.includes("")) problems.error("invalid_output_path", at, "the path has an empty segment");
  else if (segments.includes("__proto__")) problems.error("invalid_output_path", at, "__proto__ cannot be a key");
  else if (segments[0] === "steps") {
    const hint = "the output is at steps.<step>.output already; choose another name";
    problems.error("invalid_output_path", at, "steps holds the outputs of all steps and cannot be overwritten", {
      hint,
    });
  }
}

const delayFields = ["delay_sec", "delay_until", "delay_cron"];

type Check = (step: StepDocument, path: Path, problems: ProblemList, checks: StepChecks) => void;

const checksOfKind: { [Kind in StepKind]?: Check } = {
  condition({ condition }, path, problems) {
    if (condition !== undefined) return;
    problems.warning("missing_field", path, "condition is missing, so the step will fail");
  },

  delay({ delay_cron, delay_sec = 0, delay_until, time_zone = "UTC", timeout_sec }, path, problems, { checkCron }) {
    const given = [delay_sec > 0, delay_until !== undefined, delay_cron !== undefined].filter(Boolean).length;
    if (given > 1) {
      const message = "delay_sec, delay_until and delay_cron exclude each other; the first of them counts";
      problems.warning("conflict", path, message);
    } else if (given === 0 && timeout_sec === undefined && !problems.hasErrorAt(delayFields, path)) {
      problems.warning("missing_field", path, "the step waits for nothing", {
        hint: "set delay_sec, delay_until or delay_cron",
      });
    }
    if (delay_until !== undefined && !isTemplate(delay_until) && !isInstant(delay_until)) {
      const message = `${JSON.stringify(delay_until)} is no time in RFC 3339`;
      problems.error("invalid_value", [...path, "delay_until"], message, { hint: "for example 2026-01-31T12:00:00Z" });
    }
    const isZone = isTimeZone(time_zone);
    if (!isZone) {
      const message = `${JSON.stringify(time_zone)} is not a time zone`;
      problems.error("invalid_value", [...path, "time_zone"], message, { hint: "for example Europe/Berlin" });
    }
    const problem = delay_cron === undefined ? undefined : checkCron(delay_cron, isZone ? time_zone : "UTC");
    if (problem !== undefined) problems.error("invalid_cron", [...path, "delay_cron"], problem);
  },

  transform({ expression, value }, path, problems) {
    if (expression === undefined && value === undefined) {
      problems.missing(["expression", "value"], path);
    } else if (expression !== undefined && value !== undefined) {
      problems.error("conflict", [...path, "value"], "expression and value exclude each other", { atKey: true });
    }
  },

  switch({ cases = [] }, path, problems) {
    if (cases.length === 0) problems.missing(["cases"], path);
    const seen = new Set<string>();
    for (const [index, { name }] of cases.entries()) {
      if (name === undefined) continue;
      if (seen.has(name))
        problems.warning("duplicate", [...path, "cases", index, "name"], `two cases are called ${name}`);
      seen.add(name);
    }
  },

  parallel({ branches = {}, wait = "all" }, path, problems) {
    const count = Object.keys(branches).length;
    if (count === 0) problems.missing(["branches"], path);
    else if (typeof wait === "number" && wait > count) {
      problems.error("out_of_range", [...path, "wait"], `there are ${count} branches, so ${wait} cannot succeed`);
    }
  },

  loop(step, path, problems) {
    checkOne(step, ["while", "until"], path, problems);
    checkOne(step, ["steps", "workflow_id", "topic"], path, problems);
  },

  subworkflow({ workflow_id }, path, problems) {
    if (workflow_id === undefined) problems.missing(["workflow_id"], path);
  },

  body(step, path, problems) {
    if (step.topic === undefined) return;
    const message = "a step runs a job or its steps, not both";
    problems.error("conflict", [...path, "topic"], message, { atKey: true, hint: "put the job into the steps" });
  },
};

function checkOne(step: StepDocument, fields: (keyof StepDocument)[], path: Path, problems: ProblemList): void {
  const given = fields.filter((field) => step[field] !== undefined);
  if (given.length === 0) problems.missing(fields, path);
  for (const field of given.slice(1)) {
    problems.error("conflict", [...path, field], `${given[0]} and ${field} exclude each other`, { atKey: true });
  }
}

const instant = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Whether a text is a time in RFC 3339. Days that a month has not are none. */
function isInstant(text: string): boolean {
  if (!instant.test(text) || Number.isNaN(Date.parse(text.toUpperCase()))) return false;
  const day = text.slice(0, 10);
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch (reason) {
    if (reason instanceof RangeError) return false;
    throw reason;
  }
}
