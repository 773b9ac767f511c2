import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a probe is told. */
export interface ProbeAnswer {
  status: number;
  contentType: string;
  body: string;
}

/** Answers `/healthz` and `/readyz`; undefined for any other path. */
export type AnswerProbe = (path: string) => Promise<ProbeAnswer | undefined>;

export interface MetricsServer {
  /** The port that was bound; of use when port 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  /** An empty host means every interface; port 0 a free one. */
  address: { host: string; port: number };
  answerProbe: AnswerProbe;
  /** Answers with all metrics in the Prometheus text format. */
  serveMetrics: RequestListener;
}

/**
 * The plain HTTP server of `/metrics`, `/healthz` and `/readyz`. It holds nothing secret and asks for no key.
 * @throws the socket's error when the address cannot be bound
 */
export async function openMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { address, answerProbe, serveMetrics } = options;
  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.requestTimeout = 5000;
  server.listen(address);
  await once(server, "listening");

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split("?", 1)[0] ?? "/";
    if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "method not allowed\n");
    if (path === "/metrics") return void serveMetrics(request, response);
    const probe = await answerProbe(path);
    if (probe !== undefined) return answer(response, probe.status, probe.body, probe.contentType);
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

function answer(response: ServerResponse, status: number, body: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
}
