import { Args, Flags } from "@oclif/core";
import { usageError } from "./lib/cli-error.ts";
import { type ConfigTarget, parseConfigTarget } from "./lib/config-target.ts";

/** The positional argument that names a document. */
export const configTargetArg = Args.custom<ConfigTarget>({
  description: "<scope>/<id>; the scopes are system, org, team, workflow and step.",
  ignoreStdin: true,
  parse: async (text) => parseConfigTarget(text),
});

/** A flag that names a revision. */
export const revisionFlag = Flags.custom<bigint>({
  helpValue: "<revision>",
  parse: async (text) => {
    if (!/^\d{1,18}$/.test(text)) throw usageError(`"${text}" is not a revision, such as 7`);
    return BigInt(text);
  },
});

export const expectRevisionFlag = revisionFlag({
  summary: "Refuse unless this is the newest revision; 0: unless there is none.",
});

export const changeMessageFlag = Flags.string({ char: "m", summary: "Why, for the record.", default: "" });

/** The field of a request that holds `--expect-revision`, when it was given. */
export function expectedRevision(revision: bigint | undefined): { expectedRevision?: bigint } {
  return revision === undefined ? {} : { expectedRevision: revision };
}
