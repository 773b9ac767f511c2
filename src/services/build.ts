import { readFileSync } from "node:fs";

/** What was built. Image builds write commit and date beside the package. */
export const build: { version: string; commit: string; date: string } = {
  version: readJson("package.json").version ?? "dev",
  commit: readJson("build.json").commit ?? "unknown",
  date: readJson("build.json").date ?? "unknown",
};

/** A JSON file of the package's root; empty when there is none. */
function readJson(name: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
  } catch {
    return {}; // not built, or run from source
  }
}
