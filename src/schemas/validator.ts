import { type Ajv, MissingRefError, type Options, type ValidateFunction } from "ajv";
import { DomainError, type FieldViolation, invalidField } from "../errors/index.ts";
import { countNodes } from "./check-shape.ts";
import { type Dialect, dialectOf } from "./dialects.ts";
import { useFormats } from "./formats.ts";
import { toPath } from "./json-path.ts";
import { createMeter, MeterError, meterKeywords } from "./meter.ts";
import { createPatternCompiler, PatternError } from "./patterns.ts";
import { useUniqueItems } from "./unique-items.ts";
import { type SchemaViolation, toViolations } from "./violations.ts";

/** A schema that is ready to be used. */
export interface CompiledSchema {
  /** Pure. What is wrong with a JSON value; empty when nothing is. */
  validate(value: unknown): SchemaViolation[];
}

/** Beyond this many parts only the first violation of a value is looked for. */
const maxDetailedNodes = 5_000;
const tooMuch: SchemaViolation = {
  path: "$",
  message: "takes too long to validate: the schema repeats itself too often",
};
const tooDeep: SchemaViolation = { path: "$", message: "is nested too deep" };

/**
 * Compiles a schema whose shape was checked. It refers to itself only: nothing is ever loaded.
 * @param field - what the request calls it
 * @throws DomainError invalid_argument that names the place
 */
export function createValidator(schema: object, field: string): CompiledSchema {
  const { dialect, assertsFormats } = dialectOf(schema, field);
  const { $schema: _named, ...bare } = schema as Record<string, unknown>;
  checkKeywords(dialect, bare, field);
  const compile = (allErrors: boolean) => compileWith(dialect, bare, { allErrors, validateFormats: assertsFormats });
  const isValid = locating(bare, field, () => compile(false));
  refuseEndless(isValid, field);
  let detailed: ValidateFunction | undefined;
  return {
    validate(value) {
      const nodes = countNodes(value);
      if (nodes === undefined) return [tooDeep];
      const first = run(isValid, value);
      if (first.length === 0 || first[0] === tooMuch || nodes > maxDetailedNodes) return first;
      detailed ??= compile(true);
      return run(detailed, value);
    },
  };
}

/** By dialect, one validator of schemas: what the standard says a schema is. */
const metaValidators = new Map<Dialect, Ajv>();

function checkKeywords(dialect: Dialect, schema: object, field: string): void {
  let meta = metaValidators.get(dialect);
  if (!meta) {
    meta = dialect.open({ strict: false, logger: false, allErrors: false, ownProperties: true });
    metaValidators.set(dialect, meta);
  }
  if (meta.validateSchema(schema)) return;
  const fields = toViolations(meta.errors).map(({ path, message }) => {
    return { field: field + path.slice(1), description: message };
  });
  throw unusable(fields);
}

function compileWith(dialect: Dialect, schema: object, options: Options): ValidateFunction {
  const meter = createMeter();
  // An instance keeps whatever it has compiled, so each schema has its own.
  const ajv = dialect.open({
    ...options,
    meta: false,
    validateSchema: false,
    strict: false,
    logger: false,
    ownProperties: true, // else every object would have the property "constructor"
    inlineRefs: false, // else a part that is referred to a hundred times is generated a hundred times
    ignoreKeywordsWithRef: dialect.ignoresBesideRef,
    code: { regExp: createPatternCompiler(meter), optimize: false },
  } as Options);
  ajv.removeKeyword("id"); // of draft-04; not a keyword since
  useFormats(ajv);
  useUniqueItems(ajv, meter);
  meterKeywords(ajv, meter);
  const validate = ajv.compile(schema);
  if ("$async" in validate) throw new Error('"$async" is not a keyword');
  const metered = (value: unknown) => {
    meter.start();
    return validate(value);
  };
  return Object.defineProperty(metered, "errors", { get: () => validate.errors }) as unknown as ValidateFunction;
}

function run(validate: ValidateFunction, value: unknown): SchemaViolation[] {
  try {
    return validate(value) ? [] : toViolations(validate.errors);
  } catch (error) {
    if (error instanceof MeterError || error instanceof RangeError) return [tooMuch];
    throw error;
  }
}

const samples: readonly unknown[] = [null, true, 0, "", [], {}];

/** A schema that applies itself to the same value again never comes to an end. */
function refuseEndless(validate: ValidateFunction, field: string): void {
  const isEndless = samples.some((sample) => run(validate, sample)[0] === tooMuch);
  if (isEndless) throw invalidField(field, "refers to itself without end");
}

/** Runs a compilation and turns its errors into those of the request. */
function locating<T>(schema: object, field: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (error instanceof PatternError) {
      const isIt = (key: string, value: unknown) => (key === "pattern" ? value : key) === error.pattern;
      throw unusable([{ field: placeOf(schema, field, isIt), description: error.message }], error);
    }
    if (error instanceof MissingRefError) {
      const isIt = (key: string, value: unknown) =>
        /^\$(ref|dynamicRef|recursiveRef)$/.test(key) && typeof value === "string" && error.message.includes(value);
      const description = `refers to ${JSON.stringify(error.missingRef)}, which is not in this schema; nothing else is looked up`;
      throw unusable([{ field: placeOf(schema, field, isIt), description }], error);
    }
    const why =
      error instanceof RangeError ? "it is too large" : error instanceof Error ? error.message : String(error);
    throw unusable([{ field, description: `does not compile: ${why.slice(0, 300)}` }], error);
  }
}

/** The first place at which a member is what is looked for; the field itself when there is none. */
function placeOf(schema: object, field: string, isIt: (key: string, value: unknown) => boolean): string {
  const find = (value: unknown, steps: (string | number)[]): string | undefined => {
    if (typeof value !== "object" || value === null) return undefined;
    for (const [key, item] of Object.entries(value)) {
      const inner = [...steps, Array.isArray(value) ? Number(key) : key];
      const found = isIt(key, item) ? toPath(inner, field) : find(item, inner);
      if (found) return found;
    }
    return undefined;
  };
  return find(schema, []) ?? field;
}

function unusable(fields: FieldViolation[], cause?: unknown): DomainError {
  const lines = fields.map(({ field, description }) => `${field}: ${description}`);
  return new DomainError("invalid_argument", lines.join("; "), { reason: "schema_invalid", fields, cause });
}
