/** Writes `docs/configuration.md` from the settings table. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { renderReference } from "../src/settings/reference.ts";

await writeFile(join(import.meta.dirname, "..", "docs/configuration.md"), renderReference());
