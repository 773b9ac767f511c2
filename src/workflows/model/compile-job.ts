import { DomainError } from "../../errors/index.ts";
import { type Expression, type Json, parseExpression, parseTemplate, type Template } from "../expressions/index.ts";
import type { CompiledJob, RetryRules, SchemaRef } from "./compiled.ts";
import type { ExpressionDialect, JobDocument, JsonObject, RetryDocument, StepMetaDocument } from "./document.ts";
import { formatPath, type Path } from "./problem.ts";

/** The definition cannot be run; a definition that was checked when it was saved can. */
export function invalidWorkflow(path: Path, message: string): DomainError {
  const text = path.length === 0 ? message : `${formatPath(path)}: ${message}`;
  return new DomainError("failed_precondition", `the workflow cannot be run: ${text}`, { reason: "workflow_invalid" });
}

/** @throws DomainError when it cannot be parsed */
export function toExpression(source: string, dialect: ExpressionDialect, path: Path): Expression {
  const result = parseExpression(source, dialect);
  if (result.kind === "ok") return result.expression;
  throw invalidWorkflow(path, result.problems[0]?.message ?? "not an expression");
}

/** @throws DomainError when it cannot be parsed */
export function toTemplate(value: Json, dialect: ExpressionDialect, path: Path): Template {
  const result = parseTemplate(value, dialect);
  if (result.kind === "ok") return result.template;
  throw invalidWorkflow(path, result.problems[0]?.message ?? "not a template");
}

export interface JobContext {
  dialect: ExpressionDialect;
  /** Where jobs go that name no topic. */
  defaultTopic: string;
}

export function compileJob(job: JobDocument, path: Path, { defaultTopic, dialect }: JobContext): CompiledJob {
  const { input, input_schema, input_schema_id, meta, retry, route_labels, timeout_sec, topic, worker_id } = job;
  return {
    topic: topic || defaultTopic,
    workerId: worker_id ?? "",
    input: isEmpty(input) ? undefined : toTemplate(input as JsonObject, dialect, [...path, "input"]),
    inputSchema: schemaRef(input_schema, input_schema_id),
    meta: meta && trimMeta(meta),
    routeLabels: route_labels ?? {},
    retry: retryRules(retry),
    saysRetry: retry !== undefined,
    timeoutMs: toMs(timeout_sec),
  };
}

/** The content wins over the id; an empty schema counts as none. */
export function schemaRef(schema: JsonObject | undefined, id: string | undefined): SchemaRef | undefined {
  if (!isEmpty(schema)) return { kind: "inline", schema: schema as JsonObject };
  return id ? { kind: "registry", id } : undefined;
}

/** Whole milliseconds; 0 for none. */
export function toMs(seconds: number | undefined): number {
  return Math.max(0, Math.round((seconds ?? 0) * 1_000));
}

function isEmpty(object: JsonObject | undefined): boolean {
  return object === undefined || Object.keys(object).length === 0;
}

function retryRules(retry: RetryDocument = {}): RetryRules {
  const { initial_backoff_sec: initial = 0, jitter = 0, max_backoff_sec: most = 0, max_retries = 0, on } = retry;
  return {
    maxRetries: max_retries,
    initialMs: initial > 0 ? toMs(initial) : 1_000,
    maxMs: most > 0 ? toMs(most) : Number.POSITIVE_INFINITY,
    multiplier: retry.multiplier || 2,
    jitter,
    on: new Set(on ?? ["failed", "timed_out"]),
  };
}

function trimMeta(meta: StepMetaDocument): StepMetaDocument {
  const { actor_id, capability, idempotency_key, pack_id, requires, risk_tags, ...rest } = meta;
  return {
    ...rest,
    ...trimTexts({ actor_id, capability, idempotency_key, pack_id }),
    ...(requires && { requires: trimList(requires) }),
    ...(risk_tags && { risk_tags: trimList(risk_tags) }),
  };
}

function trimTexts<Key extends string>(texts: { [key in Key]: string | undefined }): { [key in Key]?: string } {
  const present = Object.entries<string | undefined>(texts).flatMap(([key, text]) => {
    const trimmed = text?.trim();
    return trimmed ? [[key, trimmed]] : [];
  });
  return Object.fromEntries(present) as { [key in Key]?: string };
}

function trimList(items: readonly string[]): string[] {
  return items.map((item) => item.trim()).filter((item) => item !== "");
}
