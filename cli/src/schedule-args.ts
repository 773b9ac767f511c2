import { Args } from "@oclif/core";

/** The positional argument that names a schedule. */
export const scheduleIdArg = Args.string({ description: "Id of the schedule.", required: true, ignoreStdin: true });
