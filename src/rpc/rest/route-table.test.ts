import { describe, expect, it } from "vitest";
import { createRouteTable } from "./route-table.ts";

function tableOf(...routes: [string, string][]) {
  const table = createRouteTable<string>();
  for (const [verb, template] of routes) table.add(verb, template, `${verb} ${template}`);
  return table;
}

describe("createRouteTable()", () => {
  const table = tableOf(
    ["GET", "/v1/jobs"],
    ["POST", "/v1/jobs"],
    ["POST", "/v1/jobs:batch"],
    ["GET", "/v1/jobs/{job_id}"],
    ["POST", "/v1/jobs/{job_id}:stop"],
    ["GET", "/v1/jobs/page"],
    ["POST", "/v1/jobs/{job_id}/cancel"],
    ["GET", "/v1/files/{name=**}"],
    ["GET", "/v1/{name=shelves/*/books/*}"],
  );
  const found = (verb: string, path: string) => {
    const match = table.match(verb, path);
    return match.kind === "found"
      ? [match.route, ...match.rawVariables.map(({ segments }) => segments.join("|"))]
      : match.kind;
  };

  it.each([
    ["GET", "/v1/jobs", ["GET /v1/jobs"]],
    ["HEAD", "/v1/jobs", ["GET /v1/jobs"]],
    ["POST", "/v1/jobs:batch", ["POST /v1/jobs:batch"]],
    ["GET", "/v1/jobs/page", ["GET /v1/jobs/page"]],
    ["GET", "/v1/jobs/a:b@[1]%2Fc", ["GET /v1/jobs/{job_id}", "a:b@[1]%2Fc"]],
    ["POST", "/v1/jobs/a:b:stop", ["POST /v1/jobs/{job_id}:stop", "a:b"]],
    ["GET", "/v1/jobs/x:stop", ["GET /v1/jobs/{job_id}", "x:stop"]],
    ["POST", "/v1/jobs/page/cancel", ["POST /v1/jobs/{job_id}/cancel", "page"]],
    ["GET", "/v1/files/a/b/c.txt", ["GET /v1/files/{name=**}", "a|b|c.txt"]],
    ["GET", "/v1/shelves/1/books/2", ["GET /v1/{name=shelves/*/books/*}", "shelves|1|books|2"]],
    ["GET", "/v1/jobs/", "not-found"],
    ["GET", "/v1/jobs/a/b", "not-found"],
    ["GET", "/v1//jobs", "not-found"],
    ["GET", "/v1/files", "not-found"],
  ])("%s %s", (verb, path, expected) => {
    expect(found(verb, path)).toEqual(expected);
  });

  it("says which methods a known path has", () => {
    expect(table.match("PUT", "/v1/jobs")).toMatchObject({
      kind: "wrong-method",
      allowed: ["GET", "POST", "HEAD", "OPTIONS"],
    });
  });

  it.each([["/v1/{}"], ["/v1/{a"], ["v1"], ["/v1/{a=**}/b"]])("refuses the malformed template %s", (template) => {
    expect(() => tableOf(["GET", template])).toThrow();
  });

  it("refuses two routes of one path and method", () => {
    expect(() => tableOf(["GET", "/v1/{a}"], ["GET", "/v1/{b}"])).toThrow("two routes");
  });
});
