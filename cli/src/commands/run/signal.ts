import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { SignalRunResponseSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { readJsonInput } from "../../lib/read-input.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunSignal extends ControlCommand {
  static override summary = "Give a signal to a run.";
  static override description =
    "Prints whether a step was waiting for it; one that comes before is kept for the step that will. The payload is the step's output.";
  static override examples = [`<%= config.bin %> <%= command.id %> 7c9e6679 paid --payload '{"amount":12}'`];
  static override args = {
    run_id: runIdArg,
    name: Args.string({ description: "Name of the signal.", required: true, ignoreStdin: true }),
  };
  static override flags = {
    payload: Flags.string({ summary: "JSON, @file, the path of a file, or - for standard input. Default: null." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(RunSignal);
    const payload = flags.payload === undefined ? null : await readJsonInput("payload", flags.payload, process.stdin);
    const { runs } = await this.connect();
    const request = { id: args.run_id, name: args.name, payload: fromJson(ValueSchema, payload) };
    const answer = await runs.signalRun(request, this.callOptions);
    this.print(`${args.run_id} ${args.name} ${answer.delivered ? "delivered" : "kept until a step waits for it"}`);
    return toRestJson(SignalRunResponseSchema, answer);
  }
}
