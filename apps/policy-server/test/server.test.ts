import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import type { NdArray } from "@insula/model-types";
import { afterEach, expect, test, vi } from "vitest";
import { decodeObservation, type PolicyServer, type PolicyServerOptions } from "../src/index.js";
import { FUZZ_RUNS, hostileMessages } from "./fuzz.js";
import { bytesOf } from "./golden.js";
import { connect, join, observation, serve, type TestPolicy, testPolicy } from "./kit.js";
import { TEST_TLS } from "./tls.js";

const open: PolicyServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});
async function start(policy: TestPolicy, options: Partial<PolicyServerOptions> = {}): Promise<PolicyServer> {
  const server = await serve(policy, { drainMs: 500, ...options });
  open.push(server);
  return server;
}
const http = (server: PolicyServer) => server.url.replace("ws", "http");
const value = (reply: Buffer | string): number => {
  if (typeof reply === "string") throw new Error(reply);
  return (decodeObservation(reply)["actions"] as NdArray).data[0] as number;
};

test("the metadata come first, then a reply per observation, with the keys of openpi's server", async () => {
  const metadata = { reset_pose: [0, -1.5], horizon: 8n };
  const server = await start(testPolicy(), { load: async () => ({ policy: testPolicy(), metadata }) });
  const client = await connect(server.url);
  // msgpack.packb({"reset_pose": [0.0, -1.5], "horizon": 8})
  expect(await client.next()).toEqual(
    Buffer.from(bytesOf("82aa72657365745f706f736592cb0000000000000000cbbff8000000000000a7686f72697a6f6e08")),
  );
  const first = decodeObservation((await client.ask(observation(3))) as Buffer);
  expect(Object.keys(first)).toEqual(["actions", "policy_timing", "server_timing"]);
  expect(Object.keys(first["server_timing"]!)).toEqual(["infer_ms"]);
  const second = decodeObservation((await client.ask(observation(4))) as Buffer);
  expect(second["actions"]).toEqual({ data: Float32Array.of(4, -1), shape: [1, 2] });
  const timing = second["server_timing"] as Record<string, number>;
  expect(Object.keys(timing)).toEqual(["infer_ms", "prev_total_ms"]);
  expect(timing["prev_total_ms"]).toBeGreaterThan(0);
});

test("without metadata an empty map is sent", async () => {
  const server = await start(testPolicy());
  expect(await (await connect(server.url)).next()).toEqual(Buffer.of(0x80));
});

test("an error is a text frame and 1011; other clients notice nothing", async () => {
  const server = await start(testPolicy());
  const [bad, text, good] = [await join(server.url), await join(server.url), await join(server.url)];
  expect(await bad.ask(Uint8Array.of(0xc1))).toMatch(/^codec\/type: message: .*0xc1/);
  const reason = "Internal server error. Traceback included in previous frame.";
  expect(await bad.closed).toEqual({ code: 1011, reason });
  expect(await text.ask("hello")).toMatch(/^server\/message: expected a binary frame/);
  expect((await text.closed).code).toBe(1011);
  expect(value(await good.ask(observation(5)))).toBe(5);
});

test("a failure inside is told without its details", async () => {
  const policy = testPolicy();
  await policy.release();
  const server = await start(policy);
  const client = await join(server.url);
  expect(await client.ask(observation(1))).toBe("server/internal: the server failed; its log says how");
  expect((await client.closed).code).toBe(1011);
});

test("/healthz, /metrics and the routes that are not there", async () => {
  const server = await start(testPolicy());
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(http(server) + path, init);
    return [response.status, await response.text()] as const;
  };
  expect(await get("/healthz")).toEqual([200, "OK\n"]);
  expect(await get("/healthz", { method: "POST", body: "x" })).toEqual([200, "OK\n"]);
  expect((await get("/../../etc/passwd"))[0]).toBe(404);
  expect((await get("/camera?name=../../etc/passwd"))[0]).toBe(404);
  const client = await join(server.url);
  await client.ask(observation(1));
  await client.ask(observation(1));
  const [, metrics] = await get("/metrics");
  expect(metrics).toContain('insula_requests_total{outcome="ok"} 2');
  expect(metrics).toContain("insula_clients 1");
  expect(metrics).toMatch(/insula_request_seconds_count 2/);
});

test("eight clients at once each get their own answers, batched when the policy takes several", async () => {
  const policy = testPolicy({ ms: 5, maxBatch: 4 });
  const server = await start(policy, { batchWaitMs: 20 });
  const clients = await Promise.all(Array.from({ length: 8 }, () => join(server.url)));
  await Promise.all(
    clients.map(async (client, k) => {
      for (let i = 0; i < 5; i++) expect(value(await client.ask(observation(100 * k + i)))).toBe(100 * k + i);
    }),
  );
  expect(policy.batches.reduce((a, b) => a + b)).toBe(40);
  expect(Math.max(...policy.batches)).toBe(4);
  expect(policy.batches.length).toBeLessThan(25);
});

test("a policy that computes two batches at the same time gets two", async () => {
  let [now, most] = [0, 0];
  const slow = testPolicy({ ms: 20, maxParallel: 2 });
  const run: TestPolicy["run"] = async (batch) => {
    now += 1;
    most = Math.max(most, now);
    const results = await slow.run(batch);
    now -= 1;
    return results;
  };
  const server = await start(slow, { load: async () => ({ policy: { ...slow, run } }) });
  const clients = await Promise.all(Array.from({ length: 4 }, () => join(server.url)));
  await Promise.all(
    clients.map(async (client, k) => {
      for (let i = 0; i < 3; i++) expect(value(await client.ask(observation(10 * k + i)))).toBe(10 * k + i);
    }),
  );
  expect(most).toBe(2);
});

test("a single client does not wait for others to join its batch", async () => {
  const server = await start(testPolicy({ maxBatch: 4 }), { batchWaitMs: 2000 });
  const client = await join(server.url);
  const begin = performance.now();
  await client.ask(observation(1));
  expect(performance.now() - begin).toBeLessThan(1000);
});

test("a full queue answers busy at once, and the connection lives on", async () => {
  const server = await start(testPolicy({ ms: 200 }), { maxQueue: 1 });
  const clients = await Promise.all([0, 1, 2].map(() => join(server.url)));
  const replies = await Promise.all(clients.map((client, k) => client.ask(observation(k))));
  const refused = replies.findIndex((reply) => typeof reply === "string");
  expect(replies[refused]).toBe(
    "server/busy: busy: 1 requests wait already; try again, or raise --max-queue",
  );
  expect(replies.filter((reply) => typeof reply !== "string")).toHaveLength(2);
  expect(value(await clients[refused]!.ask(observation(9)))).toBe(9);
});

test("a deadline passes for a request that waits and for one in the model", async () => {
  const policy = testPolicy({ ms: 900 });
  const server = await start(policy, { deadlineMs: 60 });
  const clients = await Promise.all([0, 1].map(() => join(server.url)));
  const begin = performance.now();
  const replies = await Promise.all(clients.map((client) => client.ask(observation(1))));
  expect(replies).toEqual(Array(2).fill("server/deadline: no answer within 60 ms (--deadline-ms)"));
  expect(performance.now() - begin).toBeLessThan(900);
  expect(policy.batches).toEqual([1]);
});

test("a client that leaves takes its waiting request with it", async () => {
  const policy = testPolicy({ ms: 300 });
  const server = await start(policy);
  const [first, second, third] = [await join(server.url), await join(server.url), await join(server.url)];
  const reply = first.ask(observation(1));
  second.socket.send(observation(2));
  await new Promise((resolve) => setTimeout(resolve, 20));
  second.socket.terminate();
  await reply;
  expect(value(await third.ask(observation(3)))).toBe(3);
  expect(policy.batches).toEqual([1, 1]);
});

test("a client that sends ahead is answered in order; one that floods is cut off", async () => {
  const server = await start(testPolicy({ ms: 1 }));
  const ahead = await join(server.url);
  for (let i = 0; i < 4; i++) ahead.socket.send(observation(i));
  for (let i = 0; i < 4; i++) expect(value(await ahead.next())).toBe(i);
  const flood = await join(server.url);
  for (let i = 0; i < 5000; i++) flood.socket.send(observation(i));
  expect([1006, 1008]).toContain((await flood.closed).code);
  expect(value(await ahead.ask(observation(7)))).toBe(7);
});

test("a token is asked for, in either of its forms", async () => {
  const server = await start(testPolicy(), { token: "s3cret" });
  await expect(connect(server.url)).rejects.toThrow("401");
  await expect(connect(server.url, { authorization: "Api-Key wrong" })).rejects.toThrow("401");
  for (const scheme of ["Api-Key", "Bearer"]) {
    const client = await join(server.url, { authorization: `${scheme} s3cret` });
    expect(value(await client.ask(observation(1)))).toBe(1);
  }
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await fetch(http(server) + path, { headers })).status;
  expect(await status("/healthz")).toBe(200);
  expect(await status("/status.json")).toBe(401);
  expect(await status("/metrics", { authorization: "Bearer s3cret" })).toBe(200);
});

test("with a certificate only wss and https are spoken", async () => {
  const server = await start(testPolicy(), { tls: TEST_TLS });
  expect(server.url).toMatch(/^wss:/);
  const client = await join(server.url);
  expect(value(await client.ask(observation(2)))).toBe(2);
  await expect(connect(server.url.replace("wss", "ws"))).rejects.toThrow();
});

test("a page of another site cannot connect", async () => {
  const server = await start(testPolicy());
  await expect(connect(server.url, { origin: "https://evil.example" })).rejects.toThrow("403");
  await join(server.url, { origin: http(server) });
});

test("too large a message closes with 1009, too many clients are refused", async () => {
  const server = await start(testPolicy(), { maxMessageBytes: 1000, maxClients: 2 });
  const [big, other] = [await join(server.url), await join(server.url)];
  await expect(connect(server.url)).rejects.toThrow("503");
  big.socket.send(new Uint8Array(1001));
  expect((await big.closed).code).toBe(1009);
  expect(value(await other.ask(observation(1)))).toBe(1);
});

test("a reload keeps the clients: what is under way is answered by the old policy, which is then released", async () => {
  const policies = [testPolicy({ ms: 300 }), testPolicy({ offset: 1000 })];
  let loads = 0;
  const server = await start(policies[0]!, {
    token: "t",
    load: async () => {
      const policy = policies[loads++];
      if (!policy) throw new Error("no such checkpoint");
      return { policy };
    },
  });
  const headers = { authorization: "Api-Key t" };
  const client = await join(server.url, headers);
  const before = client.ask(observation(1));
  await vi.waitFor(() => expect(policies[0]!.batches).toEqual([1]));
  const post = () => fetch(`${http(server)}/reload`, { method: "POST", headers });
  expect((await post()).status).toBe(200);
  expect(policies[0]!.released).toBe(false);
  expect(value(await before)).toBe(1);
  await vi.waitFor(() => expect(policies[0]!.released).toBe(true));
  expect(value(await client.ask(observation(1)))).toBe(1001);
  const failed = await post();
  expect([failed.status, await failed.text()]).toEqual([
    500,
    "not reloaded, the old policy stays: no such checkpoint\n",
  ]);
  expect(value(await client.ask(observation(2)))).toBe(1002);
  expect((await fetch(`${http(server)}/reload`, { headers })).status).toBe(405);
});

test("without a token nobody reloads over HTTP", async () => {
  const server = await start(testPolicy());
  expect((await fetch(`${http(server)}/reload`, { method: "POST" })).status).toBe(403);
});

test("closing answers what is under way, then says goodbye", async () => {
  const policy = testPolicy({ ms: 300 });
  const server = await start(policy, { drainMs: 5000 });
  const [busy, idle] = [await join(server.url), await join(server.url)];
  const reply = busy.ask(observation(6));
  await vi.waitFor(() => expect(policy.batches).toEqual([1]));
  const closing = server.close();
  expect(value(await reply)).toBe(6);
  expect((await busy.closed).code).toBe(1001);
  expect((await idle.closed).code).toBe(1001);
  await closing;
  expect(policy.released).toBe(true);
  await expect(connect(server.url)).rejects.toThrow("ECONNREFUSED");
});

test("a half-open client is cut off by its missing pong, a slow reader by the time to send", async () => {
  const server = await start(testPolicy(), { heartbeatMs: 40, sendTimeoutMs: 150 });
  const alive = await join(server.url);
  const half = connectTcp(server.port, "127.0.0.1");
  half.write(
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  half.resume();
  await once(half, "close");
  expect(value(await alive.ask(observation(1)))).toBe(1);
});

test("a slow reader is cut off, and memory with it", async () => {
  const big = testPolicy();
  const large = { data: new Float32Array(4_000_000), shape: [4_000_000] };
  const server = await start(
    { ...big, run: async (batch) => batch.map(() => ({ actions: large })), batches: [], released: false },
    { sendTimeoutMs: 150 },
  );
  const [slow, other] = [await join(server.url), await join(server.url)];
  slow.socket.pause();
  slow.socket.send(observation(1));
  const metric = async () =>
    (await (await fetch(`${http(server)}/metrics`)).text()).match(/insula_clients \d/)?.[0];
  await vi.waitFor(async () => expect(await metric()).toBe("insula_clients 1"), 5000);
  expect((await other.ask(observation(1))).length).toBeGreaterThan(16_000_000);
});

test("hostile messages on the socket: an error each, and a client beside them is served all the while", async () => {
  const server = await start(testPolicy(), { maxClients: 64 });
  const good = await join(server.url);
  const next = hostileMessages(2);
  const runs = Math.min(FUZZ_RUNS, 20_000);
  const codes = new Set<string>();
  const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  let before = 0;
  for (let i = 0; i < runs; i += 20) {
    if (i === 20 * Math.floor(runs / 40)) before = memory();
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await join(server.url);
        const reply = await client.ask(next());
        expect(typeof reply).toBe("string");
        codes.add(String(reply).split(":")[0]!);
        client.socket.terminate();
      }),
    );
    expect(value(await good.ask(observation(i)))).toBe(Math.fround(i));
  }
  expect(memory() - before).toBeLessThan(64 * 1024 * 1024);
  expect([...codes].every((code) => code.startsWith("codec/") || code === "test/state")).toBe(true);
}, 600_000);

test("bytes that are no WebSocket at all harm nobody", async () => {
  const server = await start(testPolicy());
  const good = await join(server.url);
  const next = hostileMessages(3);
  for (let i = 0; i < 100; i++) {
    const raw = connectTcp(server.port, "127.0.0.1");
    raw.on("error", () => {});
    raw.resume();
    if (i % 2) {
      raw.write(
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
      );
    }
    raw.end(next());
    await once(raw, "close");
  }
  expect(value(await good.ask(observation(1)))).toBe(1);
});
