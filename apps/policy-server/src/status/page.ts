/** @file The status page: one document, its script inline and named by its hash, so that no other can run in it. */
import { createHash } from "node:crypto";
import { STATUS_SCRIPT } from "./script.js";

const hash = createHash("sha256").update(STATUS_SCRIPT).digest("base64");

/** Headers of the page. */
export const STATUS_PAGE_POLICY: Readonly<Record<string, string>> = {
  "content-security-policy":
    `default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; ` +
    "frame-ancestors 'none'; base-uri 'none'",
  "referrer-policy": "no-referrer",
};

export const STATUS_PAGE: string = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Insula policy server</title>
<style>
  :root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif }
  body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
  h1 { font-size: 1.25rem } h2 { font-size: 1rem; margin-bottom: .25rem }
  dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 }
  dt { opacity: .7 } dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600 }
  canvas { max-width: 100%; width: 18rem; image-rendering: auto }
  figure { display: inline-block; margin: 0 1rem 1rem 0 } figcaption { opacity: .7 }
  svg { width: 100%; height: 12rem; background: #8881 } path { fill: none; stroke-width: 1.5 }
  #note { min-height: 1.5em }
</style>
<h1>Insula policy server</h1>
<p id="note" role="status"></p>
<form id="login" hidden><label>Token <input id="token" type="password" autocomplete="off"></label> <button>Show</button></form>
<dl>
  <div><dt>clients</dt><dd id="clients">–</dd></div>
  <div><dt>waiting</dt><dd id="waiting">–</dd></div>
  <div><dt>answered</dt><dd id="answered">–</dd></div>
  <div><dt>p50</dt><dd id="p50">–</dd></div>
  <div><dt>p99</dt><dd id="p99">–</dd></div>
  <div><dt>up</dt><dd id="uptime">–</dd></div>
</dl>
<h2>Latency of the last requests (ms)</h2>
<svg id="latency" viewBox="0 0 600 150" preserveAspectRatio="none" role="img" aria-label="latency"></svg>
<h2>Predicted actions, one line per dim</h2>
<svg id="trajectory" viewBox="0 0 600 150" preserveAspectRatio="none" role="img" aria-label="predicted actions"></svg>
<h2>Last camera frames</h2>
<div id="cameras"></div>
<script>${STATUS_SCRIPT}</script>
</html>
`;
