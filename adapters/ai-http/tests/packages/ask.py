"""Asks services with PyPI's `openai`, and prints what it makes of each answer, a line of JSON each.

Arguments: `whole` or `pieces`, and an address, for each service."""

import json
import sys

from openai import APIError, OpenAI


def read(answer, where, said):
    said["tokens"] = counted(answer) or said["tokens"]
    for choice in answer.choices[:1]:
        part = getattr(choice, where)
        said["text"] += (part and part.content) or ""
        said["finish_reason"] = choice.finish_reason or said["finish_reason"]


def counted(answer):
    return answer.usage and [answer.usage.prompt_tokens, answer.usage.completion_tokens]


def ask(kind, url):
    said = {"text": "", "finish_reason": None, "tokens": None, "error": None}
    client = OpenAI(base_url=url, api_key="a-key", max_retries=0)
    try:
        question = [{"role": "user", "content": "?"}]
        answer = client.chat.completions.create(model="a-model", messages=question, stream=kind == "pieces")
        for part in answer if kind == "pieces" else [answer]:
            read(part, "delta" if kind == "pieces" else "message", said)
    except APIError as error:
        said["error"] = [getattr(error, "status_code", None), text(error.code), text(error.type)]
    return said


def text(name):
    return None if name is None else str(name)


for kind, url in zip(sys.argv[1::2], sys.argv[2::2]):
    print(json.dumps(ask(kind, url)))
