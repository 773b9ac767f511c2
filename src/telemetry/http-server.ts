import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Health, HealthReport } from "./health.ts";

export interface MetricsServer {
  /** The port that was bound; of use when port 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  /** An empty host means every interface; port 0 a free one. */
  address: { host: string; port: number };
  health: Health;
  /** Answers with all metrics in the Prometheus text format. */
  serveMetrics: RequestListener;
}

/**
 * The plain HTTP server of `/metrics`, `/healthz` and `/readyz`. It holds nothing secret and asks for no key.
 * @throws the socket's error when the address cannot be bound
 */
export async function openMetricsServer({
  address,
  health,
  serveMetrics,
}: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => void route(request, response));
  server.requestTimeout = 5000;
  server.listen(address);
  await once(server, "listening");

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split("?", 1)[0];
    if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "method not allowed\n");
    if (path === "/metrics") return serveMetrics(request, response);
    if (path === "/healthz") return answerReport(response, await health.live());
    if (path === "/readyz") return answerReport(response, await health.ready());
    answer(response, 404, "not found; here are /metrics, /healthz and /readyz\n");
  }

  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function answerReport(response: ServerResponse, { ok, checks }: HealthReport): void {
  const body = JSON.stringify({ status: ok ? "ok" : "unavailable", checks });
  answer(response, ok ? 200 : 503, body, "application/json");
}

function answer(response: ServerResponse, status: number, body: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
}
