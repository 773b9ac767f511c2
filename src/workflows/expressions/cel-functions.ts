import { collections } from "./cel-collections.ts";
import { conversions } from "./cel-conversions.ts";
import type { CelFunction, FunctionTable } from "./cel-function.ts";
import { texts } from "./cel-texts.ts";
import { times } from "./cel-times.ts";

const table: FunctionTable = { ...conversions, ...collections, ...texts, ...times };

export function findFunction(name: string): CelFunction | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
