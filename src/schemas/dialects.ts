import { Ajv, type Options } from "ajv";
import { Ajv2019 } from "ajv/dist/2019.js";
import { Ajv2020 } from "ajv/dist/2020.js";
import { invalidField } from "../errors/index.ts";

/** A version of JSON Schema. */
export interface Dialect {
  open(options: Options): Ajv;
  /** Up to draft-07 nothing that stands beside a `$ref` counts. */
  readonly ignoresBesideRef: boolean;
}

const drafts: Readonly<Record<string, Dialect>> = {
  "json-schema.org/draft/2020-12/schema": { open: (options) => new Ajv2020(options), ignoresBesideRef: false },
  "json-schema.org/draft/2019-09/schema": { open: (options) => new Ajv2019(options), ignoresBesideRef: false },
  "json-schema.org/draft-07/schema": { open: (options) => new Ajv(options), ignoresBesideRef: true },
  // Draft-07 is draft-06 with three more keywords.
  "json-schema.org/draft-06/schema": { open: (options) => new Ajv(options), ignoresBesideRef: true },
};
const standard = drafts["json-schema.org/draft/2020-12/schema"] as Dialect;

/**
 * What a schema is written in, by its `$schema`. Formats are asserted unless it says 2019-09 or 2020-12 itself: there a
 * format is a remark.
 * @throws DomainError invalid_argument for a version that is not known
 */
export function dialectOf(schema: object, field: string): { dialect: Dialect; assertsFormats: boolean } {
  if (!Object.hasOwn(schema, "$schema")) return { dialect: standard, assertsFormats: true };
  const named = Reflect.get(schema, "$schema");
  const match = typeof named === "string" ? /^https?:\/\/([^#]+)#?$/.exec(named.trim()) : null;
  const name = match?.[1] ?? "";
  const dialect = Object.hasOwn(drafts, name) ? drafts[name] : undefined;
  if (!dialect) throw invalidField(`${field}.$schema`, "must be 2020-12, 2019-09, draft-07 or draft-06");
  return { dialect, assertsFormats: dialect.ignoresBesideRef };
}
