import {
  create,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { isFieldError } from "@bufbuild/protobuf/reflect";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { JobContext } from "./job-context.ts";
import { JobFailure } from "./job-errors.ts";

/** What describes an input or output: any Standard Schema (zod, valibot, arktype, ...), or a generated message. */
export type Schema = StandardSchemaV1 | DescMessage;

/** What a handler is given under schema `S`; without one, the JSON as it came. */
type Received<S> = S extends DescMessage
  ? MessageShape<S>
  : S extends StandardSchemaV1
    ? StandardSchemaV1.InferOutput<S>
    : unknown;

/** What a handler may return under schema `S`; without one, anything that JSON can say. */
type Returned<S> = S extends DescMessage
  ? MessageInitShape<S>
  : S extends StandardSchemaV1
    ? StandardSchemaV1.InferInput<S>
    : unknown;

type Awaitable<T> = T | Promise<T>;

/** A handler without schemas. */
export type RunFunction = (context: JobContext) => unknown;

export interface HandlerSpec<In extends Schema | undefined, Out extends Schema | undefined> {
  /** Input that does not match ends the job as FAILED, code `invalid_input`, and `run` is not called. */
  input?: In;
  /** Output that does not match ends the job as FAILED, code `invalid_output`. */
  output?: Out;
  run(context: JobContext<Received<In>>): Awaitable<Returned<Out>>;
}

/** Executes the jobs of one topic. Made by `defineHandler`. */
export interface Handler {
  /** Turns the JSON input into what `run` takes. Throws JobFailure `invalid_input`. */
  parseInput(json: unknown): unknown;
  run(context: JobContext<never>): unknown;
  /** Turns what `run` returned into JSON text. Throws JobFailure `invalid_output`. */
  encodeOutput(output: unknown): Awaitable<string>;
}

/** A handler whose input and output are typed and checked by schemas. */
export function defineHandler<In extends Schema | undefined = undefined, Out extends Schema | undefined = undefined>(
  spec: HandlerSpec<In, Out>,
): Handler {
  const { input, output } = spec;
  return {
    parseInput: (json) => (input === undefined ? json : receive(input, json)),
    run: (context) => spec.run(context),
    encodeOutput: (value) => (output === undefined ? stringify(value) : send(output, value)),
  };
}

/** Accepts what `createWorker` and `handle` accept: a handler, or a bare function. */
export function toHandler(handler: Handler | RunFunction): Handler {
  return typeof handler === "function" ? defineHandler({ run: handler }) : handler;
}

function receive(schema: Schema, json: unknown): unknown {
  if (!("~standard" in schema)) return parseMessage(schema, json);
  return validate(schema, json, "invalid_input");
}

function send(schema: Schema, value: unknown): Awaitable<string> {
  if (!("~standard" in schema)) return encodeMessage(schema, value);
  const valid = validate(schema, value, "invalid_output");
  return valid instanceof Promise ? valid.then(stringify) : stringify(valid);
}

function parseMessage(schema: DescMessage, json: unknown): unknown {
  try {
    return fromJson(schema, json as JsonValue, { ignoreUnknownFields: true });
  } catch (cause) {
    throw new JobFailure("invalid_input", describeMessageError(cause), { cause });
  }
}

function encodeMessage(schema: DescMessage, value: unknown): string {
  try {
    return JSON.stringify(toJson(schema, create(schema, value as MessageInitShape<DescMessage>)));
  } catch (cause) {
    throw new JobFailure("invalid_output", describeMessageError(cause), { cause });
  }
}

function describeMessageError(cause: unknown): string {
  if (isFieldError(cause)) return `${cause.field().name}: ${cause.message}`;
  return cause instanceof Error ? cause.message : String(cause);
}

/** Stays synchronous when the schema is, so that the common case costs no extra turn of the event loop. */
function validate(schema: StandardSchemaV1, value: unknown, code: string): unknown {
  const result = schema["~standard"].validate(value);
  return result instanceof Promise ? result.then((r) => acceptedValue(r, code)) : acceptedValue(result, code);
}

function acceptedValue(result: StandardSchemaV1.Result<unknown>, code: string): unknown {
  if (result.issues === undefined) return result.value;
  throw new JobFailure(code, result.issues.map(formatIssue).join("; "));
}

/** For example `items[2].name: expected string`. */
function formatIssue({ path = [], message }: StandardSchemaV1.Issue): string {
  const field = path
    .map((segment) => (typeof segment === "object" ? segment.key : segment))
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
  return field === "" ? message : `${field}: ${message}`;
}

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new JobFailure("invalid_output", `the output is not JSON: ${reason}`, { cause });
  }
}
