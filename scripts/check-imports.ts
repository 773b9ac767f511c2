/**
 * Checks who imports whom, by the rules in `.dependency-cruiser.mjs`. dependency-cruiser reads TypeScript through the
 * API of TypeScript, which version 7 does not publish yet. So it is given a mirror of the sources that holds nothing
 * but their imports, type imports included, as JavaScript.
 */
import { glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { cruise, type IConfiguration } from "dependency-cruiser";

const root = join(import.meta.dirname, "..");
const folders = ["src", "sdk/src", "cli/src"];
const ownPackages: Record<string, string> = {
  "@cordum/sdk": "sdk/src/index.ts",
  "@cordum/cordumctl": "cli/src/main.ts",
};

const mirror = await mkdtemp(join(tmpdir(), "cordum-imports-"));
try {
  for await (const file of glob(
    folders.map((folder) => `${folder}/**/*.ts`),
    { cwd: root },
  )) {
    const copy = join(mirror, file.replace(/[.]ts$/, ".js"));
    await mkdir(dirname(copy), { recursive: true });
    await writeFile(copy, mirrorImports(file, await readFile(join(root, file), "utf8")));
  }
  const { default: config } = (await import(join(root, ".dependency-cruiser.mjs"))) as { default: IConfiguration };
  const { forbidden, options } = config;
  const result = await cruise(folders, {
    ...options,
    ruleSet: { forbidden: forbidden ?? [] },
    validate: true,
    baseDir: mirror,
    outputType: "err-long",
  });
  console.log(
    String(result.output)
      .replace(/((?:src|sdk|cli)[/][\w./-]+)[.]js\b/g, "$1.ts")
      .trim(),
  );
  process.exitCode = result.exitCode;
} finally {
  await rm(mirror, { recursive: true, force: true });
}

/** The imports of one file that stay in this repository, one statement each. Packages are the type checker's business. */
function mirrorImports(file: string, source: string): string {
  const statements = /^(?:import|export)\b[^;"]*?\bfrom "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm;
  const targets = [...source.matchAll(statements)].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? "");
  const lines = targets.flatMap((target) => {
    const own = ownPackages[target];
    const path = own === undefined ? target : relativeTo(file, own);
    return path.startsWith(".") ? [`import "${path.replace(/[.]ts$/, ".js")}";\n`] : [];
  });
  return lines.join("");
}

function relativeTo(file: string, target: string): string {
  const path = posix.relative(posix.dirname(file), target);
  return path.startsWith(".") ? path : `./${path}`;
}
