/** How the text of one environment variable becomes a value. Pure. */
export interface Kind<T> {
  /** One word for the reference, for example `duration`. */
  readonly name: string;
  /** What is accepted, as it stands in an error message after "expected". */
  readonly accepts: string;
  /** The value, or undefined when the text is not accepted. `text` is trimmed and not empty. */
  parse(text: string): T | undefined;
  /** The value as a reader of the reference would type it. */
  print(value: T): string;
}

/** Where a server listens. An empty host means every interface. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

interface Range {
  min: number;
  max: number;
}

export const text: Kind<string> = {
  name: "string",
  accepts: "text",
  parse: (value) => value,
  print: (value) => value,
};

/** Text that people tend to paste with its quotes. */
export const unquotedText: Kind<string> = {
  ...text,
  parse: (value) => value.replace(/^(['"])(.*)\1$/, "$2").trim() || undefined,
};

export const flag: Kind<boolean> = {
  name: "bool",
  accepts: "true or false (also 1/0, yes/no, y/n, on/off)",
  parse(value) {
    if (/^(1|true|yes|y|on)$/i.test(value)) return true;
    if (/^(0|false|no|n|off)$/i.test(value)) return false;
    return undefined;
  },
  print: String,
};

/** Items between commas, spaces or newlines; empty ones are dropped. */
export const list: Kind<readonly string[]> = {
  name: "list",
  accepts: "items separated by commas, spaces or newlines",
  parse(value) {
    const items = value.split(/[\s,]+/).filter((item) => item !== "");
    return items.length > 0 ? items : undefined;
  },
  print: (value) => value.join(","),
};

export const address: Kind<Address> = {
  name: "address",
  accepts: "host:port or :port, for example :8081 or 127.0.0.1:8081",
  parse(value) {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s/]*):(\d{1,5})$/.exec(value);
    const port = Number(match?.[2]);
    if (match?.[1] === undefined || port > 65_535) return undefined;
    return { host: match[1].replace(/^\[|\]$/g, ""), port };
  },
  print: ({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`,
};

/** A URL with one of the schemes, or several separated by commas when `many`. */
export function url(schemes: readonly string[], { many = false } = {}): Kind<string> {
  const allowed = schemes.map((scheme) => `${scheme}://`).join(" or ");
  const isOne = (value: string) => URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1));
  return {
    name: many ? "URLs" : "URL",
    accepts: `${many ? "one or more URLs, separated by commas," : "a URL"} that begin${many ? "" : "s"} with ${allowed}`,
    parse: (value) => ((many ? value.split(",") : [value]).every((item) => isOne(item.trim())) ? value : undefined),
    print: (value) => value,
  };
}

export function oneOf<const T extends string>(values: readonly T[]): Kind<T> {
  return {
    name: "enum",
    accepts: `one of ${values.join(", ")}`,
    parse: (value) => values.find((candidate) => candidate === value.toLowerCase()),
    print: (value) => value,
  };
}

export function integer({ min, max }: Range): Kind<number> {
  return {
    name: "int",
    accepts: `a whole number from ${min} to ${max}`,
    parse: (value) => (/^[+-]?\d+$/.test(value) ? inRange(Number(value), { min, max }) : undefined),
    print: String,
  };
}

/** A length of time in milliseconds, written as in Go: `250ms`, `5s`, `1h30m`. */
export function duration({ min, max }: Range): Kind<number> {
  return {
    name: "duration",
    accepts: `a duration from ${printDuration(min)} to ${printDuration(max)}, for example 250ms, 5s or 1h30m`,
    parse: (value) => inRange(parseDuration(value), { min, max }),
    print: printDuration,
  };
}

/** The same in whole seconds, for the variables whose names end in `_SECONDS`. Gives milliseconds. */
export function seconds({ min, max }: Range): Kind<number> {
  const whole = integer({ min: Math.ceil(min / 1000), max: Math.floor(max / 1000) });
  return {
    name: "int (seconds)",
    accepts: `${whole.accepts} (seconds)`,
    parse(value) {
      const count = whole.parse(value);
      return count === undefined ? undefined : count * 1000;
    },
    print: (value) => String(value / 1000),
  };
}

const unitMs: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Milliseconds in a Go duration, rounded to a whole number.
 * @returns undefined when the text is not one; `0` needs no unit
 * @see https://pkg.go.dev/time#ParseDuration
 */
export function parseDuration(value: string): number | undefined {
  if (value === "0") return 0;
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(value)) return undefined;
  let total = 0;
  for (const [, count, unit] of value.matchAll(/([\d.]+)([a-zµ]+)/g))
    total += Number(count) * (unitMs[unit ?? ""] ?? 0);
  return Math.round(total);
}

/** The shortest Go duration: 90 000 is `1m30s`. */
export function printDuration(ms: number): string {
  const parts: [unit: string, count: number][] = [
    ["h", Math.floor(ms / 3_600_000)],
    ["m", Math.floor(ms / 60_000) % 60],
    ["s", Math.floor(ms / 1000) % 60],
    ["ms", ms % 1000],
  ];
  return (
    parts
      .filter(([, count]) => count > 0)
      .map(([unit, count]) => `${count}${unit}`)
      .join("") || "0"
  );
}

function inRange(value: number | undefined, { min, max }: Range): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}
