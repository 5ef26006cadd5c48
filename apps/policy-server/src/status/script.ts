/** @file The script of the status page: asks twice a second, draws; text from outside is only ever set as text. */
export const STATUS_SCRIPT = `
"use strict";
const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem("insula-token");
let seen = -1;

const get = async (path) => {
  const response = await fetch(path, token ? { headers: { authorization: "Bearer " + token } } : {});
  if (response.status === 401) { $("login").hidden = false; throw new Error("this server asks for its token"); }
  if (!response.ok) throw new Error(path + ": " + response.status);
  return response;
};

const lines = (svg, series, from) => {
  const flat = series.flat().filter(Number.isFinite);
  const low = from ?? Math.min(...flat), high = Math.max(...flat), range = high - low || 1;
  svg.replaceChildren(...series.map((values, k) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const x = (i) => (600 * i / Math.max(1, values.length - 1)).toFixed(1);
    const y = (v) => (145 - 140 * (v - low) / range).toFixed(1);
    path.setAttribute("d", values.map((v, i) => (i ? "L" : "M") + x(i) + " " + y(v)).join(""));
    path.setAttribute("vector-effect", "non-scaling-stroke");
    path.style.stroke = "hsl(" + Math.round(360 * k / series.length) + " 70% 50%)";
    return path;
  }));
};

const quantile = (sorted, q) =>
  sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))].toFixed(1) + " ms" : "–";

const paint = async (name) => {
  const response = await get("/camera?name=" + encodeURIComponent(name));
  const width = Number(response.headers.get("x-width")), height = Number(response.headers.get("x-height"));
  const rgb = new Uint8Array(await response.arrayBuffer());
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  caption.textContent = name + ", " + width + "×" + height;
  canvas.width = width; canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0, k = 0; k < rgb.length; i += 4, k += 3) {
    image.data[i] = rgb[k]; image.data[i + 1] = rgb[k + 1]; image.data[i + 2] = rgb[k + 2]; image.data[i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  figure.append(canvas, caption);
  return figure;
};

const show = async () => {
  const status = await (await get("/status.json")).json();
  $("login").hidden = true;
  for (const key of ["clients", "waiting", "answered"]) $(key).textContent = status[key];
  const sorted = status.latencies.toSorted((a, b) => a - b);
  $("p50").textContent = quantile(sorted, 0.5);
  $("p99").textContent = quantile(sorted, 0.99);
  $("uptime").textContent = Math.round(status.uptimeSeconds) + " s";
  if (status.answered === seen) return;
  seen = status.answered;
  if (status.latencies.length) lines($("latency"), [status.latencies], 0);
  if (status.actions.length) {
    lines($("trajectory"), status.actions[0].map((_, d) => status.actions.map((row) => row[d])));
  }
  $("cameras").replaceChildren(...await Promise.all(status.cameras.map(paint)));
};

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value;
  sessionStorage.setItem("insula-token", token);
});

const loop = async () => {
  for (;;) {
    try { await show(); $("note").textContent = ""; } catch (error) { $("note").textContent = error.message; }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
};
void loop();
`;
