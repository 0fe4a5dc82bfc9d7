// A client whose types are made from the API's document: it logs in, talks, looks, deletes, and is a guest.
// `cargo xtask api` makes schema.d.ts, compiles this, and runs it with the address of a server.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const baseUrl = process.argv[2] ?? "http://localhost:8000";

// What is in the document is in the types: these would compile if it was not.
type Code = components["schemas"]["Problem"]["code"];
// @ts-expect-error No such code.
const noCode: Code = "no_such_code";
// @ts-expect-error A message has a text.
const noMessage: components["schemas"]["NewMessage"] = { client_message_id: "k" };
// @ts-expect-error An answer has no such member.
type NoMember = components["schemas"]["Answer"]["answer"];

// All but streams.
type Json = "application/json" | "application/problem+json";
const anybody = createClient<paths, Json>({ baseUrl });

const wrong = await anybody.POST("/auth/login", { body: { username: "testuser", password: "wrong" } });
assert.equal(wrong.response.status, 401);
assert.equal(wrong.error?.code, "wrong_credentials");
const login = await anybody.POST("/auth/login", { body: { username: "testuser", password: "testpass" } });
assert(login.data);
assert.equal(login.data.token_type, "bearer");

const user = createClient<paths, Json>({ baseUrl, headers: { Authorization: `Bearer ${login.data.access_token}` } });

// Said twice under one key, it is said once.
const key = crypto.randomUUID();
const ask = () =>
  user.POST("/chat/message", {
    params: { header: { "Idempotency-Key": `"${key}"` } },
    body: { message: "Find an iPhone 15", user_id: "user_123" },
  });
const [first, again] = [await ask(), await ask()];
assert(first.data && again.data);
assert.deepEqual(again.data, first.data);
assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");
const { session_id, message_id, message_seq, ai_response, products, status } = first.data;
assert.equal(status satisfies "completed" | "fallback" | "failed" | "cancelled", "completed");
assert.equal(message_seq, 1);
assert(products.length > 0 && products.every((product) => typeof product.product_name === "string"));

const path = { session_id };
const next = await user.POST("/chat/message", { body: { message: "And a cheaper one?", session_id } });
assert.equal(next.data?.session_id, session_id);
assert.equal(next.data?.message_seq, 3);

const newest = await user.GET("/chat/session/{session_id}/messages", { params: { path, query: { limit: 3 } } });
assert.deepEqual(newest.data?.map((message) => message.seq), [2, 3, 4]);
const older = await user.GET("/chat/session/{session_id}/messages", { params: { path, query: { before: 3 } } });
assert.deepEqual(older.data?.map(({ id, role, content, reply_to }) => [id === message_id, role, content, reply_to]), [
  [true, "user", "Find an iPhone 15", null],
  [false, "assistant", ai_response, 1],
]);

const shown = await user.GET("/chat/session/{session_id}", { params: { path } });
assert.equal(shown.data?.user_id, "user_123");
assert.equal(shown.data.messages.length, 4);

// The answer as it came: its pieces are the whole.
type Event = components["schemas"]["TurnEvent"];
const reader = createClient<paths, "text/event-stream">({ baseUrl, headers: { Authorization: `Bearer ${login.data.access_token}` } });
const stream = await reader.GET("/chat/session/{session_id}/turns/{message_id}/stream", {
  params: { path: { session_id, message_id } },
  parseAs: "text",
});
const events = ((stream.data as unknown as string | undefined) ?? "").split("\n\n").filter(Boolean).map((lines) => {
  const [, event, id, data] = lines.match(/^event: (.*)\nid: (.*)\ndata: (.*)$/) ?? [];
  return { event, id, data } as Event;
});
assert.deepEqual([...new Set(events.map(({ event }) => event))], ["turn", "delta", "done"]);
const deltas = events.filter(({ event }) => event === "delta").map(({ data }) => JSON.parse(data) as components["schemas"]["Delta"]);
assert.equal(deltas.map(({ text }) => text).join(""), ai_response);
const stopped = await user.POST("/chat/session/{session_id}/turns/{message_id}/stop", { params: { path: { session_id, message_id } } });
assert.equal(stopped.data?.status, "ended");

// Page by page, as the header says; newest first.
for (const message of ["In a second session.", "In a third one."]) {
  await user.POST("/chat/message", { body: { message } });
}
const seen: string[] = [];
let cursor: string | undefined;
do {
  const page = await user.GET("/chat/sessions", { params: { query: { limit: 1, ...(cursor && { cursor }) } } });
  assert(page.data);
  seen.push(...page.data.map((session) => session.session_id));
  cursor = page.response.headers.get("Link")?.match(/cursor=([^>&]+)/)?.[1];
} while (cursor);
assert.equal(seen.length, 3);
assert.equal(seen[2], session_id);

const bad = await user.GET("/chat/sessions", { params: { query: { limit: 1000 } } });
assert.equal(bad.error?.code, "validation_failed");
assert.deepEqual(bad.error.errors?.map((fault) => fault.parameter), ["limit"]);

// A guest sees its own sessions alone, until they are a user's.
const guest = createClient<paths, Json>({ baseUrl, headers: { "X-Device-Id": crypto.randomUUID() } });
const said = await guest.POST("/chat/message", { body: { message: "A laptop." } });
assert(said.data);
const others = await guest.GET("/chat/session/{session_id}", { params: { path } });
assert.equal(others.error?.code, "access_denied");
const own = await guest.GET("/chat/sessions");
assert.deepEqual(own.data?.map((session) => [session.session_id, session.user_id]), [[said.data.session_id, null]]);
const device_id = own.data[0]?.device_id;
assert(device_id);
await anybody.POST("/auth/login", { body: { username: "testuser", password: "testpass", device_id } });
const adopted = await user.GET("/chat/session/{session_id}", { params: { path: { session_id: said.data.session_id } } });
assert.equal(adopted.data?.user_id, "user_123");

const deleted = await user.DELETE("/chat/session/{session_id}", { params: { path } });
assert.equal(deleted.data?.message, "Session deleted successfully");
const gone = await user.GET("/chat/session/{session_id}", { params: { path } });
assert.equal(gone.error?.code, "session_not_found");

const nobody = await anybody.GET("/chat/sessions");
assert.equal(nobody.error?.code, "not_authenticated");
const health = await anybody.GET("/health");
assert.equal(health.data?.status, "healthy");

console.log("the client has walked the API");
