/** @file Line charts as inline SVG that follow the page's colors, and shrink with it. */
import { niceTicks } from "../metrics/curves.js";
import { short } from "./format.js";
import { escapeHtml, type Html, raw } from "./html.js";

export interface Series {
  label: string;
  /** Name of a CSS color variable of the page, without the dashes. */
  color: string;
  points: readonly (readonly [x: number, y: number])[];
  /** `faint` for raw values under a smooth line, `dots` for few points. */
  look?: "line" | "faint" | "dots" | "dashed" | "wide";
}

export interface ChartOptions {
  title: string;
  series: readonly Series[];
  /** What x counts, in whole numbers. */
  x?: string;
  /** Ends of the y axis that must be seen. */
  include?: readonly number[];
  width?: number;
  height?: number;
  /** The label at each series' end; off in small charts. */
  legend?: boolean;
}

const [LEFT, RIGHT, TOP, BOTTOM] = [46, 12, 10, 26];
/** Points per line: a pixel holds no more. */
const MOST_POINTS = 700;

/** The chart, with its title and legend; nothing where no series has a finite point. */
export function chart({
  title,
  series,
  x = "step",
  include = [],
  width = 440,
  height = 196,
  legend = true,
}: ChartOptions): Html {
  const shown = series
    .map((s) => ({ ...s, points: thinned(s.points.filter(([, y]) => Number.isFinite(y))) }))
    .filter((s) => s.points.length > 0);
  if (shown.length === 0) return raw("");
  const xs = shown.flatMap((s) => s.points.map(([at]) => at));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const { low, high } = range(shown, include);
  const yTicks = niceTicks(low, high, 4);
  const [y0, y1] = [yTicks[0]!, yTicks.at(-1)!];
  const px = (at: number) => LEFT + ((at - x0) / (x1 > x0 ? x1 - x0 : 1)) * (width - LEFT - RIGHT);
  const py = (y: number) =>
    TOP + (1 - (Math.min(Math.max(y, y0), y1) - y0) / (y1 - y0)) * (height - TOP - BOTTOM);
  const grid = yTicks.map(
    (y) =>
      `<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${fixed(py(y))}" y2="${fixed(py(y))}"/>` +
      `<text x="${LEFT - 6}" y="${fixed(py(y) + 4)}" text-anchor="end">${short(y, 3)}</text>`,
  );
  const xTicks = niceTicks(x0, Math.max(x1, x0 + 1), 5).filter(
    (at) => at >= x0 && at <= x1 && Number.isInteger(at),
  );
  const labels = xTicks.map(
    (at) => `<text x="${fixed(px(at))}" y="${height - 9}" text-anchor="middle">${short(at, 6)}</text>`,
  );
  const lines = shown.map((s) => drawn(s, px, py));
  const key = shown
    .filter((s) => s.look !== "faint")
    .map((s) => `<span><i style="background:var(--${s.color})"></i>${escapeHtml(s.label)}</span>`)
    .join("");
  return raw(
    `<figure class="chart"><figcaption><b>${escapeHtml(title)}</b>${legend ? `<span class="key">${key}</span>` : ""}</figcaption>` +
      `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`${title} by ${x}`)}">` +
      `${grid.join("")}${labels.join("")}${lines.join("")}</svg></figure>`,
  );
}

function drawn(
  { label, color, points, look = "line" }: Series,
  px: (x: number) => number,
  py: (y: number) => number,
): string {
  const stroke = `style="stroke:var(--${color})"`;
  const path = points.map(([x, y], i) => `${i ? "L" : "M"}${fixed(px(x))} ${fixed(py(y))}`).join("");
  // A single point has no line.
  const lone = points.length === 1 && look !== "faint";
  const dots =
    look === "dots" || lone
      ? points.map(
          ([x, y]) =>
            `<circle cx="${fixed(px(x))}" cy="${fixed(py(y))}" r="3.2" style="fill:var(--${color})"><title>${escapeHtml(label)}, ${short(x, 9)}: ${short(y)}</title></circle>`,
        )
      : [];
  return `<path class="${look}" d="${path}" ${stroke}/>${dots.join("")}`;
}

/** Faint lines may leave the chart for a spike: their 99th percentile and all others set the scale. */
function range(series: readonly Series[], include: readonly number[]): { low: number; high: number } {
  const ys = series.flatMap(({ look, points }) => {
    const values = points.map(([, y]) => y).sort((a, b) => a - b);
    return look === "faint"
      ? [values[0]!, values[Math.floor(0.99 * (values.length - 1))]!]
      : [values[0]!, values.at(-1)!];
  });
  const low = Math.min(...ys, ...include);
  const high = Math.max(...ys, ...include);
  // A constant line in the middle, not on the edge.
  const pad = high > low ? 0 : Math.abs(high) / 2 || 1;
  return { low: low - pad, high: high + pad };
}

/** Smallest and largest of every stretch, in order, so that no spike is lost. */
function thinned(points: Series["points"]): Series["points"] {
  if (points.length <= MOST_POINTS) return points;
  const stretch = Math.ceil((2 * points.length) / MOST_POINTS);
  const out: (readonly [number, number])[] = [];
  for (let from = 0; from < points.length; from += stretch) {
    const part = points.slice(from, from + stretch);
    const sorted = [...part].sort((a, b) => a[1] - b[1]);
    const ends = [sorted[0]!, sorted.at(-1)!].sort((a, b) => a[0] - b[0]);
    out.push(...(ends[0] === ends[1] ? [ends[0]!] : ends));
  }
  return out;
}

const fixed = (value: number): string => value.toFixed(1);
