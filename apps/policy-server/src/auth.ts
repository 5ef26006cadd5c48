/** @file Who may call: an optional token, and no pages of other sites. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Whether a request carries `token` (`Api-Key`, what openpi-client sends, or `Bearer`), in constant time. */
export function isAuthorized(request: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true;
  const given = /^(?:Api-Key|Bearer) +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

/** Whether a browser asks on behalf of another site's page: such a page must not drive a robot. */
export function isForeignPage(request: IncomingMessage): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}
