import koffi from "koffi";
import { expect, test } from "vitest";
import { UPDATE } from "./models.js";

test("a library loaded through koffi before this package is an error that says what to do", async () => {
  koffi.load("libc.so.6");
  const { createSession } = await import("../src/index.js");
  await expect(createSession(UPDATE, { runtime: "capi" })).rejects.toMatchObject({
    code: "ort/load",
    message: expect.stringContaining(
      "a library was loaded through koffi before this package was imported; import it earlier, or call " +
        "koffi.config({ async_stack_size: 8388608 }) first",
    ),
  });
  const session = await createSession(UPDATE, { runtime: "node" });
  await session.release();
});
