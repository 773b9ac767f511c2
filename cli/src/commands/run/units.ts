import type { JsonValue } from "@bufbuild/protobuf";
import { StepRunSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { unitColumns } from "../../lib/run-view.ts";
import { runIdArg, stepIdArg } from "../../run-args.ts";

export default class RunUnits extends ControlCommand {
  static override summary = "List the units of a step that is done for each element of a list, repeated, or parallel.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 notify --all"];
  static override args = { run_id: runIdArg, step_id: stepIdArg };
  static override flags = listFlags;

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(RunUnits);
    const { runs } = await this.connect();
    return this.printPages(flags, {
      read: (page) => runs.listRunSteps({ id: args.run_id, stepId: args.step_id, ...page }, this.callOptions),
      columns: unitColumns,
      toJson: (unit) => toRestJson(StepRunSchema, unit),
    });
  }
}
