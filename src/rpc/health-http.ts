import type { HealthRegistry } from "./health.ts";

export interface HealthAnswer {
  status: 200 | 503;
  contentType: string;
  body: string;
}

/**
 * Answers the probe paths: `/healthz` (this process lives), `/readyz` (it can work), `/health` (text `ok`, checks
 * nothing). For any HTTP server: also the metrics ports of services without an API.
 * @returns undefined for any other path
 */
export async function answerHealth(health: HealthRegistry, path: string): Promise<HealthAnswer | undefined> {
  if (path === "/health") return { status: 200, contentType: "text/plain; charset=utf-8", body: "ok" };
  if (path !== "/healthz" && path !== "/readyz") return undefined;
  const { ok, checks } = await health.report(path === "/healthz" ? "live" : "ready");
  const body = `${JSON.stringify({ status: ok ? "ok" : "unavailable", checks })}\n`;
  return { status: ok ? 200 : 503, contentType: "application/json; charset=utf-8", body };
}
