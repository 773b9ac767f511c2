import { fromJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { isShallow } from "../../jobs/index.ts";
import type { Json } from "../expressions/index.ts";

/** A field of a message with a JSON value: none when there is no value, or when it is nested too deeply for a message. */
export function toValue<K extends string>(name: K, json: Json | undefined): { [key in K]?: Value } {
  if (json === undefined || !isShallow(json)) return {};
  return { [name]: fromJson(ValueSchema, json) } as { [key in K]?: Value };
}
