import { retired, table } from "./table.ts";
import { listVariables, type Variable } from "./variable.ts";

const titles: Record<keyof typeof table, string> = {
  process: "Every service",
  nats: "NATS",
  redis: "Redis",
  store: "State and retention",
  artifacts: "Artifacts",
  gateway: "Gateway",
  auth: "Who may call",
  policy: "Policy",
  safetyKernel: "Safety kernel",
  workflowEngine: "Workflow engine",
  contextEngine: "Context engine",
  scheduler: "Scheduler",
  audit: "Audit log",
  signatures: "Packet signatures",
};

/** The configuration reference, `docs/configuration.md`, as Markdown. */
export function renderReference(): string {
  const chapters = Object.entries(table).map(([key, group]) => {
    const rows = listVariables(group).map(renderRow);
    const header = "| variable | kind | default | meaning |\n| --- | --- | --- | --- |";
    return `## ${titles[key as keyof typeof table]}\n\n${header}\n${rows.join("\n")}\n`;
  });
  const gone = Object.entries(retired).map(([name, why]) => `- \`${name}\`: ${why}.`);
  return `${introduction}\n${chapters.join("\n")}\n## No longer read\n\nSet, they only cause a warning.\n\n${gone.join("\n")}\n`;
}

const introduction = `# Configuration

Generated from \`src/settings/table.ts\` by \`node scripts/configuration.ts\`; do not edit.

All settings come from the environment and are read once, at the start. A blank variable counts as unset. When something
cannot be used, the process names every such variable with what it accepts, and exits. Durations are written \`250ms\`,
\`5s\`, \`1h30m\`. An address is \`host:port\`, or \`:port\` for every interface. Secrets are never logged.

Schedulers and gateways ask the safety kernel at \`SAFETY_KERNEL_URL\`. \`SAFETY_KERNEL_ADDR\` is where the kernel itself
listens; if it names a host (not \`0.0.0.0\`), it also names the kernel to its clients, as in earlier versions.
`;

function renderRow(row: Variable<unknown>): string {
  const aliases = row.aliases.map(
    (alias) => `\`${alias.name}\`${alias.kind === row.kind ? "" : ` (${alias.kind.name})`}`,
  );
  const also = aliases.length > 0 ? ` Also read: ${aliases.join(", ")}.` : "";
  const kind = row.kind.name === "enum" ? row.kind.accepts : row.kind.name;
  const cells = [
    `\`${row.name}\``,
    `${kind}${row.secret ? ", secret" : ""}`,
    printDefault(row),
    row.description + also,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function printDefault(row: Variable<unknown>): string {
  const isEmpty = row.default === undefined || (Array.isArray(row.default) && row.default.length === 0);
  return isEmpty ? "" : `\`${row.kind.print(row.default as NonNullable<unknown>)}\``;
}
