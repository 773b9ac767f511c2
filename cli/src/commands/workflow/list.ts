import type { JsonValue } from "@bufbuild/protobuf";
import { WorkflowSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { workflowColumns } from "../../lib/workflow-view.ts";

export default class WorkflowList extends ControlCommand {
  static override summary = "List the workflows that are defined, newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %>"];
  static override flags = {
    tenant: Flags.string({ summary: "Those of this tenant. Default: that of the key.", default: "" }),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(WorkflowList);
    const { workflows } = await this.connect();
    return this.printPages(flags, {
      read: (page) => workflows.listWorkflows({ orgId: flags.tenant, ...page }, this.callOptions),
      columns: workflowColumns,
      toJson: (workflow) => toRestJson(WorkflowSchema, workflow),
    });
  }
}
