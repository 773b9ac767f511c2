import type { JsonValue } from "@bufbuild/protobuf";
import { type ReadPointerResponse, ReadPointerResponseSchema } from "@cordum/proto/cordum/v1/memory_pb.js";
import { Args } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { toRestJson } from "../../lib/json.ts";

export default class MemoryRead extends ControlCommand {
  static override summary = "Print the payload behind a pointer, byte for byte.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> redis://res:7c9e6679",
    "<%= config.bin %> <%= command.id %> ctx:7c9e6679 > input.json",
  ];
  static override args = {
    pointer: Args.string({
      description: "Pointer, such as redis://res:<job id>, or its key.",
      required: true,
      ignoreStdin: true,
    }),
  };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(MemoryRead);
    const { memory } = await this.connect();
    const request = args.pointer.includes("://") ? { ptr: args.pointer } : { key: args.pointer };
    const answer = await memory.readPointer(request, this.callOptions);
    if (!this.jsonEnabled()) this.#writePayload(answer);
    return toRestJson(ReadPointerResponseSchema, answer);
  }

  #writePayload({ base64, text, pointer }: ReadPointerResponse): void {
    const { isTTY } = process.stdout;
    if (isTTY && text === undefined) throw usageError(`${pointer} is not text: send the output to a file`);
    process.stdout.write(Buffer.from(base64, "base64"));
    if (isTTY && !text?.endsWith("\n")) process.stdout.write("\n");
  }
}
