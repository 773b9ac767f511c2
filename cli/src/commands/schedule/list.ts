import type { JsonValue } from "@bufbuild/protobuf";
import { ScheduleSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { scheduleColumns } from "../../lib/schedule-view.ts";

export default class ScheduleList extends ControlCommand {
  static override summary = "List schedules with their next times, newest first.";
  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> --workflow report",
  ];
  static override flags = {
    workflow: Flags.string({ summary: "Those of this workflow.", default: "" }),
    org: Flags.string({ summary: "Those of this tenant. Default: that of the key.", default: "" }),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(ScheduleList);
    const { schedules } = await this.connect();
    const query = { orgId: flags.org, workflowId: flags.workflow };
    return this.printPages(flags, {
      read: (page) => schedules.listSchedules({ ...query, ...page }, this.callOptions),
      columns: scheduleColumns,
      toJson: (schedule) => toRestJson(ScheduleSchema, schedule),
    });
  }
}
