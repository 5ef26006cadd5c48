/** @file One panel: the numbers of a feature over time, with axes and a legend. */
import { type Axis, axis, linePoints } from "./scale.js";
import { abbreviate, decimal, element, escapeText, shorten } from "./svg.js";

/** A line of a panel. */
export interface Line {
  readonly label: string;
  readonly values: ArrayLike<number>;
}

export interface PanelSpec {
  readonly feature: string;
  /** Of the numbers, when known. */
  readonly unit?: string;
  readonly lines: readonly Line[];
  /** Seconds, one per row. */
  readonly times: ArrayLike<number>;
  /** The time axis that all panels share. */
  readonly timeAxis: Axis;
  readonly left: number;
  readonly width: number;
  readonly height: number;
}

/** Neither bright nor dark: legible on white and on black. */
export const INK = "#7d8590";
/** Distinct for readers who see fewer colours, too; after eight lines come dashes. */
const COLORS = ["#2f81c7", "#d9822b", "#2e9e6b", "#c94f7c", "#8f6bd6", "#a8891c", "#1f9fb0", "#c8553d"];
const DASHES = ["", "5 3", "1.5 2.5", "8 3 2 3", "12 3", "3 6"];

const LEGEND_GAP = 14;
const LEGEND_LINE = 13;
const LEGEND_COLUMN = 97;

/** The panel as markup, its top left corner at the origin. */
export function panel(spec: PanelSpec): string {
  const { lines, times, timeAxis, left, width, height } = spec;
  const finite = lines.flatMap(({ values }) => extent(values));
  const yAxis = axis(Math.min(...finite, Number.POSITIVE_INFINITY), Math.max(...finite), 4);
  const known = finite.length > 0;
  const x = (seconds: number): number =>
    left + ((seconds - timeAxis.low) / (timeAxis.high - timeAxis.low || 1)) * width;
  const y = (value: number): number =>
    height - ((value - yAxis.low) / (yAxis.high - yAxis.low || 1)) * height;
  const label = (text: string, at: Record<string, string | number>): string =>
    element("text", { fill: INK, "font-size": 10, ...at }, text);

  const grid = known
    ? yAxis.ticks.map(
        (tick) =>
          element("line", {
            x1: left,
            x2: left + width,
            y1: y(tick),
            y2: y(tick),
            stroke: INK,
            "stroke-opacity": 0.25,
          }) + label(yAxis.format(tick), { x: left - 6, y: y(tick) + 3, "text-anchor": "end" }),
      )
    : [];
  const seconds = timeAxis.ticks.map(
    (tick) =>
      element("line", { x1: x(tick), x2: x(tick), y1: height, y2: height + 4, stroke: INK }) +
      label(timeAxis.format(tick), { x: x(tick), y: height + 15, "text-anchor": "middle" }),
  );
  const frame = element("path", {
    d: `M${decimal(left)} 0V${decimal(height)}H${decimal(left + width)}`,
    fill: "none",
    stroke: INK,
  });
  const title = spec.unit === undefined ? spec.feature : `${spec.feature} [${spec.unit}]`;
  const caption = element(
    "text",
    {
      transform: `translate(${decimal(left - 46)} ${decimal(height / 2)}) rotate(-90)`,
      "text-anchor": "middle",
      fill: INK,
      "font-size": 11,
      "font-weight": 600,
    },
    element("title", {}, escapeText(title)),
    escapeText(shorten(title, Math.floor((height + 26) / 6))),
  );
  const drawn = lines.map(({ label: name, values }, i) =>
    element(
      "path",
      {
        class: "line",
        "data-feature": spec.feature,
        "data-dim": i,
        d: pathOf(linePoints(times, values, Math.ceil(width)).map(([t, v]) => [x(t), y(v)])),
        fill: "none",
        ...styleOf(i),
        "stroke-width": 1.4,
        "stroke-linejoin": "round",
      },
      element("title", {}, escapeText(name)),
    ),
  );
  return [...grid, frame, ...seconds, caption, ...drawn, ...(lines.length > 1 ? legend(spec) : [])].join("");
}

function legend({ lines, left, width, height }: PanelSpec): string[] {
  const perColumn = Math.max(1, Math.floor(height / LEGEND_LINE));
  const room = 2 * perColumn;
  // A single column has the width of both.
  const length = lines.length > perColumn ? 11 : 26;
  return lines.slice(0, room).map(({ label }, i) => {
    const x = left + width + LEGEND_GAP + Math.floor(i / perColumn) * LEGEND_COLUMN;
    const y = 7 + (i % perColumn) * LEGEND_LINE;
    const more = i === room - 1 && lines.length > room ? `and ${lines.length - room + 1} more` : undefined;
    const text = element(
      "text",
      { x: x + 22, y: y + 3.5, fill: INK, "font-size": 10 },
      escapeText(more ?? abbreviate(label, length)),
    );
    if (more) return text;
    return element("line", { x1: x, x2: x + 17, y1: y, y2: y, ...styleOf(i), "stroke-width": 2 }) + text;
  });
}

function styleOf(line: number): { stroke: string; "stroke-dasharray"?: string } {
  const dash = DASHES[Math.floor(line / COLORS.length) % DASHES.length]!;
  return { stroke: COLORS[line % COLORS.length]!, ...(dash && { "stroke-dasharray": dash }) };
}

/** A path through the points; it breaks where a value is no number. */
function pathOf(points: readonly (readonly [number, number])[]): string {
  let pen = "M";
  return points
    .map(([px, py]) => {
      if (!Number.isFinite(py)) {
        pen = "M";
        return "";
      }
      const move = `${pen}${decimal(px)} ${decimal(py)}`;
      pen = "L";
      return move;
    })
    .join("");
}

/** Least and greatest finite value; nothing when there is none. */
function extent(values: ArrayLike<number>): number[] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [];
}
