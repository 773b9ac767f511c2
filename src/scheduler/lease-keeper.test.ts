import { describe, expect, it } from "vitest";
import { parseNamedJobs } from "./lease-keeper.ts";

describe("parseNamedJobs()", () => {
  it("reads ids with any characters and their attempts", () => {
    expect(parseNamedJobs("job-1/1,run%3Astep%5B3%5D%402/12, a%2Fb%2Cc/3")).toEqual([
      { jobId: "job-1", attempt: 1 },
      { jobId: "run:step[3]@2", attempt: 12 },
      { jobId: "a/b,c", attempt: 3 },
    ]);
  });

  it("leaves out what cannot be read", () => {
    expect(parseNamedJobs(",a,/1,a/0,a/-1,a/x,a/1.5,%E0%A4%A/1,b/2")).toEqual([{ jobId: "b", attempt: 2 }]);
  });
});
