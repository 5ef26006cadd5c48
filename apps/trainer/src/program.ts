/** @file The command line: every command, spelling variants of flags, and errors as one clear message. */
import { closestMatch, InsulaError } from "@insula/model-types";
import { Command, CommanderError } from "commander";
import type { Io } from "./commands/command.js";
import { installConfigs } from "./commands/configs.js";
import { installDataset } from "./commands/dataset/index.js";
import { installDoctor } from "./commands/doctor.js";
import { installEvaluate } from "./commands/evaluate.js";
import { installExportArtifact } from "./commands/export-artifact.js";
import { installInfer } from "./commands/infer.js";
import { installInspect } from "./commands/inspect.js";
import { installNormStats } from "./commands/norm-stats.js";
import { installPlan } from "./commands/plan.js";
import { installReport } from "./commands/report.js";
import { installServe } from "./commands/serve.js";
import { installTrain } from "./commands/train.js";
import { installVerify } from "./commands/verify.js";
import { installWeights } from "./commands/weights.js";

const INSTALL = [
  installTrain,
  installEvaluate,
  installReport,
  installInfer,
  installServe,
  installNormStats,
  installDataset,
  installExportArtifact,
  installInspect,
  installConfigs,
  installPlan,
  installVerify,
  installWeights,
  installDoctor,
];

/** Other spellings of flags, after underscores have become dashes. */
const FLAG_ALIASES: Readonly<Record<string, string>> = {
  "--num-steps": "--num-train-steps",
  "--dry-run": "--plan-only",
};

/**
 * Run one command line.
 * @param args without the program's own name.
 * @returns the exit code: what a command asked for, else 0, 1 for an error, 2 for a wrong command line.
 */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const program = new Command("insula")
    .description("Train knowledge-insulated robot policies.")
    .exitOverride()
    .showSuggestionAfterError(false)
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: () => undefined,
    });
  for (const install of INSTALL) install(program, io);
  try {
    await program.parseAsync(normalizeFlags(args), { from: "user" });
    return io.exitCode ?? 0;
  } catch (error) {
    if (error instanceof CommanderError) return commandLineError(error, program, args, io);
    io.err(errorText(error));
    return io.exitCode ?? 1;
  }
}

/** `--log_dir` is `--log-dir`; {@link FLAG_ALIASES}. Values are left alone. */
export function normalizeFlags(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  return args.map((arg, i) => {
    const match = /^(--[A-Za-z][\w-]*)(=.*)?$/s.exec(arg);
    if (!match || (end >= 0 && i >= end)) return arg;
    const flag = match[1]!.replaceAll("_", "-");
    return (FLAG_ALIASES[flag] ?? flag) + (match[2] ?? "");
  });
}

function commandLineError(error: CommanderError, program: Command, args: readonly string[], io: Io): number {
  // Help that was asked for comes as an error with exit code 0.
  if (error.exitCode === 0) return 0;
  if (error.code === "commander.help") {
    io.err("a command is needed; `insula --help` lists them");
    return 2;
  }
  const command = commandOf(program, args);
  // A group with a default takes a misspelt command for an argument too many of the default one.
  const word = args.find((arg) => !arg.startsWith("-") && arg !== command.name());
  const isGroup = command !== program && command.commands.length > 0;
  const told =
    error.code === "commander.excessArguments" && isGroup && word !== undefined
      ? new CommanderError(2, "commander.unknownCommand", `error: unknown command '${word}'`)
      : error;
  io.err(`${told.message}${suggestion(told, command)}`);
  return 2;
}

/** The closest command or flag to the unknown one that `error` names. */
function suggestion(error: CommanderError, command: Command): string {
  const word = /'(.*)'/s.exec(error.message)?.[1];
  if (word === undefined) return "";
  const candidates =
    error.code === "commander.unknownOption"
      ? [...command.options.flatMap((o) => (o.long ? [o.long] : [])), "--help", ...Object.keys(FLAG_ALIASES)]
      : error.code === "commander.unknownCommand"
        ? command.commands.map((c) => c.name())
        : [];
  const near = closestMatch(word, candidates);
  if (near) return `; did you mean '${near}'?`;
  return candidates.length ? `; there are ${candidates.join(", ")}` : "";
}

/** The innermost command that `args` name. */
function commandOf(program: Command, args: readonly string[]): Command {
  let command = program;
  for (const arg of args) command = command.commands.find((c) => c.name() === arg) ?? command;
  return command;
}

/** One message, without a stack: the stack is for INSULA_DEBUG=1. Causes that say more are added. */
export function errorText(error: unknown): string {
  if (process.env["INSULA_DEBUG"] === "1" && error instanceof Error) return error.stack ?? error.message;
  if (error instanceof InsulaError) return `error: ${error.message} [${error.code}]`;
  const message = error instanceof Error ? error.message : String(error);
  return `error: ${message} (INSULA_DEBUG=1 shows where)`;
}
