/**
 * @file `insula verify`: every number of golden folders, computed through the public packages and compared.
 * A golden folder is `fast/`, `model/`, `ki/` or `common/` files in the layout of the reference's exports, with
 * any shapes; it may hold any part of that.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closestMatch, InsulaError } from "@insula/model-types";
import { assertDevice, type Backend } from "../backend.js";
import type { Family } from "./families/family.js";
import { FAMILIES } from "./families/index.js";
import { folderNames, type GoldenFolder, joinPath, openGolden } from "./folder.js";
import { type Findings, makeReport, type Report, reportJson, reportText } from "./report.js";
import type { ToleranceSet } from "./tolerance.js";
import { openUnit, type Unit } from "./unit.js";

export interface VerifyOptions {
  /** Golden folders. */
  golden: readonly string[];
  /** Write what was computed here; with several golden folders, each into a sub-folder of its own name. */
  out?: string;
  /** Log the report as JSON instead of a table. */
  json?: boolean;
  /** Folder with `fast_plus/` and, for DROID's statistics, `lerobot/`; default `../shared/data` beside the repository. */
  tokenizers?: string;
  /** Only units whose name contains this, `*` standing for anything: `model/pi05`, `ki/*`, `dct`. */
  only?: string;
  /** Where models are run; default: the CPU. */
  backend?: Backend;
  /** Default: those of the device. */
  tolerances?: ToleranceSet;
  log(text: string): void;
}

export interface VerifyResult {
  ok: boolean;
  /** 0 all agree, 1 something differs or lacks what it is computed from, 2 there was nothing to verify. */
  exitCode: 0 | 1 | 2;
  report: Report;
}

const DEFAULT_TOKENIZERS: string = fileURLToPath(new URL("../../../../../shared/data", import.meta.url));

/** A part of a golden folder that one family verifies. */
interface Job {
  folder: GoldenFolder;
  family: Family;
  dir: string;
  files: readonly string[];
  name: string;
}

/**
 * Verify golden folders and log the report.
 * @throws InsulaError `verify/no-folder`.
 */
export async function runVerify(options: VerifyOptions): Promise<VerifyResult> {
  const { golden, out, json = false, tokenizers = DEFAULT_TOKENIZERS, only, log } = options;
  const backend = options.backend ?? { device: "cpu" };
  const tolerances = options.tolerances ?? (backend.device === "cpu" ? "cpu" : "cuda");
  await assertDevice(backend);
  const started = performance.now();
  const names = folderNames(golden);
  const folders = await Promise.all(golden.map((root, i) => openGolden(root, names[i])));
  const findings: Findings = { items: [], notChecked: [], computedOnly: 0 };
  let problem: string | undefined;
  for (const folder of folders) {
    const jobs = jobsOf(folder);
    const chosen = jobs.filter(({ name }) => matches(name, only));
    if (only === undefined) findings.notChecked.push(...unknownFiles(folder, jobs));
    if (jobs.length === 0) problem ??= `${folder.root}: nothing here is known (expected ${EXPECTED})`;
    else if (chosen.length === 0 && golden.length === 1) problem ??= nothingChosen(only!, jobs);
    for (const job of chosen) {
      const target = out === undefined || folders.length === 1 ? out : join(out, folder.name);
      await runJob(job, { tokenizers, roots: golden, backend, tolerances, out: target, findings });
    }
  }
  const { items, computedOnly } = findings;
  if (items.length + computedOnly === 0) problem ??= "nothing could be computed";
  else if (items.length === 0 && out === undefined) {
    problem ??= "there is nothing to compare with; --out writes what was computed";
  }
  const report = makeReport(findings, (performance.now() - started) / 1000, problem);
  if (out !== undefined) {
    await mkdir(out, { recursive: true });
    await writeFile(join(out, "verify.json"), `${reportJson(report)}\n`);
  }
  log(json ? reportJson(report) : reportText(report));
  const exitCode = problem !== undefined ? 2 : report.ok ? 0 : 1;
  return { ok: exitCode === 0, exitCode, report };
}

const EXPECTED: string =
  "dct.safetensors, adamw.safetensors, model/*/config.json with inputs.safetensors, ki/*, fast/bpe*/goldens.json …";

function jobsOf(folder: GoldenFolder): Job[] {
  const jobs: Job[] = [];
  for (const [dir, files] of folder.directories) {
    for (const family of FAMILIES) {
      for (const claimed of family.claim(join(folder.root, dir), files)) {
        jobs.push({
          folder,
          family,
          dir,
          files: claimed,
          name: unitName(dir || folder.name, claimed, family),
        });
      }
    }
  }
  return jobs;
}

/** `model/pi05` for a family that takes a directory, `transforms/resize` for one that takes files of it. */
function unitName(place: string, files: readonly string[], family: Family): string {
  if (!family.perFile) return place;
  return joinPath(place, files.length === 1 ? files[0]!.replace(/\.[^.]*$/, "") : family.name);
}

function matches(name: string, only: string | undefined): boolean {
  if (only === undefined) return true;
  const pattern = only.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(pattern.join(".*")).test(name);
}

function nothingChosen(only: string, jobs: readonly Job[]): string {
  const names = jobs.map((j) => j.name);
  const near = closestMatch(only, names);
  return `--only '${only}' matches none of ${names.join(", ")}${near ? `; did you mean '${near}'?` : ""}`;
}

function unknownFiles(folder: GoldenFolder, jobs: readonly Job[]) {
  const known = new Set(jobs.flatMap((j) => j.files.map((f) => joinPath(j.dir, f))));
  return [...folder.directories].flatMap(([dir, files]) =>
    files
      .map((f) => joinPath(dir, f))
      .filter((file) => !known.has(file))
      .map((file) => ({ golden: folder.name, file, reason: "unknown file" })),
  );
}

interface Common {
  tokenizers: string;
  roots: readonly string[];
  backend: Backend;
  tolerances: ToleranceSet;
  out: string | undefined;
  findings: Findings;
}

/** Verify one unit. What goes wrong in it, or is missing for it, is a failed item; the others still run. */
async function runJob(job: Job, common: Common): Promise<void> {
  const { items, notChecked } = common.findings;
  const listed = notChecked.length;
  await computeJob(job, common);
  const missing = notChecked.slice(listed).filter(({ reason }) => MISSING.test(reason));
  for (const reason of new Set(missing.map((n) => n.reason))) {
    items.push(broken(job.folder.name, job.name, new Error(reason)));
  }
}

/**
 * Why something was not checked, where an input is absent (see `missingInput`). A `;` begins why that input makes
 * the files a subject at all (statistics of other numpy versions): without it they are none.
 */
const MISSING = /^needs [^;]*, which is not there$/;

async function computeJob({ folder, family, dir, files, name }: Job, common: Common): Promise<void> {
  let unit: Unit;
  try {
    unit = await openUnit({ folder, dir, files, name, ...common });
  } catch (error) {
    common.findings.items.push(broken(folder.name, name, error));
    return;
  }
  try {
    await family.verify(unit);
    await unit.finish();
  } catch (error) {
    if (error instanceof InsulaError && error.code === "verify/missing-input") {
      await unit.finish(error.message);
      return;
    }
    common.findings.items.push(broken(folder.name, name, error));
    await unit.finish("not reached");
  }
}

function broken(golden: string, item: string, error: unknown) {
  const note = error instanceof Error ? error.message : String(error);
  return { golden, item, maxAbs: Number.NaN, maxRel: Number.NaN, tolerance: "", ok: false, note };
}
