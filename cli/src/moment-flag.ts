import { Flags } from "@oclif/core";
import { parseMomentMicros } from "./lib/duration.ts";

/** A flag that names a moment: a date, or how long ago. Microseconds since the epoch once parsed. */
export const momentFlag = Flags.custom<bigint>({
  helpValue: "<moment>",
  parse: async (text) => parseMomentMicros(text, Date.now()),
});
