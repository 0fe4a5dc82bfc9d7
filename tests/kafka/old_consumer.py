"""What a consumer of the FastAPI system does with the records of both chat topics, which come one a line.

It knows neither their topic nor a type: what has a member `message` is a question, anything else an answer. Each is
printed as the members that it reads.
"""
import json
import sys


def question(data):
    read = {name: data[name] for name in ("message_id", "session_id", "user_id", "message")}
    return {"question": read}


def answer(data):
    return {"answer": {"message_id": data["message_id"], "response": data["response"][:50]}}


for line in sys.stdin:
    data = json.loads(line)
    print(json.dumps(question(data) if "message" in data else answer(data)))
