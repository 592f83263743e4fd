"""The reference model: what a user may expect of the tree, and of what was bought.

A Content is what a requests.jsonl holds. A Job is one life of a directory, from mkdir
to rmdir. What happens at the API is attributed to the job that asked for it by display
name and number of requests; contents differ in their number of lines.
"""
import hashlib
import json
import time

from parts import TOP, compose_requests
from world import Broken

REQUESTS = "requests.jsonl"
REJECTED = "requests.jsonl.rejected"

DRAFT = ("DRAFT", "SUBMIT_FAILED")
BUSY = ("UPLOADING", "SUBMITTING", "QUEUED")
ENDED = tuple("JOB_STATE_" + s for s in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"))

# What a call may fail with when the API or the network does.
TROUBLE = {"EIO", "EDQUOT", "EHOSTUNREACH", "ETIMEDOUT"}
# And where it is refused, or is about a job that this key does not find.
REFUSED = {"EACCES", "ENOENT", "ENODATA", "EBUSY"}


def is_sent(state):
    return state.startswith("JOB_STATE_")


# What the emulator does with a prompt in which one of these stands, as answers.tsv has it.
MARKED = {
    "[emu:error 14]": "failed", "[emu:error 3]": "failed", "[emu:missing]": "missing",
    "[emu:blocked]": "blocked",
}
MARKS = list(MARKED)
PASSING = ("[emu:error 14]", "[emu:missing]") # retry.jsonl has them


def make_content(rng, serial):
    """The bytes of a good requests.jsonl, of one of the ways to write it."""
    lines = 1 + serial % 97
    style = rng.choice(["keyed", "keyed", "bare", "mixed"])
    out = []
    marked = rng.random() < 0.3
    for i in range(1, lines + 1):
        mark = rng.choice(MARKS) + " " if marked and rng.random() < 0.3 else ""
        request = {"contents": [{"parts": [{"text": "%sprompt %d.%d" % (mark, serial, i)}]}]}
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


def parts_of(request):
    return request["contents"][0]["parts"]


def names_in(request):
    """Files of the draft that a request names."""
    return [p["file_data"]["file_uri"] for p in parts_of(request) if "file_data" in p]


def text_of(request):
    return "\n".join(p["text"] for p in parts_of(request) if "text" in p)


def expected(request, files):
    """(what answers.tsv calls it, the text of the answer)."""
    text = text_of(request)
    for mark, how in MARKED.items():
        if mark in text:
            return how, None
    given = [files[n] for n in names_in(request)]
    if "[emu:files]" in text:
        return "answered", "".join("image/png %d %s\n" % (
            len(b), hashlib.sha256(b).hexdigest()) for b in given)
    config = request.get("generationConfig", {})
    if "responseSchema" in config:
        return "answered", {"a": text}
    out = "You said: " + text
    if "systemInstruction" in request:
        out += " [system: %s]" % request["systemInstruction"]["parts"][0]["text"]
    if "temperature" in config:
        out += " [temperature: %g]" % config["temperature"]
    return "answered", out + "".join(" [file: image/png, %d bytes]" % len(b) for b in given)


def same_answer(got, want):
    return json.loads(got) == want if isinstance(want, dict) else got == want


class Content:
    """What some bytes ask for: key (text, or number of the line) -> request; asked is None
    where they are none that can be sent. files: what the requests name, by name."""

    known = {}

    def __init__(self, asked, files=None):
        self.asked, self.files = asked, files
        self.names = {n for r in (asked or {}).values() for n in names_in(r)}

    @classmethod
    def of(cls, data):
        if data not in cls.known:
            cls.known[data] = cls(cls._parse(data))
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
                request["contents"][0]["parts"][0]["text"]
                asked[key] = request
        except (ValueError, KeyError, IndexError, AttributeError):
            return None
        return asked or None

    def key(self, key):
        """As asked: a line without a key got its number."""
        return key if key in self.asked else int(key)

    def expected(self, key):
        return expected(self.asked[key], self.files)

    def check_results(self, data, whole):
        """The answers are right by key, and with whole all of them are there."""
        seen = set()
        for line in data.decode().splitlines():
            answer = json.loads(line)
            key = self.key(answer["key"])
            if key in seen:
                raise Broken("two answers to %s" % key)
            seen.add(key)
            how, text = self.expected(key)
            candidates = answer.get("response", {}).get("candidates")
            if not candidates:
                if whole and how == "answered":
                    raise Broken("no answer to %s: %s" % (key, line[:300]))
                continue
            got = candidates[0]["content"]["parts"][0]["text"]
            if how != "answered" or not same_answer(got, text):
                raise Broken("the answer to %s is %r, expected %s %r" % (key, got, how, text))
        missing = {k for k in self.asked if self.expected(k)[0] == "missing"}
        if seen & missing:
            raise Broken("answers that cannot be: %s" % sorted(seen & missing))
        if whole and len(seen) + len(missing) != len(self.asked):
            raise Broken("%d answers to %d requests" % (len(seen), len(self.asked)))


def compose(parts):
    """Content that the parts make, or None."""
    asked = compose_requests(parts)
    return Content(asked, parts) if asked else None


class Job:
    def __init__(self, name):
        self.name = name
        self.files = {}        # name -> bytes
        self.parts = {}        # of a composed draft, and below inputs/: path -> bytes
        self.incomplete = set() # parts and files whose writer was killed
        self.murky = set()     # and those of which nobody knows whether
        self.shown = None      # whether requests.jsonl shows what was composed; None: unknown
        self.state = "DRAFT"   # as last seen in the table
        self.unsure_at = None  # when an operation on it broke off: its task may still run
        self.names = set()     # under which it may have been sent
        self.keys = set()      # with which
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

    def content(self, data=None):
        """What is sent, if it can be: of data in place of requests.jsonl, of that, or of
        the parts."""
        data = self.files.get(REQUESTS) if data is None else data
        if data is None:
            return compose(self.parts)
        content = Content.of(data)
        if content.names and content.files is None: # of this job's own names
            content = Content(content.asked, {
                n: self.parts.get(n, self.files.get(n)) for n in content.names})
        return content

    def refused(self, data=None):
        """Whether the check refuses that."""
        own = self.files.get(REQUESTS) if data is None else data
        if own is None:
            return (compose(self.parts) is None or bool(self.incomplete) or
                    any(f != REJECTED for f in self.files))
        content = self.content(own)
        if content.asked is None or any(p in TOP for p in self.parts):
            return True
        if any(p.startswith("inputs/") for p in self.parts) and not content.names:
            return True
        return any(not b or n in self.incomplete for n, b in (content.files or {}).items())

    def good(self, data=None):
        """Whether it would be sent; None: nobody can say, a write of a file has broken off."""
        return None if self.murky else not self.refused(data)

    def is_draft(self):
        return self.state in DRAFT

    def in_flux(self):
        return self.unsure or self.state in BUSY

    def may_create(self, key, data=None):
        """A call is made that may buy these bytes, or what there is, with that key."""
        content = self.content(data)
        if content and content.asked is not None:
            self.tried.add(len(content.asked))
            self.names.add(self.name)
            self.keys.add(key)

    def promise(self, when):
        self.promised = self.promised or when
