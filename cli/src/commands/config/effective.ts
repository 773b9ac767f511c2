import type { JsonValue } from "@bufbuild/protobuf";
import { GetEffectiveConfigResponseSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { effectiveText } from "../../lib/config-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { forOutput } from "../../lib/yaml.ts";

export default class ConfigEffective extends ControlCommand {
  static override summary = "Print what holds for a tenant, team, workflow and step: all scopes merged.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --org acme",
    "<%= config.bin %> <%= command.id %> --org acme --team payments --json",
  ];
  static override flags = {
    org: Flags.string({ summary: "Tenant. Default: that of the key.", default: "" }),
    team: Flags.string({ summary: "Team.", default: "" }),
    workflow: Flags.string({ summary: "Workflow.", default: "" }),
    step: Flags.string({ summary: "Step.", default: "" }),
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(ConfigEffective);
    const { config } = await this.connect();
    const request = { orgId: flags.org, teamId: flags.team, workflowId: flags.workflow, stepId: flags.step };
    const answer = await config.getEffectiveConfig(request, this.callOptions);
    this.print(forOutput(await effectiveText(answer)));
    return toRestJson(GetEffectiveConfigResponseSchema, answer);
  }
}
