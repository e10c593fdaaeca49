"""What Schemathesis knows of the server: who asks, what there is, and what may be used up.

Reads `facts.json` in the current folder, and writes a line of `answers.ndjson` for each answer. Of four cases one
has a body that is good, where there is one to be had, two ask for what is there, and one is what Schemathesis made
up.
"""

import json
from collections import Counter

import schemathesis

with open("facts.json") as file:
    FACTS = json.load(file)
ANSWERS = open("answers.ndjson", "a", buffering=1)

asked = Counter()


def by_turns(values, turn):
    """One of several values; anything else is itself."""
    return values[turn % len(values)] if isinstance(values, list) else values


@schemathesis.hook
def before_call(context, case, kwargs):
    label = case.operation.label
    turn = asked[label]
    asked[label] += 1
    fact = FACTS["operations"].get(label, {})
    headers = fact.get("headers", FACTS["headers"])
    for name, value in by_turns(headers, turn).items():
        case.headers[name] = value
    if turn % 4 == 3:
        return
    ids = {**FACTS["ids"], **fact.get("ids", {})}
    for name in case.path_parameters or {}:
        if name in ids:
            case.path_parameters[name] = by_turns(ids[name], turn)
    if "query" in fact:
        case.query = {**(case.query or {}), **fact["query"]}
    if "bodies" in fact and turn % 4 == 0:
        case.body = by_turns(fact["bodies"], turn // 4)
        case.media_type = "application/json"
    elif "body" in fact and isinstance(case.body, dict):
        case.body = {**case.body, **fact["body"]}


@schemathesis.hook
def after_call(context, case, response):
    line = {"operation": case.operation.label, "status": response.status_code}
    ANSWERS.write(json.dumps(line) + "\n")
