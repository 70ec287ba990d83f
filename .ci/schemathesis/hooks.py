"""What schemathesis has to be told of FOOF beyond the description: who asks, what an image is, and what a form cannot say."""

import atexit
import collections
import itertools
import json
import os
import re
import threading
import time
import urllib.parse
import urllib.request
import uuid

import schemathesis
from hypothesis import strategies

URL = os.environ["FOOF_URL"]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    fields.update(properties(raw_schema))


def post(path, **fields):
    body = urllib.parse.urlencode(fields).encode()
    with urllib.request.urlopen(URL + path, body) as answer:
        return json.load(answer)


class User:
    """Who asks: somebody new whenever the last one's token was revoked."""

    numbers = itertools.count(time.time_ns())  # nobody had them before
    lock = threading.Lock()
    token = None

    @classmethod
    def valid_token(cls):
        with cls.lock:
            if cls.token is None:
                number = next(cls.numbers)
                post("/user/requirecode", phonenumber=number)
                with urllib.request.urlopen(f"{URL}/dev/outbox?to={number}") as outbox:
                    code = json.load(outbox)[0]["code"]
                post("/user/register", phonenumber=number, verifycode=code, password="correct-horse")
                cls.token = post("/user/login", phonenumber=number, password="correct-horse")["token"]
            return cls.token


@schemathesis.auth(refresh_interval=None)
class Bearer:
    def get(self, case, context):
        return User.valid_token()

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


# What is uploaded is an image, of one pixel; without this it would be noise, which is refused.
PIXEL = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
schemathesis.openapi.format("binary", strategies.just(PIXEL))

fields = set()  # the names of all that are described


def properties(node):
    """Finds the names of properties in a part of the description."""
    if isinstance(node, dict):
        yield from node.get("properties", {})
        node = node.values()
    elif not isinstance(node, list):
        return
    for child in node:
        yield from properties(child)


def whole(value):
    """To JSON Schema 110.0 is whole; we take 110, as our description says."""
    if isinstance(value, list):
        return [whole(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e19 else value


@schemathesis.hook
def before_call(context, case, kwargs):
    """Says what is meant in a way in which it can be said."""
    # A key is for one request; which keys are none is left as it is.
    if re.fullmatch("[ -~]{1,255}", (case.headers or {}).get("Idempotency-Key", "")):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if not isinstance(case.body, dict):
        return
    body = dict(case.body)
    # Any text in the field `token` would outdo the bearer, and nothing beyond 403 would be tested.
    if isinstance(body.get("token"), str):
        del body["token"]
    for name, value in case.body.items():
        body[name] = value = whole(value)
        if case.media_type == "application/json":
            continue
        # A form has no null; lists and objects are JSON text in it, not a field given twice; and fields that are passed over, which may
        # be either, are left to JSON.
        if value is None or name not in fields:
            body.pop(name, None)
        elif isinstance(value, (list, dict)):
            body[name] = json.dumps(value)
    case.body = body


statuses = collections.Counter()


@schemathesis.hook
def after_call(context, case, response):
    statuses[response.status_code] += 1
    revoking = case.path == "/user/logout" or case.path == "/user/modify" and isinstance(case.body, dict) and case.body.get("password")
    if revoking and response.status_code == 200:
        User.token = None


@atexit.register
def tell():
    print("answers by status:", *(f"{status}: {n}" for status, n in sorted(statuses.items())))
