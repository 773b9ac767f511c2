import type { JsonValue } from "@bufbuild/protobuf";
import { ScheduleSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { requireAnswer } from "../../lib/require-answer.ts";
import { scheduleLines } from "../../lib/schedule-view.ts";
import { scheduleIdArg } from "../../schedule-args.ts";

export default class ScheduleResume extends ControlCommand {
  static override summary = "Go on with the next time of a schedule that is paused.";
  static override description = "Times of the pause are not made up for.";
  static override examples = ["<%= config.bin %> <%= command.id %> nightly"];
  static override args = { schedule: scheduleIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(ScheduleResume);
    const { schedules } = await this.connect();
    const { schedule } = await schedules.resumeSchedule({ id: args.schedule }, this.callOptions);
    const changed = requireAnswer(schedule);
    this.print(scheduleLines(changed));
    return toRestJson(ScheduleSchema, changed);
  }
}
