"""The reference model: what a user may expect of the tree, and of what was bought.

A Content is what a requests.jsonl holds. A Job is one life of a directory, from mkdir
to rmdir. What happens at the API is attributed to the job that asked for it by display
name and number of requests; contents differ in their number of lines.
"""
import json
import time

from world import Broken

REQUESTS = "requests.jsonl"
REJECTED = "requests.jsonl.rejected"

DRAFT = ("DRAFT", "SUBMIT_FAILED")
BUSY = ("UPLOADING", "SUBMITTING", "QUEUED")
ENDED = tuple("JOB_STATE_" + s for s in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"))

# What a call may fail with when the API or the network does.
TROUBLE = {"EIO", "EDQUOT", "EHOSTUNREACH", "ETIMEDOUT"}


def is_sent(state):
    return state.startswith("JOB_STATE_")


def make_content(rng, serial):
    """The bytes of a good requests.jsonl, of one of the ways to write it."""
    lines = 1 + serial % 97
    style = rng.choice(["keyed", "keyed", "bare", "mixed"])
    out = []
    for i in range(1, lines + 1):
        request = {"contents": [{"parts": [{"text": "prompt %d.%d" % (serial, i)}]}]}
        if style == "bare" or (style == "mixed" and i % 2):
            out.append(request)
        else:
            out.append({"key": "key-%d" % i, "request": request})
    text = "\n".join(json.dumps(line) for line in out)
    if style == "mixed":
        text = text.replace("\n", "\n\n", 1) # a blank line is dropped on the way
    return (text + rng.choice(["\n", "\n", ""])).encode()


def make_bad_content(rng, serial):
    good = make_content(rng, serial)
    return rng.choice([
        good + b'\n{"key": "cut", "request": {"cont',
        b'{"key": "a"}\n' + good,
        good + b"\n\xff\xfe\n",
        b'{"key": "k", "request": {"contents": []}}\n' * 2,
        b"[1, 2]\n",
        b"\n\n",
    ])


class Content:
    """What some bytes ask for: key (text, or number of the line) -> prompt; None where
    they are none that can be sent."""

    known = {}

    def __init__(self, data):
        self.asked = self._parse(data)

    @classmethod
    def of(cls, data):
        if data not in cls.known:
            cls.known[data] = cls(data)
        return cls.known[data]

    @staticmethod
    def _parse(data):
        asked = {}
        try:
            lines = data.decode().split("\n")
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                value = json.loads(line)
                key = value.get("key", number)
                request = value["request"] if "contents" not in value else value
                if key in asked:
                    return None
                asked[key] = request["contents"][0]["parts"][0]["text"]
        except (ValueError, KeyError, IndexError, AttributeError):
            return None
        return asked or None

    def check_results(self, data, whole):
        """The answers are right by key, and with whole all of them are there."""
        seen = set()
        for line in data.decode().splitlines():
            answer = json.loads(line)
            key = answer["key"]
            if key not in self.asked:
                key = int(key)
            if key in seen:
                raise Broken("two answers to %s" % key)
            seen.add(key)
            if "response" not in answer:
                continue
            text = answer["response"]["candidates"][0]["content"]["parts"][0]["text"]
            if text != "You said: " + self.asked[key]:
                raise Broken("the answer to %s is %r" % (key, text))
        if whole and len(seen) != len(self.asked):
            raise Broken("%d answers to %d requests" % (len(seen), len(self.asked)))


class Job:
    def __init__(self, name):
        self.name = name
        self.files = {}        # name -> bytes
        self.state = "DRAFT"   # as last seen in the table
        self.unsure_at = None  # when an operation on it broke off: its task may still run
        self.names = set()     # under which it may have been sent
        self.tried = set()     # numbers of requests it may have been sent with
        self.allowed = 1       # creates; one more for each that was knowingly repeated
        self.ids = []          # of jobs at the API that came of it
        self.promised = None   # a call said that it is bought ("now") or will be ("later")
        self.cancelled = False # or may have been
        self.forgotten = False # by the API
        self.removed = False   # rmdir said so
        self.unsent = False    # and nothing had been sent
        self.results = None    # bytes, once they were read to the end

    @property
    def unsure(self):
        return self.unsure_at is not None

    @unsure.setter
    def unsure(self, value):
        self.unsure_at = time.monotonic() if value else None

    def content(self):
        data = self.files.get(REQUESTS)
        return Content.of(data) if data is not None else None

    def good(self):
        return self.content() is not None and self.content().asked is not None

    def is_draft(self):
        return self.state in DRAFT

    def in_flux(self):
        return self.unsure or self.state in BUSY

    def may_create(self, data):
        """A call is made that may buy these bytes."""
        content = Content.of(data)
        if content.asked is not None:
            self.tried.add(len(content.asked))
            self.names.add(self.name)

    def promise(self, when):
        self.promised = self.promised or when
