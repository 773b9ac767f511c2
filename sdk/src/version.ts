import { readFileSync } from "node:fs";

const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** Name and version of this library, for example `@cordum/sdk/0.1.0`. */
export const sdkVersion = `${Reflect.get(Object(manifest), "name")}/${Reflect.get(Object(manifest), "version")}`;
