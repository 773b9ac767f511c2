import type { DescMessage, JsonValue } from "@bufbuild/protobuf";
import { invalidField } from "../../errors/index.ts";
import type { JsonObject } from "./json.ts";

/** Readers of protobuf refuse messages nested deeper than 100, and each level of free JSON is two of them. */
const maxLevels = 48;

/**
 * Refuses a body that could not be passed on as a message.
 * @throws DomainError `invalid_argument` that names the field
 */
export function requireShallow(schema: DescMessage, json: JsonObject): void {
  for (const { name, jsonName } of schema.fields) {
    for (const key of new Set([name, jsonName])) {
      if (Object.hasOwn(json, key) && !isShallow(json[key], maxLevels)) {
        throw invalidField(name, `is nested deeper than ${maxLevels} levels`);
      }
    }
  }
}

function isShallow(value: JsonValue | undefined, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((member) => isShallow(member, levels - 1));
}
