import { Args, Flags } from "@oclif/core";

/** The positional argument that names a definition. */
export const workflowIdArg = Args.string({ description: "Id of the workflow.", required: true, ignoreStdin: true });

/** The positional argument that names a file with a definition. */
export const workflowFileArg = Args.string({
  description: "The definition in YAML or JSON; - for standard input.",
  required: true,
  ignoreStdin: true,
});

export const noteFlag = Flags.string({ char: "m", summary: "Why, for the record.", default: "" });
