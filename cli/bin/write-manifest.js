#!/usr/bin/env node
// Describes every command of dist/ in oclif.manifest.json. Run it after each build, from anywhere.
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Plugin, settings } from "@oclif/core";

settings.enableAutoTranspile = false; // it is dist that is described
const root = fileURLToPath(new URL("..", import.meta.url));
const plugin = new Plugin({ root, isRoot: true, ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();
await writeFile(
  new URL("../oclif.manifest.json", import.meta.url),
  `${JSON.stringify(plugin.manifest, undefined, 2)}\n`,
);
