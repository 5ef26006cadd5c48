/** The `insula` command as a process, from source. */
import { processIo } from "../src/commands/command.js";
import { runCli } from "../src/program.js";

export async function main(args: string[]): Promise<void> {
  process.exitCode = await runCli(args, processIo);
}
