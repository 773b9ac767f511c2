import type { JsonValue } from "@bufbuild/protobuf";
import { TriggerScheduleResponseSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { scheduleIdArg } from "../../schedule-args.ts";

export default class ScheduleTrigger extends ControlCommand {
  static override summary = "Start a run of a schedule now.";
  static override description =
    "Prints the run's id. Also when the schedule is paused, and whatever it says about runs that overlap.";
  static override examples = ["<%= config.bin %> <%= command.id %> nightly"];
  static override args = { schedule: scheduleIdArg };
  static override flags = {
    "idempotency-key": Flags.string({ summary: "The same key answers with the first run.", default: "" }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ScheduleTrigger);
    const { schedules } = await this.connect();
    const request = { id: args.schedule, idempotencyKey: flags["idempotency-key"] };
    const answer = await schedules.triggerSchedule(request, this.callOptions);
    this.print(answer.runId);
    return toRestJson(TriggerScheduleResponseSchema, answer);
  }
}
