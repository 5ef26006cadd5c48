/** @file All families, in the order of the report. */
import { actionsImagesFamily } from "./actions-images.js";
import { adamwFamily } from "./adamw.js";
import { dctFamily } from "./dct.js";
import { discretiseFamily } from "./discretise.js";
import type { Family } from "./family.js";
import { fastFamily } from "./fast.js";
import { fastPlusFamily } from "./fast-plus.js";
import { fastTextFamily } from "./fast-text.js";
import { kiFamily } from "./ki.js";
import { modelFamily } from "./model.js";
import { normStatsDroidFamily } from "./norm-stats-droid.js";
import { normalizeFamily } from "./normalize.js";
import { resizeFamily } from "./resize.js";
import { tokenizeFamily } from "./tokenize.js";

export const FAMILIES: readonly Family[] = [
  dctFamily,
  normalizeFamily,
  resizeFamily,
  actionsImagesFamily,
  discretiseFamily,
  tokenizeFamily,
  adamwFamily,
  fastFamily,
  fastPlusFamily,
  fastTextFamily,
  modelFamily,
  kiFamily,
  normStatsDroidFamily,
];
