import { cors } from "@connectrpc/connect";
import type { HttpRequest, HttpResponse } from "./http.ts";
import type { CorsOptions } from "./options.ts";

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const requestHeaders = [
  ...cors.allowedHeaders,
  "Authorization",
  "X-API-Key",
  "X-Principal-Id",
  "X-Principal-Role",
  "X-Request-Id",
  "Idempotency-Key",
  "X-Idempotency-Key",
  "X-Max-Artifact-Bytes",
  "If-Match",
  "Traceparent",
  "Tracestate",
].join(", ");

const responseHeaders = [...cors.exposedHeaders, "X-Request-Id", "Retry-After", "ETag", "Allow"].join(", ");

/** A preflight answer may be kept for two hours, the longest that browsers accept. */
const maxAgeSeconds = "7200";

const localHosts: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Decides whether pages of an origin may call. A request without an origin does not come from a page. */
export function createOriginCheck({ allowedOrigins = [] }: CorsOptions): (request: HttpRequest) => boolean {
  const all = allowedOrigins.includes("*");
  const listed = new Set(allowedOrigins);
  return (request) => {
    const { origin } = request.headers;
    if (origin === undefined || all) return true;
    if (listed.size > 0) return listed.has(origin);
    if (!URL.canParse(origin)) return false;
    const { hostname } = new URL(origin);
    return localHosts.has(hostname) || hostname === hostnameOf(authorityOf(request));
  };
}

/** Announces what pages may send and read. */
export function setCorsHeaders(request: HttpRequest, response: HttpResponse): void {
  const { origin } = request.headers;
  response.setHeader("vary", "Origin");
  if (origin === undefined) return;
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("access-control-expose-headers", responseHeaders);
  if (request.method !== "OPTIONS") return;
  response.setHeader("access-control-allow-methods", methods);
  response.setHeader("access-control-allow-headers", requestHeaders);
  response.setHeader("access-control-max-age", maxAgeSeconds);
}

/** The host that the client asked for; empty when it named none. */
export function authorityOf(request: HttpRequest): string {
  const http2 = request.headers[":authority"];
  return typeof http2 === "string" ? http2 : (request.headers.host ?? "");
}

function hostnameOf(authority: string): string | undefined {
  const url = `http://${authority}`;
  return authority !== "" && URL.canParse(url) ? new URL(url).hostname : undefined;
}
