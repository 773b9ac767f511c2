import type { JsonObject } from "@bufbuild/protobuf";
import { oneLine } from "./text.ts";
import { type GraphStep, layersOf, readGraph } from "./workflow-graph.ts";

/** Widest line. */
const width = 100;
const widestId = 32;
const narrowestText = 20;

export interface TreeOptions {
  /** Default: no colour. */
  paint?: (style: "bold" | "dim", text: string) => string;
}

/**
 * The steps of a definition as lines for a terminal, at most 100 columns wide. The number before a step says how many
 * have to come one after the other: those with the same number can run at once. `after` names what it waits for.
 */
export function toTerminal(document: JsonObject, { paint = (_style, text) => text }: TreeOptions = {}): string[] {
  return stepLines(readGraph(document), "", paint);
}

type Paint = NonNullable<TreeOptions["paint"]>;

function stepLines(steps: readonly GraphStep[], indent: string, paint: Paint): string[] {
  const layers = layersOf(steps);
  const digits = String(Math.max(0, ...layers.values())).length;
  const idWidth = Math.min(widestId, Math.max(0, ...steps.map(({ id }) => oneLine(id).length)));
  return steps.flatMap((step) => {
    const { after, bodies, condition, id, what } = step;
    const inner = `${indent}${" ".repeat(digits)}  `;
    const name = cut(oneLine(id), Math.min(idWidth, width - inner.length));
    const room = width - inner.length - idWidth - 2;
    const number = String(layers.get(id)).padStart(digits);
    const rest = room >= narrowestText ? `${" ".repeat(idWidth - name.length + 2)}${cut(oneLine(what), room)}` : "";
    const first = `${indent}${paint("dim", number)}  ${paint("bold", name)}${rest}`.trimEnd();
    const notes = [
      ...(condition === "" ? [] : [`if ${oneLine(condition)}`]),
      ...(after.length === 0 ? [] : wordsAfter(after)),
    ];
    const lines = wrap(notes, width - inner.length - 2).map((line) => `${inner}  ${paint("dim", line)}`);
    const nested = bodies.flatMap((body) => [
      ...(body.name === "" ? [] : [`${inner}│ ${cut(oneLine(`branch ${body.name}`), width - inner.length - 2)}`]),
      ...stepLines(body.steps, `${inner}│ `, paint),
    ]);
    return [first, ...lines, ...nested];
  });
}

/** `after a,`, `b [if input.x]`: each is kept on one line. */
function wordsAfter(after: GraphStep["after"]): string[] {
  return after.map(({ id, label }, index) => {
    const text = oneLine(label === "" ? id : `${id} [${label}]`);
    return `${index === 0 ? "after " : ""}${text}${index < after.length - 1 ? "," : ""}`;
  });
}

function wrap(words: readonly string[], room: number): string[] {
  const lines: string[] = [];
  for (const word of words.map((each) => cut(each, room))) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= room) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}…`;
}
