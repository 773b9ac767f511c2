import type { Hook } from "@oclif/core/interfaces";
import { usageError } from "../lib/cli-error.ts";
import { nearest } from "../lib/nearest.ts";

/** Says whether it is the command that is unknown, or its argument that is too much, and what was perhaps meant. */
const commandNotFound: Hook.CommandNotFound = async ({ id, config }) => {
  const words = id.split(":");
  for (let end = words.length - 1; end > 0; end -= 1) {
    const command = words.slice(0, end).join(":");
    if (config.findCommand(command) === undefined) continue;
    const name = command.replaceAll(":", " ");
    throw usageError(`unexpected argument: ${words.slice(end).join(" ")}`, { hint: `cordumctl ${name} --help` });
  }
  const guess = nearest(
    words.join(" "),
    config.commandIDs.map((known) => known.replaceAll(":", " ")),
  );
  throw usageError(`unknown command: ${words.join(" ")}`, { hint: guess ? `cordumctl ${guess}` : "cordumctl --help" });
};

export default commandNotFound;
