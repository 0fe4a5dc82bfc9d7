"""What the document cannot say in JSON Schema, for requests that should be accepted."""

import re
import uuid

import schemathesis

# Of these the server counts bytes, a schema characters.
BYTES = {"username": 256, "password": 1024, "message": 32768, "user_id": 128}
# What was said under each key: with another text it would be refused.
said = {}
# Those that were told in answers; others would be unknown.
sessions = set()


@schemathesis.hook
def before_call(ctx, case, kwargs):
    # It would go on for ever.
    if case.operation.path.endswith("/events") and str((case.path_parameters or {}).get("session_id")) in sessions:
        case.path_parameters["session_id"] = str(uuid.uuid4())
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    given = [headers for headers in (case.headers, kwargs.get("headers")) if headers]
    guest = any(name.lower() == "x-device-id" for headers in given for name in headers)
    if guest:
        # A token would decide, and this one is made up.
        for headers in given:
            headers.pop("Authorization", None)
    # In a header schemathesis takes a number for a text, whatever the text's pattern.
    mark = case.headers.get("Last-Event-ID") if case.headers else None
    if mark is not None and case.operation.path.endswith("/stream") and "-" not in mark:
        del case.headers["Last-Event-ID"]
    if isinstance(case.body, dict):
        case.body = dict(case.body)
        for name, most in BYTES.items():
            if isinstance(case.body.get(name), str):
                case.body[name] = case.body[name].encode()[:most].decode(errors="ignore")
        if isinstance(case.body.get("message"), str):
            message(case, guest)


@schemathesis.hook
def after_call(ctx, case, response):
    if case.operation.path == "/chat/message" and response.status_code == 200:
        sessions.update(re.findall('"session_id":"([^"]+)"', response.text))


def message(case, guest):
    body, headers = case.body, case.headers
    # Something of it has to be seen.
    if not any(map(str.isalnum, body["message"])):
        body["message"] = "hi"
    # The caller is who it is, and a session is one that is there.
    body.pop("user_id", None)
    if body.get("session_id") not in sessions:
        body.pop("session_id", None)
    # Now and then as a stream. No link of the document goes on from there.
    if len(body["message"]) % 4 == 0 and case.meta.phase.name != "stateful":
        headers["Accept"] = "text/event-stream"
    # A key and a device that stand twice have to be the same.
    key = headers.get("Idempotency-Key")
    if key is not None:
        body.pop("client_message_id", None)
    if guest:
        body.pop("device_id", None)
    key = key or body.get("client_message_id")
    if key is not None and said.setdefault(key.strip('"'), body["message"]) != body["message"]:
        body.pop("client_message_id", None)
        headers.pop("Idempotency-Key", None)
