import { type Glob, matchesGlob } from "./glob.ts";

/** Whether every topic that `inner` matches is matched by `outer`. False also when that is hard to tell. */
export function globCovers(outer: Glob, inner: Glob): boolean {
  if (outer.pattern === inner.pattern) return true;
  if (inner.kind === "exact") return matchesGlob(outer, inner.prefix);
  if (outer.kind !== "prefix" || !inner.prefix.startsWith(outer.prefix)) return false;
  return !inner.prefix.includes("/", outer.prefix.length) && inner.tokens.every(cannotBeSlash);
}

function cannotBeSlash(token: Glob["tokens"][number]): boolean {
  return token.kind !== "class" && !(token.kind === "char" && token.char === "/");
}
