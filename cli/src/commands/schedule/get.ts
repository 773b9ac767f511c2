import type { JsonValue } from "@bufbuild/protobuf";
import { ScheduleSchema, ScheduleTimeSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { requireAnswer } from "../../lib/require-answer.ts";
import { scheduleLines, timeColumns } from "../../lib/schedule-view.ts";
import { createTable } from "../../lib/text.ts";
import { scheduleIdArg } from "../../schedule-args.ts";

export default class ScheduleGet extends ControlCommand {
  static override summary = "Show a schedule, and what became of its last times.";
  static override examples = ["<%= config.bin %> <%= command.id %> nightly"];
  static override args = { schedule: scheduleIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(ScheduleGet);
    const { schedules } = await this.connect();
    const request = { id: args.schedule };
    const [{ schedule }, { items }] = await Promise.all([
      schedules.getSchedule(request, this.callOptions),
      schedules.listScheduleTimes(request, this.callOptions),
    ]);
    const found = requireAnswer(schedule);
    this.print(scheduleLines(found));
    if (items.length > 0) this.print(["", ...createTable(timeColumns)(items)]);
    const times = items.map((time) => toRestJson(ScheduleTimeSchema, time));
    return { ...(toRestJson(ScheduleSchema, found) as { [key: string]: JsonValue }), times };
  }
}
