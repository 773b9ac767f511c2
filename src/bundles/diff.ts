const contextLines = 3;
/** Texts that differ in more lines than this are shown as replaced as a whole: the search is quadratic. */
const maxEdits = 400;

type Edit = { readonly kind: " " | "-" | "+"; readonly text: string };

/** The unified diff of two texts, with three lines of context; empty when they are equal. */
export function unifiedDiff(before: string, after: string, beforeName: string, afterName: string): string {
  if (before === after) return "";
  const edits = editsOf(linesOf(before), linesOf(after));
  const hunks = hunksOf(edits).map(({ start, end }) => printHunk(edits, start, end));
  return [`--- ${beforeName}`, `+++ ${afterName}`, ...hunks].join("\n").concat("\n");
}

function linesOf(text: string): string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  else lines.push(`${lines.pop()}\n\\ No newline at end of file`);
  return lines;
}

/** The shortest list of edits, by Myers' greedy algorithm. */
function editsOf(before: readonly string[], after: readonly string[]): Edit[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const same = (lines: readonly string[]): Edit[] => lines.map((text) => ({ kind: " ", text }));
  return [
    ...same(before.slice(0, head)),
    ...middleEdits(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...same(before.slice(before.length - tail)),
  ];
}

function middleEdits(before: readonly string[], after: readonly string[]): Edit[] {
  const trace: Map<number, number>[] = [];
  let furthest = new Map<number, number>([[1, 0]]);
  for (let edits = 0; edits <= Math.min(before.length + after.length, maxEdits); edits++) {
    trace.push(furthest);
    const next = new Map(furthest);
    for (let k = -edits; k <= edits; k += 2) {
      const isDown = k === -edits || (k !== edits && at(furthest, k - 1) < at(furthest, k + 1));
      let x = isDown ? at(furthest, k + 1) : at(furthest, k - 1) + 1;
      while (x < before.length && x - k < after.length && before[x] === after[x - k]) x++;
      next.set(k, x);
      if (x >= before.length && x - k >= after.length) return backtrack(trace, before, after);
    }
    furthest = next;
  }
  return [...before.map((text): Edit => ({ kind: "-", text })), ...after.map((text): Edit => ({ kind: "+", text }))];
}

function backtrack(trace: readonly Map<number, number>[], before: readonly string[], after: readonly string[]): Edit[] {
  const edits: Edit[] = [];
  let x = before.length;
  let y = after.length;
  for (let step = trace.length - 1; step >= 0; step--) {
    const furthest = trace[step] ?? new Map<number, number>();
    const k = x - y;
    const isDown = k === -step || (k !== step && at(furthest, k - 1) < at(furthest, k + 1));
    const fromX = step === 0 ? 0 : at(furthest, isDown ? k + 1 : k - 1);
    const fromY = step === 0 ? 0 : fromX - (isDown ? k + 1 : k - 1);
    while (x > fromX && y > fromY) {
      edits.push({ kind: " ", text: before[--x] ?? "" });
      y--;
    }
    if (step === 0) break;
    if (isDown) edits.push({ kind: "+", text: after[--y] ?? "" });
    else edits.push({ kind: "-", text: before[--x] ?? "" });
  }
  return edits.reverse();
}

function at(furthest: ReadonlyMap<number, number>, k: number): number {
  return furthest.get(k) ?? -1;
}

/** Ranges of edits that are shown together. */
function hunksOf(edits: readonly Edit[]): { start: number; end: number }[] {
  const hunks: { start: number; end: number }[] = [];
  for (const [index, { kind }] of edits.entries()) {
    if (kind === " ") continue;
    const last = hunks.at(-1);
    const end = Math.min(index + 1 + contextLines, edits.length);
    if (last !== undefined && index - contextLines <= last.end) last.end = end;
    else hunks.push({ start: Math.max(0, index - contextLines), end });
  }
  return hunks;
}

function printHunk(edits: readonly Edit[], start: number, end: number): string {
  const count = (part: readonly Edit[], without: "-" | "+") => part.filter(({ kind }) => kind !== without).length;
  const head = edits.slice(0, start);
  const hunk = edits.slice(start, end);
  const range = (without: "-" | "+") => {
    const size = count(hunk, without);
    return `${count(head, without) + (size > 0 ? 1 : 0)},${size}`;
  };
  const lines = hunk.map(({ kind, text }) => kind + text);
  return [`@@ -${range("+")} +${range("-")} @@`, ...lines].join("\n");
}
