import { RE2JS } from "@bufbuild/re2";
import type { Meter } from "./meter.ts";

/** A pattern that cannot be used, with the reason. */
export class PatternError extends Error {
  readonly pattern: string;

  constructor(pattern: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.pattern = pattern;
  }
}

const maxPatternLength = 1_000;
/** Steps of all patterns of a schema together: repetitions are unrolled, `x{1000}` is a thousand. */
const maxPatternSteps = 10_000;
/** Characters that are matched for one unit of the meter. */
const charactersPerUnit = 8;

/**
 * Compiles patterns to RE2: matching takes time linear in the text, whatever the pattern. There are no back references
 * and no look-around in RE2.
 */
export function createPatternCompiler(meter: Meter) {
  let steps = 0;
  const compile = (source: string) => {
    const pattern = compilePattern(source);
    steps += pattern.re2().prog.numInst();
    if (steps > maxPatternSteps) throw new PatternError(source, "the patterns of the schema are too large together");
    return {
      test: (text: string) => {
        meter.spend(Math.ceil(text.length / charactersPerUnit));
        return pattern.test(text);
      },
      toString: () => source,
    };
  };
  return Object.assign(compile, { code: "re2" });
}

function compilePattern(source: string): RE2JS {
  if (source.length > maxPatternLength) {
    throw new PatternError(source, `is longer than ${maxPatternLength} characters`);
  }
  try {
    return RE2JS.compile(withCodePoints(source));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PatternError(source, `is no pattern in RE2 syntax: ${why}`, { cause });
  }
}

/** JSON Schema writes a character as `\u0041`, RE2 as `\x{0041}`. */
function withCodePoints(source: string): string {
  return source.replace(/\\(?:u([0-9a-fA-F]{4})|[\s\S])/g, (sequence, hex: string | undefined) => {
    return hex === undefined ? sequence : `\\x{${hex}}`;
  });
}
