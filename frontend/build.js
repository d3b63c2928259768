// Builds each script of pages/ with what it imports into ../static/built/, where pages find it.
import { build } from "esbuild";
import { readdirSync } from "node:fs";

await build({
  entryPoints: readdirSync("pages").filter((name) => name.endsWith(".js")).map((name) => `pages/${name}`),
  outdir: "../static/built",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome100", "safari15", "firefox100"],
  legalComments: "linked",
  logLevel: "warning",
});
