"""Composed drafts of the model: what parts there can be, and what the contract says
that they make."""
import json

# Beside inputs/.
TOP = ("prompt.txt", "system.txt", "schema.json", "defaults.json", "inputs.txt")

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def picture(n):
    return (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\6\0\0\0\x1f\x15\xc4\x89 %d" % n)


def is_picture(data):
    return data.startswith(b"\x89PNG")


def make_texts(rng, serial, n, marks):
    """Files below inputs/, some of them deeper."""
    return {"inputs/%st%d.txt" % (rng.choice(["", "", "d/", "d/e e/"]), i):
            b"%stext %d.%d\n" % ((rng.choice(marks) + " ").encode() if rng.random() < 0.1 else b"",
                                 serial, i)
            for i in range(n)}


def make_lines(rng, serial, n, marks):
    out = []
    for i in range(n):
        out += [""] * (rng.random() < 0.1)
        out.append("%sline %d.%d" % (rng.choice(marks) + " " if rng.random() < 0.1 else "", serial, i))
    return {"inputs.txt": "\n".join(out).encode() + rng.choice([b"\n", b""])}


def make_pictures(rng, n):
    return {"inputs/%sp%d.png" % (rng.choice(["", "d/"]), i): picture(rng.randrange(6))
            for i in range(n)}


def make_parts(rng, serial, marks):
    """The parts of a draft: path -> bytes. Not all of them can be sent."""
    n, kind = 1 + serial % 97, rng.choice(["lines", "texts", "pictures", "files", "mixture"])
    parts = {}
    if kind == "lines":
        parts.update(make_lines(rng, serial, n, marks))
    if kind in ("texts", "mixture"):
        parts.update(make_texts(rng, serial, n if kind == "texts" else n // 2, marks))
    if kind in ("pictures", "files", "mixture"):
        parts.update(make_pictures(rng, n - len(parts)))
    if kind == "files":
        parts["prompt.txt"] = b"[emu:files]\n"
    elif kind != "lines" or rng.random() < 0.5:
        parts["prompt.txt"] = b"What of this, %d?\n" % serial
    if rng.random() < 0.3:
        parts["system.txt"] = b"Be brief."
    if rng.random() < 0.3:
        parts["defaults.json"] = b'{"generationConfig": {"temperature": 0.5}}\n'
    if rng.random() < 0.2 and kind != "files":
        parts["schema.json"] = json.dumps(SCHEMA).encode()
    return parts


# One more, with which it cannot be sent; or without which.
SPOILT = [
    ("inputs/empty", b""), ("schema.json", b"{no json"), ("defaults.json", b'{"temperature": 1}'),
    ("defaults.json", b"[]"), ("inputs.txt", b"\n\n"), ("inputs/noise", b"\x1f\x8b\x08\0\xff"),
]


def spoil(rng, parts):
    parts.update([rng.choice(SPOILT)])
    if any(p.startswith("inputs/") for p in parts) and rng.random() < 0.3:
        parts["inputs.txt"] = b"one\n"


def json_of(data):
    try:
        value = json.loads(data)
        return value if isinstance(value, dict) else None
    except ValueError:
        return None


def line_inputs(data):
    lines = [(i, l) for i, l in enumerate(data.decode().split("\n"), 1) if l.strip()]
    width = len(str(lines[-1][0])) if lines else 0
    return [("%0*d" % (width, i), {"text": l}) for i, l in lines]


def file_input(path, data):
    if is_picture(data):
        return {"file_data": {"file_uri": path, "mime_type": "image/png"}}
    return {"text": data.decode()}


def rest_of(parts):
    """What all requests have beside their contents, or None."""
    rest = json_of(parts.get("defaults.json", b"{}"))
    schema = json_of(parts.get("schema.json", b"{}"))
    if rest is None or schema is None or set(rest) - {"generationConfig"}:
        return None
    if "system.txt" in parts:
        rest["systemInstruction"] = {"parts": [{"text": parts["system.txt"].decode().rstrip("\n")}]}
    if "schema.json" in parts:
        rest.setdefault("generationConfig", {}).update(
            responseMimeType="application/json", responseSchema=schema)
    return rest


def compose_requests(parts):
    """key -> request in the order of the lines, or None where it is refused."""
    files = sorted(p for p in parts if p.startswith("inputs/"))
    if bool(files) == ("inputs.txt" in parts):
        return None
    rest = rest_of(parts)
    if rest is None or any(not parts[p] or parts[p][0] == 0x1f for p in files):
        return None
    asked = [{"text": parts["prompt.txt"].decode().rstrip("\n")}] if "prompt.txt" in parts else []
    if not asked and "system.txt" not in parts and any(is_picture(parts[p]) for p in files):
        return None
    inputs = (line_inputs(parts["inputs.txt"]) if not files else
              [(p[len("inputs/"):], file_input(p, parts[p])) for p in files])
    return {key: dict(rest, contents=[{"role": "user", "parts": asked + [part]}])
            for key, part in inputs} or None
