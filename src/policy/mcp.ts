import { fold } from "./fold.ts";
import { type McpField, type McpLists, mcpFields } from "./model.ts";

/** The MCP call that a job's labels announce. */
export type McpCall = Readonly<Record<McpField, string>>;

/** MCP lists made ready for comparing. */
export type McpFilter = Readonly<
  Record<McpField, { readonly allow: ReadonlySet<string>; readonly deny: ReadonlySet<string> }>
>;

const aliases: Record<McpField, readonly string[]> = {
  server: ["mcp.server", "mcp_server", "mcpServer"],
  tool: ["mcp.tool", "mcp_tool", "mcpTool"],
  resource: ["mcp.resource", "mcp_resource", "mcpResource"],
  action: ["mcp.action", "mcp_action", "mcpAction"],
};

/** Reads the call from labels; of several spellings the first that is not blank counts. Undefined: no MCP job. */
export function mcpCallOf(labels: Readonly<Record<string, string>>): McpCall | undefined {
  const call = {
    server: firstLabel(labels, aliases.server),
    tool: firstLabel(labels, aliases.tool),
    resource: firstLabel(labels, aliases.resource),
    action: firstLabel(labels, aliases.action).toLowerCase(),
  };
  return mcpFields.some((field) => call[field] !== "") ? call : undefined;
}

function firstLabel(labels: Readonly<Record<string, string>>, names: readonly string[]): string {
  for (const name of names) {
    const value = Object.hasOwn(labels, name) ? (labels[name] ?? "").trim() : "";
    if (value !== "") return value;
  }
  return "";
}

export function compileMcp(lists: McpLists): McpFilter {
  const compiled = (field: McpField) => ({
    allow: new Set(lists[field].allow.map(fold)),
    deny: new Set(lists[field].deny.map(fold)),
  });
  return {
    server: compiled("server"),
    tool: compiled("tool"),
    resource: compiled("resource"),
    action: compiled("action"),
  };
}

/** Why the filter refuses the call; undefined when it passes. A field with an allow list must be filled. */
export function mcpRefusal(filter: McpFilter, call: McpCall): string | undefined {
  for (const field of mcpFields) {
    const { allow, deny } = filter[field];
    const value = fold(call[field]);
    if (value !== "" && deny.has(value)) return `mcp ${field} ${JSON.stringify(call[field])} denied`;
    if (allow.size > 0 && (value === "" || !allow.has(value))) {
      return `mcp ${field} ${JSON.stringify(call[field])} not allowed`;
    }
  }
  return undefined;
}
