/** The known word that differs least, when it differs by a third of its letters at most. Upper case counts as lower. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > maxLength) return undefined;
  const wanted = simplify(word);
  let best: { candidate: string; edits: number } | undefined;
  let tried = 0;
  for (const candidate of known) {
    if (++tried > maxCandidates) break;
    const edits = candidate.length > maxLength ? Number.POSITIVE_INFINITY : countEdits(wanted, simplify(candidate));
    if (edits <= candidate.length / 3 && (best === undefined || edits < best.edits)) best = { candidate, edits };
  }
  return best?.candidate;
}

/** Of more names only the first are compared: a hint is not worth seconds. */
const maxCandidates = 300;
/** Longer names are not compared: the work grows with the square of their length. */
const maxLength = 40;

function simplify(word: string): string {
  return word.toLowerCase().replace(/[_\s-]/g, "");
}

/** Insertions, deletions and replacements that turn one word into the other (Levenshtein distance). */
function countEdits(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 0; row < from.length; row++) {
    const current = [row + 1];
    for (let column = 0; column < to.length; column++) {
      const replaced = (previous[column] ?? 0) + (from[row] === to[column] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? 0;
}

/** `did you mean depends_on?`; undefined when nothing is near. */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const found = nearest(word, known);
  return found === undefined ? undefined : `did you mean ${found}?`;
}
