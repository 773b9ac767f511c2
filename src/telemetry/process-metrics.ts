import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Meter } from "@opentelemetry/api";

/**
 * Observes the process itself, under the names that Prometheus dashboards know.
 * @returns stops the observing
 */
export function observeProcess(meter: Meter): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const startedAtSeconds = Date.now() / 1000 - process.uptime();
  gauge("process_resident_memory_bytes", "Resident memory size.", () => process.memoryUsage.rss());
  gauge("process_start_time_seconds", "Start time since the epoch.", () => startedAtSeconds);
  gauge("nodejs_heap_size_used_bytes", "Heap in use.", () => process.memoryUsage().heapUsed);
  gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the event loop's delay since the last scrape.", () => {
    const seconds = delay.percentile(99) / 1e9;
    delay.reset();
    return seconds;
  });
  meter
    .createObservableCounter("process_cpu_seconds_total", { description: "User and system CPU time." })
    .addCallback((result) => {
      const { user, system } = process.cpuUsage();
      result.observe((user + system) / 1e6);
    });
  return () => void delay.disable();

  function gauge(name: string, description: string, read: () => number): void {
    meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read()));
  }
}
