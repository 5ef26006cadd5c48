/**
 * @file `loss-curves.svg`: the two losses over the run, raw and smoothed, one panel each (their scales
 * differ), drawn without a plotting library.
 */
import type { MetricsRow } from "./row.js";

const WIDTH = 860;
const PANEL = 250;
const LEFT = 62;
const RIGHT = 92;
const TOP = 52;
const GAP = 46;

interface Curve {
  key: "fast_loss" | "action_loss" | "total";
  title: string;
  color: string;
}

const CURVES: readonly Curve[] = [
  { key: "fast_loss", title: "FAST token loss (VLM, nats per token)", color: "#1f6fb2" },
  { key: "action_loss", title: "flow-matching action loss (expert)", color: "#c2571a" },
];

/** Draw the rows of a run; an SVG document as text. Non-finite values are left out. */
export function lossCurvesSvg(rows: readonly MetricsRow[], title: string): string {
  const curves = CURVES.filter(({ key }) => rows.some((row) => Number.isFinite(row[key])));
  const shown = curves.length ? curves : [{ key: "total", title: "loss", color: "#1f6fb2" } as const];
  const height = TOP + shown.length * (PANEL + GAP) + 8;
  const panels = shown.map((curve, i) => panel(curve, rows, TOP + i * (PANEL + GAP)));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222">
<title>${escapeXml(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="24" font-size="15" font-weight="bold">${escapeXml(title)}</text>
${panels.join("\n")}
</svg>
`;
}

function panel(curve: Curve, rows: readonly MetricsRow[], top: number): string {
  const points = rows.flatMap((row) => {
    const y = row[curve.key];
    return y !== undefined && Number.isFinite(y) ? [{ x: row.step, y }] : [];
  });
  const smooth = smoothed(points.map((p) => p.y));
  const xTicks = niceTicks(points[0]?.x ?? 0, points.at(-1)?.x ?? 1, 8);
  // The raw line may leave the panel for a spike; its 99th percentile and the smooth line set the scale.
  const sorted = points.map((p) => p.y).sort((a, b) => a - b);
  const high = Math.max(sorted[Math.floor(0.99 * (sorted.length - 1))] ?? 1, ...smooth);
  const yTicks = niceTicks(Math.min(0, sorted[0] ?? 0), high, 5);
  const [x0, x1] = [points[0]?.x ?? 0, Math.max(points.at(-1)?.x ?? 1, (points[0]?.x ?? 0) + 1)];
  const [y0, y1] = [yTicks[0]!, Math.max(yTicks.at(-1)!, high)];
  const px = (x: number) => LEFT + ((x - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const py = (y: number) => top + PANEL - ((Math.min(y, y1) - y0) / (y1 - y0)) * PANEL;
  const path = (ys: readonly number[]) =>
    ys.map((y, i) => `${i ? "L" : "M"}${px(points[i]!.x).toFixed(1)},${py(y).toFixed(1)}`).join("");
  const right = WIDTH - RIGHT;
  const grid = yTicks.map(
    (y) =>
      `<line x1="${LEFT}" x2="${right}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#e3e3e3"/>` +
      `<text x="${LEFT - 8}" y="${(py(y) + 4).toFixed(1)}" text-anchor="end">${number(y)}</text>`,
  );
  const ticks = xTicks
    .filter((x) => x >= x0 && x <= x1)
    .map(
      (x) =>
        `<line x1="${px(x).toFixed(1)}" x2="${px(x).toFixed(1)}" y1="${top + PANEL}" y2="${top + PANEL + 4}" stroke="#888"/>` +
        `<text x="${px(x).toFixed(1)}" y="${top + PANEL + 17}" text-anchor="middle">${number(x)}</text>`,
    );
  const lastY = smooth.at(-1);
  const end =
    lastY === undefined
      ? ""
      : `<text x="${right + 8}" y="${(py(lastY) + 4).toFixed(1)}" fill="${curve.color}" font-weight="bold">${lastY.toPrecision(4)}</text>`;
  const legendX = right - 150;
  return `<g>
<text x="${LEFT}" y="${top - 8}">${escapeXml(curve.title)}</text>
<g><line x1="${legendX}" x2="${legendX + 22}" y1="${top - 12}" y2="${top - 12}" stroke="${curve.color}" stroke-opacity="0.45"/><text x="${legendX + 28}" y="${top - 8}">raw</text><line x1="${legendX + 64}" x2="${legendX + 86}" y1="${top - 12}" y2="${top - 12}" stroke="${curve.color}" stroke-width="2.5"/><text x="${legendX + 92}" y="${top - 8}">smoothed</text></g>
${grid.join("\n")}
${ticks.join("\n")}
<line x1="${LEFT}" x2="${right}" y1="${top + PANEL}" y2="${top + PANEL}" stroke="#888"/>
<line x1="${LEFT}" x2="${LEFT}" y1="${top}" y2="${top + PANEL}" stroke="#888"/>
<text x="${right + 24}" y="${top + PANEL + 17}">step</text>
<path d="${path(points.map((p) => p.y))}" fill="none" stroke="${curve.color}" stroke-opacity="0.45"/>
<path d="${path(smooth)}" fill="none" stroke="${curve.color}" stroke-width="2.5" stroke-linejoin="round"/>
${end}
</g>`;
}

/**
 * Exponential moving average over a thirtieth of the run, with the start-up bias divided out (as Adam does),
 * so that the curve begins at the first value.
 */
export function smoothed(values: readonly number[]): number[] {
  const decay = Math.min(0.98, Math.max(0, 1 - 30 / Math.max(values.length, 1)));
  let mean = 0;
  let weight = 0;
  return values.map((value) => {
    mean = decay * mean + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return mean / weight;
  });
}

/** Round tick values (1, 2 or 5 times a power of ten) that cover [low, high] with about `count` steps. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const span = high > low ? high - low : Math.abs(high) || 1;
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * (1 - 1e-9))!;
  const ticks: number[] = [];
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil((low + span) / step - 1e-9);
  for (let i = first; i <= last; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

const number = (value: number): string =>
  value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3) ? value.toExponential(0) : String(value);

const escapeXml = (value: string): string =>
  value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
