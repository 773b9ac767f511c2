import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { confirm } from "../../lib/confirm.ts";
import { scheduleIdArg } from "../../schedule-args.ts";

export default class ScheduleDelete extends ControlCommand {
  static override summary = "Remove a schedule. Runs that it has started go on.";
  static override description = "Asks before; --yes answers.";
  static override examples = ["<%= config.bin %> <%= command.id %> nightly --yes"];
  static override args = { schedule: scheduleIdArg };
  static override flags = { yes: Flags.boolean({ char: "y", summary: "Do not ask." }) };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ScheduleDelete);
    if (!flags.yes) await confirm(`Delete the schedule ${args.schedule}?`, "nothing was deleted");
    const { schedules } = await this.connect();
    await schedules.deleteSchedule({ id: args.schedule }, this.callOptions);
    return {};
  }
}
