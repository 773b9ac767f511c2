import type { JsonValue } from "@bufbuild/protobuf";
import { ScheduleSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { requireAnswer } from "../../lib/require-answer.ts";
import { scheduleLines } from "../../lib/schedule-view.ts";
import { scheduleIdArg } from "../../schedule-args.ts";

export default class SchedulePause extends ControlCommand {
  static override summary = "Start nothing more until the schedule is resumed.";
  static override description = "Runs go on. Times that wait for a run to end are given up.";
  static override examples = ["<%= config.bin %> <%= command.id %> nightly"];
  static override args = { schedule: scheduleIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(SchedulePause);
    const { schedules } = await this.connect();
    const { schedule } = await schedules.pauseSchedule({ id: args.schedule }, this.callOptions);
    const changed = requireAnswer(schedule);
    this.print(scheduleLines(changed));
    return toRestJson(ScheduleSchema, changed);
  }
}
