/** @file Whole numbers counted: percentiles and a histogram, as bars of text and as SVG. */
import { niceTicks } from "../metrics/curves.js";

/** Counts by value. */
export interface Distribution {
  counts: Map<number, number>;
  total: number;
}

export interface Summary {
  min: number;
  p50: number;
  mean: number;
  p99: number;
  max: number;
}

/** Values `from … to`, both included. */
export interface Bin {
  from: number;
  to: number;
  count: number;
}

export function emptyDistribution(): Distribution {
  return { counts: new Map(), total: 0 };
}

export function count(distribution: Distribution, value: number): void {
  distribution.counts.set(value, (distribution.counts.get(value) ?? 0) + 1);
  distribution.total++;
}

/** Percentiles are values that occur: the smallest that at least so many are not above. Zeros when empty. */
export function summarize({ counts, total }: Distribution): Summary {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const percentile = (q: number): number => {
    let below = 0;
    for (const [value, n] of sorted) {
      below += n;
      if (below >= q * total) return value;
    }
    return 0;
  };
  const sum = sorted.reduce((all, [value, n]) => all + value * n, 0);
  return {
    min: sorted[0]?.[0] ?? 0,
    p50: percentile(0.5),
    mean: total === 0 ? 0 : sum / total,
    p99: percentile(0.99),
    max: sorted.at(-1)?.[0] ?? 0,
  };
}

/** At most about `bins` bins of one round width. */
export function histogram(distribution: Distribution, bins: number = 20): Bin[] {
  if (distribution.total === 0) return [];
  const { min, max } = summarize(distribution);
  const ticks = niceTicks(min, Math.max(max, min + 1), bins);
  const width = Math.max(1, Math.round(ticks[1]! - ticks[0]!));
  const first = Math.floor(min / width) * width;
  const out: Bin[] = [];
  for (let from = first; from <= max; from += width) out.push({ from, to: from + width - 1, count: 0 });
  for (const [value, n] of distribution.counts) out[Math.floor((value - first) / width)]!.count += n;
  return out;
}

/** One line per bin; a mark where the limit lies. */
export function textHistogram(bins: readonly Bin[], limit: number, columns: number = 50): string {
  const most = Math.max(1, ...bins.map((b) => b.count));
  const width = String(bins.at(-1)?.to ?? 0).length;
  const digits = String(most).length;
  return bins
    .map(({ from, to, count: n }) => {
      const bar = "█".repeat(Math.ceil((n / most) * columns));
      const mark = from <= limit && limit <= to ? "  ← maxTokenLen" : "";
      const range = from === to ? String(from).padStart(2 * width + 1) : rangeText(from, to, width);
      return `${range}  ${String(n).padStart(digits)}  ${bar}${mark}`.trimEnd();
    })
    .join("\n");
}

const rangeText = (from: number, to: number, width: number): string =>
  `${String(from).padStart(width)}…${String(to).padStart(width)}`;

const WIDTH = 720;
const HEIGHT = 320;
const LEFT = 56;
const RIGHT = 24;
const TOP = 56;
const BOTTOM = 44;

/** The histogram as an SVG document, with lines at p50, p99 and the limit. */
export function svgHistogram(
  bins: readonly Bin[],
  { title, limit, summary }: { title: string; limit: number; summary: Summary },
): string {
  const low = bins[0]?.from ?? 0;
  const high = Math.max((bins.at(-1)?.to ?? 0) + 1, limit + 1);
  const most = Math.max(1, ...bins.map((b) => b.count));
  const x = (v: number): string => (LEFT + ((v - low) / (high - low)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const y = (n: number): string => (HEIGHT - BOTTOM - (n / most) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const bars = bins.map(({ from, to, count: n }) => {
    const [x0, y0] = [x(from), y(n)];
    const width = Math.max(0.5, Number(x(to + 1)) - Number(x0) - 1).toFixed(1);
    const height = (HEIGHT - BOTTOM - Number(y0)).toFixed(1);
    const color = from > limit ? "#c2571a" : "#1f6fb2";
    return `<rect x="${x0}" y="${y0}" width="${width}" height="${height}" fill="${color}"><title>${from}…${to}: ${n}</title></rect>`;
  });
  const anchor = (at: number): string => (Number(x(at)) > WIDTH - 80 ? "end" : "middle");
  const line = (at: number, label: string, color: string, row: number): string =>
    `<line x1="${x(at)}" x2="${x(at)}" y1="${TOP - 6 - 12 * row}" y2="${HEIGHT - BOTTOM}" stroke="${color}" stroke-dasharray="4 3"/>` +
    `<text x="${x(at)}" y="${TOP - 9 - 12 * row}" text-anchor="${anchor(at)}" fill="${color}">${label} ${at}</text>`;
  const ticks = niceTicks(low, high, 8)
    .filter((v) => v >= low && v <= high)
    .map((v) => `<text x="${x(v)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${v}</text>`);
  const counts = niceTicks(0, most, 4)
    .filter((n) => n <= most)
    .map(
      (n) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(n)}" y2="${y(n)}" stroke="#e3e3e3"/>` +
        `<text x="${LEFT - 6}" y="${(Number(y(n)) + 4).toFixed(1)}" text-anchor="end">${n}</text>`,
    );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="Helvetica, Arial, sans-serif" font-size="11" fill="#222">
<title>${escapeXml(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="18" font-size="13" font-weight="bold">${escapeXml(title)}</text>
${counts.join("\n")}
${bars.join("\n")}
${ticks.join("\n")}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">tokens per sample</text>
${line(summary.p50, "p50", "#555", 0)}
${line(summary.p99, "p99", "#555", 1)}
${line(limit, "maxTokenLen", "#c2571a", 0)}
</svg>
`;
}

const escapeXml = (text: string): string =>
  text.replace(/[<>&"]/g, (c) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;" })[c]!);
