import { metrics } from "@opentelemetry/api";

/** A counter for hot paths. */
export interface Tally {
  /** @param labels - one value for each label, in the order in which they were named */
  add(...labels: string[]): void;
}

/** Series of one counter; what comes beyond is counted under `other`, so that nobody's input can grow it for ever. */
const maxSeries = 1_000;

/**
 * A counter that costs a map look-up to raise: it is read when somebody scrapes, not reported at each event.
 * Make it after `openTelemetry`.
 */
export function createTally(name: string, description: string, labelNames: readonly string[]): Tally {
  const series = new Map<string, { labels: Record<string, string>; count: number }>();
  const counter = metrics.getMeter("cordum").createObservableCounter(name, { description });
  counter.addCallback((result) => {
    for (const { labels, count } of series.values()) result.observe(count, labels);
  });

  function open(values: readonly string[]): { labels: Record<string, string>; count: number } {
    const known = series.size < maxSeries ? values : values.map(() => "other");
    const key = known.join("\n");
    const one = series.get(key) ?? {
      labels: Object.fromEntries(labelNames.map((label, at) => [label, known[at] ?? ""])),
      count: 0,
    };
    series.set(key, one);
    return one;
  }

  return {
    add(...values) {
      const one = series.get(values.length === 1 ? (values[0] ?? "") : values.join("\n")) ?? open(values);
      one.count++;
    },
  };
}
