"""Random requests, and what answers.tsv and responses/ must say of their results: an
independent reading, in Python, of results.jsonl and requests.jsonl as files.

    rows.py make SEED N > requests.jsonl
    rows.py check JOB_DIRECTORY
"""
import json
import os
import random
import sys

WORDS = ["hello", "tab\there", "line\nbreak", "back\\slash", "\r", "quote\"s", "höhe", "日本",
         "\U0001f600", " ", "", "\x01", "a/b", "{\"a\":1}", "0" * 3000, "\u2028", "]}\n"]
KINDS = ["", "", "", "", "[emu:max_tokens] ", "[emu:error 14] ", "[emu:error 3] ",
         "[emu:missing] ", "[emu:blocked] ", "[emu:thought] ", "[emu:no_parts] "]


def make(seed, n):
    rng = random.Random(seed)
    for i in range(n):
        text = rng.choice(KINDS) + " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 5)))
        line = {"key": f"k{i}-" + rng.choice(["a", "ü", "x y", "q\"", "b\\c"]),
                "request": {"contents": [{"parts": [{"text": text or "x"}]}]}}
        print(json.dumps(line, ensure_ascii=rng.random() < 0.5))


def lines(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [json.loads(line) for line in f if line.strip()]


def tsv(text):
    for a, b in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(a, b)
    return text


def reading(result):
    """Outcome, and the text where an answer has one."""
    if result is None:
        return "missing", None
    if "error" in result:
        return "failed", None
    candidates = result["response"].get("candidates") or []
    if not candidates:
        return "blocked", None
    parts = (candidates[0].get("content") or {}).get("parts") or []
    text = "".join(p["text"] for p in parts if "text" in p and not p.get("thought"))
    cut = candidates[0].get("finishReason") == "MAX_TOKENS"
    return ("truncated" if cut else "answered"), text or None


def check(job):
    results = {r["key"]: r for r in lines(f"{job}/results.jsonl")}
    with open(f"{job}/answers.tsv", encoding="utf-8", newline="\n") as f:
        rows = f.read().split("\n")[:-1]
    requests = lines(f"{job}/requests.jsonl")
    assert len(rows) == len(requests), (len(rows), len(requests))
    texts = {}
    for row, request in zip(rows, requests):
        key, outcome, rest = row.split("\t", 2)
        want, text = reading(results.get(request["key"]))
        assert (key, outcome) == (tsv(request["key"]), want), (row, want)
        if text is not None:
            assert rest == tsv(text), (row, text)
            texts[text] = texts.get(text, 0) + 1
    found = {}
    for folder, _, names in os.walk(f"{job}/responses"):
        for name in names:
            if name.endswith(".error"):
                continue
            path = f"{folder}/{name}"
            with open(path, encoding="utf-8", newline="") as f:
                text = f.read()
            assert os.stat(path).st_size == len(text.encode()), path
            found[text] = found.get(text, 0) + 1
    want = {}
    for text, n in texts.items():
        file = text if text.endswith("\n") else text + "\n"
        want[file] = want.get(file, 0) + n
    assert found == want, set(found.items()) ^ set(want.items())


if sys.argv[1] == "make":
    make(int(sys.argv[2]), int(sys.argv[3]))
else:
    check(sys.argv[2])
