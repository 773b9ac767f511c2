import type { JsonObject } from "@bufbuild/protobuf";
import { type GraphStep, readGraph } from "./workflow-graph.ts";

/** The steps of a definition as a flowchart for Mermaid: bodies are subgraphs, conditions stand on the arrows. */
export function toMermaid(document: JsonObject): string {
  const lines = ["flowchart TD"];
  const names = new NodeNames();
  draw(readGraph(document), "  ", names, lines);
  return `${lines.join("\n")}\n`;
}

/** Ids of steps may be words of Mermaid, so nodes have names of their own. */
class NodeNames {
  #count = 0;
  next(): string {
    this.#count += 1;
    return `n${this.#count}`;
  }
}

function draw(steps: readonly GraphStep[], indent: string, names: NodeNames, lines: string[]): void {
  const nodes = new Map(steps.map(({ id }) => [id, names.next()]));
  for (const step of steps) drawStep(step, nodes.get(step.id) as string, { indent, names, lines });
  for (const { after, id } of steps) {
    for (const { id: from, label } of after) {
      const text = label === "" ? "" : `|${quote(label)}|`;
      lines.push(`${indent}${nodes.get(from)} -->${text} ${nodes.get(id)}`);
    }
  }
}

interface Canvas {
  indent: string;
  names: NodeNames;
  lines: string[];
}

function drawStep(
  { bodies, condition, id, shape, what }: GraphStep,
  node: string,
  { indent, lines, names }: Canvas,
): void {
  const title = [id, what, condition && `if ${condition}`].filter(Boolean);
  if (bodies.length === 0) {
    const [open, close] = brackets[shape];
    lines.push(`${indent}${node}${open}${quote(...title)}${close}`);
    return;
  }
  lines.push(`${indent}subgraph ${node}[${quote(title.join(": "))}]`);
  for (const { name, steps } of bodies) {
    if (name === "") {
      draw(steps, `${indent}  `, names, lines);
      continue;
    }
    lines.push(`${indent}  subgraph ${names.next()}[${quote(name)}]`);
    draw(steps, `${indent}    `, names, lines);
    lines.push(`${indent}  end`);
  }
  lines.push(`${indent}end`);
}

const brackets = { job: ["[", "]"], choice: ["{", "}"], wait: ["([", "])"] } as const;

/** Lines of a label. What Mermaid or a browser would take for more than text is written as an entity. */
function quote(...lines: string[]): string {
  const escaped = lines.map((line) =>
    line.replace(/[\s\p{Cc}]+/gu, " ").replace(/["#&<>`|\\]/g, (char) => `#${char.charCodeAt(0)};`),
  );
  return `"${escaped.join("<br/>")}"`;
}
