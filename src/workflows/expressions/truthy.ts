import type { Json } from "./model.ts";

/** False are null, false, the empty text and zero. Lists and objects are true, the empty ones too. */
export function isTruthy(value: Json): boolean {
  return value !== null && value !== false && value !== "" && value !== 0;
}
