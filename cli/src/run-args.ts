import { Args, Flags } from "@oclif/core";

/** The positional argument that names a run. */
export const runIdArg = Args.string({ description: "Id of the run.", required: true, ignoreStdin: true });

/** The positional argument that names a step of a run. */
export const stepIdArg = Args.string({ description: "Id of the step.", required: true, ignoreStdin: true });

/** Flags of commands that begin a run. */
export const followFlags = {
  wait: Flags.boolean({ summary: "Wait until the run has ended, at most --timeout.", exclusive: ["follow"] }),
  follow: Flags.boolean({ summary: "Follow the run until it has ended, at most --timeout." }),
};
