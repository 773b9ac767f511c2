import type { PolicyRequest } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "./control-command.ts";
import type { Clients } from "./lib/connect.ts";
import { type PolicyRequestFlags, toPolicyRequest } from "./lib/policy-request.ts";

const repeated = { multiple: true, multipleNonGreedy: true } as const;

/** Flags that describe a job as policy sees it. */
export const policyRequestFlags = {
  topic: Flags.string({ summary: "Kind of work, job.<name>." }),
  tenant: Flags.string({ summary: "Tenant. Default: that of the key." }),
  team: Flags.string({ summary: "Team." }),
  principal: Flags.string({ summary: "Who asks. Default: the principal of the key." }),
  "actor-id": Flags.string({ summary: "Who acts." }),
  "actor-type": Flags.option({ summary: "What kind of actor it is.", options: ["human", "service"] as const })(),
  priority: Flags.option({
    summary: "How urgent it is. Default: interactive.",
    options: ["interactive", "batch", "critical"] as const,
  })(),
  capability: Flags.string({ summary: "What the worker must be able to do." }),
  "pack-id": Flags.string({ summary: "Pack that the job belongs to." }),
  label: Flags.string({ summary: "A label, key=value. May be repeated.", ...repeated }),
  "risk-tag": Flags.string({ summary: "Risk tags, a comma list.", aliases: ["risk-tags"], ...repeated }),
  requires: Flags.string({ summary: "What the pool must offer, a comma list.", ...repeated }),
  at: Flags.string({
    summary: "When, for rules that ask for the time; RFC 3339. Default: now.",
    helpValue: "<moment>",
  }),
  job: Flags.string({ summary: "Start from what the record of this job says.", exclusive: ["file"] }),
  file: Flags.string({
    char: "f",
    summary: "Start from a request in YAML or JSON, as the REST API takes it; - for standard input.",
    helpValue: "<file>",
  }),
};

/** The flag that puts drafts in place of what is published. */
export const draftFlag = Flags.string({
  summary: "With the draft of this bundle in place of what is published. May be repeated.",
  helpValue: "<bundle>",
  ...repeated,
});

/** The positional argument that names a bundle. */
export const bundleArg = Args.string({
  description: "Id of the bundle, such as secops/payments.",
  required: true,
  ignoreStdin: true,
});

/** Base of the commands that ask policy about a job. */
export abstract class PolicyRequestCommand extends ControlCommand {
  protected async readRequest(
    clients: Clients,
    flags: PolicyRequestFlags & { draft?: string[] | undefined },
  ): Promise<PolicyRequest> {
    const request = await toPolicyRequest(clients, flags, process.stdin, this.callOptions);
    request.draftBundleIds.push(...(flags.draft ?? []));
    return request;
  }
}
