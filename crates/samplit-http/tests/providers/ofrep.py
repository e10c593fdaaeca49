"""What the public Python provider makes of our answers. Arguments: base URL, API key, a flag."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

base, key, flag = sys.argv[1:]


def client(api_key):
    headers = {"Authorization": f"Bearer {api_key}"}
    api.set_provider(OFREPProvider(base, headers_factory=lambda: headers))
    return api.get_client()


def told(details):
    code = details.error_code and details.error_code.value
    reason = getattr(details.reason, "value", details.reason)
    return {
        "value": details.value,
        "variant": details.variant,
        "reason": reason,
        "error": code,
        "assignment": (details.flag_metadata or {}).get("assignment_id"),
    }


ann = EvaluationContext(targeting_key="python-ann", attributes={"device": "phone"})
good = client(key)
said = {
    "first": told(good.get_object_details(flag, {}, ann)),
    "again": told(good.get_object_details(flag, {}, ann)),
    "unknown": told(good.get_string_details("no-such-flag", "mine", ann)),
    "nobody": told(good.get_object_details(flag, {"mine": 1}, EvaluationContext())),
}
said["locked_out"] = told(client("sk_wrong").get_object_details(flag, {"mine": 1}, ann))
print(json.dumps(said))
