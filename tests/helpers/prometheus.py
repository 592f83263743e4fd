#!/usr/bin/env python3
"""Reads metrics as strictly as Prometheus' text format 0.0.4 is written:

    prometheus.py FILE

UTF-8, each line ends; HELP, then TYPE, then all samples of a metric together; names, labels
and escapes; no series twice; a counter is called …_total and never below zero. Prints what is
wrong; status 1 then.
"""
import re
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|Inf|NaN)")
TYPES = ("counter", "gauge", "untyped")


def fail(number, why):
    sys.exit(f"line {number}: {why}")


def sample(number, line):
    """The metric, its labels and its value."""
    name = NAME.match(line)
    if not name:
        fail(number, f"no name of a metric: {line}")
    at, labels = name.end(), {}
    if line[at:at + 1] == "{":
        at += 1
        while line[at:at + 1] != "}":
            label = LABEL.match(line, at)
            if not label or label[1] in labels or label[1].startswith("__"):
                fail(number, f"no label, or one twice: {line[at:]}")
            labels[label[1]] = label[2]
            at = label.end()
            if line[at:at + 1] == ",":
                at += 1
            elif line[at:at + 1] != "}":
                fail(number, f"labels that do not end: {line[at:]}")
        at += 1
    if line[at:at + 1] != " " or not VALUE.fullmatch(line[at + 1:]):
        fail(number, f"no value: {line[at:]}")
    return name[0], tuple(sorted(labels.items())), float(line[at + 1:])


def comment(number, line, current, seen):
    """The metric that stands from here on, and its type, None after HELP."""
    word, name, rest = (line[2:].split(" ", 2) + ["", ""])[:3]
    if not NAME.fullmatch(name) or not rest:
        fail(number, f"a comment that says nothing: {line}")
    if word == "HELP":
        if name in seen:
            fail(number, f"{name} stands in two places")
        if re.search(r"\\(?![\\n])", rest):
            fail(number, "an escape that there is not")
        seen.add(name)
        return name, None
    if word != "TYPE" or current != (name, None) or rest not in TYPES:
        fail(number, f"no TYPE that belongs to the HELP above: {line}")
    if (rest == "counter") != name.endswith("_total"):
        fail(number, f"{name} is a {rest}")
    return name, rest


def main():
    with open(sys.argv[1], "rb") as file:
        text = file.read().decode()
    if not text.endswith("\n") or "\r" in text:
        fail(0, "the last line does not end, or CR")
    current, seen, series = (None, None), set(), set()
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.startswith("# "):
            current = comment(number, line, current, seen)
            continue
        name, labels, value = sample(number, line)
        if current[0] != name or not current[1]:
            fail(number, f"{name} is not below its TYPE")
        if (name, labels) in series:
            fail(number, f"twice: {line}")
        series.add((name, labels))
        if current[1] == "counter" and value < 0:
            fail(number, f"a counter below zero: {line}")


main()
