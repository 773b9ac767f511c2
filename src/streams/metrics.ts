import { metrics } from "@opentelemetry/api";

export interface StreamMetrics {
  opened(): void;
  closed(): void;
  /** An event was left out because its client reads too slowly. */
  dropped(): void;
  /** A message of the bus was not forwarded. */
  unreadable(reason: "malformed" | "signature"): void;
}

export function createStreamMetrics(): StreamMetrics {
  const meter = metrics.getMeter("cordum");
  const open = meter.createUpDownCounter("cordum_stream_subscribers", { description: "Open event streams." });
  const dropped = meter.createCounter("cordum_stream_dropped_total", {
    description: "Events left out because a client read too slowly.",
  });
  const unreadable = meter.createCounter("cordum_stream_unreadable_total", {
    description: "Bus messages that were not forwarded, by reason.",
  });
  return {
    opened: () => open.add(1),
    closed: () => open.add(-1),
    dropped: () => dropped.add(1),
    unreadable: (reason) => unreadable.add(1, { reason }),
  };
}
