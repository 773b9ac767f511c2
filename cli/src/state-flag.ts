import type { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { Flags } from "@oclif/core";
import { parseState } from "./lib/job-state.ts";

/** A flag that names a state of a job, in any case. */
export const stateFlag = Flags.custom<JobState>({ helpValue: "<state>", parse: async (name) => parseState(name) });
