"""More operations of the walk: composed drafts, files that requests name, and what is
made of the results."""
import json

import deeds
from operations import Operations
from parts import TOP, make_parts, picture, spoil
from reference import (ENDED, MARKED, MARKS, PASSING, REQUESTS, Content, compose, is_sent,
                       text_of)
from walk import NAMES, READ_ONLY, Skip
from world import Broken

# Files in a draft's own directory that requests name; they are scratch.
PICTURES = ["scratch-p%d.png" % i for i in range(3)]


class Walker(Operations):
    def operations(self):
        return dict(super().operations(), **{
            "compose": (self.op_compose, 14),
            "part": (self.op_part, 8),
            "mix": (self.op_mix, 3),
            "attach": (self.op_attach, 8),
            "answers": (self.op_answers, 8),
            "retry": (self.op_retry, 6),
        })

    # ---- what there is -------------------------------------------------------------------

    def fresh(self):
        """A draft without anything in it."""
        name, job = self.pick()
        for other in NAMES: # one of which nobody knows what goes on is no use
            if job and (self.held(job) or job.in_flux()):
                name, job = other, self.jobs.get(other)
        if job and (self.held(job) or job.in_flux()):
            raise Skip
        if job and (job.parts or job.files or not job.is_draft()):
            self.remove_dir(name, job)
        if name not in self.jobs:
            self.make_dir(name, None)
        elif self.jobs[name] is job and (job.parts or job.files or not job.is_draft()):
            raise Skip # rmdir was refused
        if name not in self.jobs or self.jobs[name].in_flux():
            raise Skip
        return name, self.jobs[name]

    def reparts(self, job, *allowed):
        """Find out what parts there are; each is one of what they may be, or the beginning
        of the last, and then nobody knows whether it is whole."""
        r = self.do(deeds.parts, self.path(job.name))
        if r.broke:
            return self.reparts(job, *allowed)
        self.expect(r, "OK")
        olds = (job.parts,) + allowed
        for path, data in r.value.items():
            if data in [old.get(path) for old in olds]:
                continue
            if not (allowed and allowed[-1].get(path, b"").startswith(data)):
                raise Broken("%s/%s has other bytes: %r" % (job.name, path, data[:200]))
        for path in job.parts:
            if path not in r.value and not any(path not in a for a in allowed):
                raise Broken("%s/%s is gone" % (job.name, path))
        job.parts = r.value
        job.murky.update(*allowed)
        job.murky &= set(job.parts)
        job.shown = None

    def settle_parts(self):
        """Nothing to find out: what broke off has been looked at then."""

    def check_composed(self, job, data):
        """requests.jsonl of a draft that has none of its own."""
        sent = is_sent(job.state)
        if data is None:
            if sent or job.shown:
                raise Broken("%s does not show what is composed" % job.name)
            return
        if job.shown is False:
            raise Broken("%s shows what is not so any more" % job.name)
        content = compose(job.parts)
        if not content:
            raise Broken("%s shows what cannot be" % job.name)
        lines = [json.loads(line) for line in data.decode().splitlines()]
        if [line["key"] for line in lines] != list(content.asked):
            raise Broken("%s is composed of other inputs" % job.name)
        for line in lines:
            want = content.asked[line["key"]]
            for member in ("contents", "systemInstruction"):
                if line["request"].get(member) != want.get(member):
                    raise Broken("%s is composed differently: %s; expected %s"
                                 % (job.name, line, want))

    # ---- parts ---------------------------------------------------------------------------

    def put_parts(self, job, parts):
        """Written into a draft where nothing goes on; whether all of it went well."""
        r = self.do(deeds.write_parts, self.path(job.name), sorted(parts.items()))
        if r.broke or r.err != "OK":
            self.expect(r, *(("EBUSY",) if job.in_flux() else ("OK",)))
            self.reparts(job, {}, parts)
            return False
        job.parts.update(parts)
        job.murky -= set(parts)
        job.incomplete -= set(parts)
        job.shown = False
        return True

    def op_compose(self):
        parts = make_parts(self.rng, self.serial, MARKS)
        if self.rng.random() < 0.15:
            spoil(self.rng, parts)
        then = self.rng.choice(["submit", "submit", "submit", "check", "leave", "killed", "crash"])
        after = self.rng.choice([0.002, 0.01, 0.02, 0.05, 0.1])
        self.tell(then, len(parts))
        name, job = self.fresh()
        if not self.put_parts(job, parts):
            return
        if then == "check":
            self.check_by_ctl(name, job)
        elif then == "submit":
            self.submit_by_ctl(name, job)
        elif then == "killed":
            self.submit_by_ctl(name, job, kill_after=after)
        elif then == "crash" and not self.holder:
            self.submit_by_ctl(name, job, crash_after=after)

    def op_part(self):
        """Something is done to one part, or to a file that requests name."""
        name, job = self.pick()
        what = self.rng.choice(["write", "write", "unlink", "kill", "rename"])
        which, data = self.rng.random(), b"changed by %d\n" % self.serial
        if not job or self.held(job):
            raise Skip
        paths = sorted(p for p in job.parts if p not in ("schema.json", "defaults.json"))
        if self.rng.random() < 0.2 or not paths:
            paths = ["inputs/new", "prompt.txt", "inputs.txt"]
        path = paths[int(which * len(paths))]
        self.tell(what, path)
        fn, args, after = self.deed_on_part(job, what, path, data)
        r = self.do(fn, *args)
        if not job.is_draft() and not job.in_flux():
            self.expect(r, "ENOENT", *READ_ONLY) # no inputs/ of one sent without
            return
        if job.in_flux() or r.broke and r.err != "KILLED" or not self.mount.alive():
            self.reparts(job, after, {path: data, "inputs/moved": data})
            return
        self.expect(r, "KILLED" if what == "kill" else "OK" if after != job.parts or
                    what == "write" else "ENOENT")
        self.part_done(job, what, path, after)
        if r.broke:
            self.reparts(job, {path: data})

    def deed_on_part(self, job, what, path, data):
        """What to do, and the parts there are after it."""
        after, file = dict(job.parts), self.path(job.name, path)
        if what in ("write", "kill"):
            after[path] = data if what == "write" else data[:len(data) // 2]
            if what == "write":
                return deeds.write, (file, data), after
            return deeds.write_and_die, (file, after[path], "kill"), after
        old = after.pop(path, None)
        if what == "unlink":
            return deeds.unlink, (file,), after
        if old is not None:
            after["inputs/moved"] = old
        return deeds.rename, (file, self.path(job.name, "inputs/moved")), after

    @staticmethod
    def part_done(job, what, path, after):
        for marks in (job.incomplete, job.murky):
            if what == "rename" and path in job.parts and path != "inputs/moved":
                marks.discard("inputs/moved")
                if path in marks:
                    marks.add("inputs/moved")
            if what in ("write", "unlink", "rename"):
                marks.discard(path)
        if what == "kill":
            job.incomplete.add(path)
        if path in job.parts or path in after:
            job.shown = False
        job.parts = after

    def op_mix(self):
        """Requests of its own in a composed draft: nothing is sent."""
        name, job = self.pick()
        by = self.rng.choice(["close", "mv"])
        if not job or self.held(job) or not job.is_draft() or job.in_flux() or \
                not any(p in TOP for p in job.parts) or REQUESTS in job.files:
            raise Skip
        data = b'{"key": "mix", "request": {"contents": [{"parts": [{"text": "x"}]}]}}\n'
        if by == "mv":
            self.write_scratch(name, job, "scratch0")
            r = self.do(deeds.rename, self.path(name, "scratch0"), self.path(name, REQUESTS))
        else:
            r = self.do(deeds.write, self.path(name, REQUESTS), data)
        self.expect(r, "EBADMSG", *READ_ONLY, *(("OK",) if by == "close" and
                    self.options["submit"] == "ctl" else ()))
        r = self.do(deeds.unlink, self.path(name, REQUESTS))
        self.expect(r, "OK", "ENOENT", *READ_ONLY)
        self.refile(job, "scratch0", job.files.get("scratch0"))
        self.refile(job, "requests.jsonl.rejected", job.files.get("scratch0"),
                    job.files.get("requests.jsonl.rejected"))
        self.reparts(job)

    # ---- files that requests name -----------------------------------------------------------

    def named_content(self, names):
        lines = []
        for i in range(1 + self.serial % 97):
            lines.append(json.dumps({"key": "key-%d" % i, "request": {"contents": [{"parts": [
                {"text": "[emu:files] %d.%d" % (self.serial, i)},
                *({"file_data": {"file_uri": self.rng.choice(names)}}
                  for _ in range(self.rng.choice([1, 1, 2])))]}]}}))
        return "\n".join(lines).encode() + b"\n"

    def op_attach(self):
        below = self.rng.random() < 0.4
        names = ["inputs/p0.png", "inputs/d/p1.png"] if below else PICTURES
        files = {n: picture(self.rng.randrange(6)) for n in names}
        data = self.named_content(names)
        missing = self.rng.random() < 0.1
        how = self.rng.choice(["close", "close", "ctl", "killed", "crash"])
        after = self.rng.choice([0.005, 0.02, 0.05, 0.1])
        self.tell(how, *names)
        name, job = self.fresh()
        if missing:
            del files[names[-1]]
        if not below and not self.put_pictures(job, files) or \
                below and not self.put_parts(job, files):
            return
        if how == "killed":
            self.write_requests(job, name, data, 3, kill_after=after)
        elif how == "crash" and not self.holder:
            self.write_requests(job, name, data, 3, crash_after=after)
        elif how == "ctl":
            self.lay_bytes(name, job, data)
            self.submit_by_ctl(name, job)
        else:
            self.write_requests(job, name, data)

    def put_pictures(self, job, files):
        for file, data in sorted(files.items()):
            r = self.do(deeds.write, self.path(job.name, file), data)
            if r.broke or r.err != "OK":
                self.expect(r, *(("EBUSY",) if job.in_flux() else ("OK",)))
                self.refile(job, file, job.files.get(file), prefix_of=data)
                job.murky.add(file)
                return False
            job.files[file] = data
        return True

    # ---- what came back ---------------------------------------------------------------------

    def ended(self):
        name, job = self.pick()
        if not job or not is_sent(job.state):
            raise Skip
        r = self.do(deeds.read, self.path(name, "wait"), kill_after=3)
        if r.err != "OK" or name not in self.jobs:
            raise Skip
        return name, job, r.value.decode().strip()

    def op_answers(self):
        name, job, state = self.ended()
        if state != "JOB_STATE_SUCCEEDED":
            raise Skip
        r = self.do(deeds.answers, self.path(name))
        if r.err != "OK":
            self.expect(r, *self.errors(*(("ENOENT", "ENODATA") if job.forgotten else ()), job=job))
            return
        self.check_answers(job.content(), r.value, not job.cancelled)

    def check_answers(self, content, got, whole):
        rows = [line.split("\t", 2) for line in got["answers.tsv"].decode().splitlines()]
        if [content.key(row[0]) for row in rows] != list(content.asked):
            raise Broken("answers.tsv has other keys: %s; of %d; usage %r; %d responses" % (
                [row[0] for row in rows], len(content.asked), got["usage"], len(got["responses"])))
        counts, retried = {}, []
        for key, how, text in rows:
            want, answer = content.expected(content.key(key))
            if how != want and (whole or how not in ("missing", "failed")):
                raise Broken("answers.tsv: %s is %s, expected %s" % (key, how, want))
            if how == "answered":
                self.check_answer(got["responses"], key, text, answer)
            elif key + ".error" not in got["responses"]:
                raise Broken("responses/%s.error is not there" % key)
            counts[how] = counts.get(how, 0) + 1
            asked = text_of(content.asked[content.key(key)])
            if how == "missing" or any(mark in asked for mark in PASSING):
                retried.append(key)
        usage = dict(line.rsplit(None, 1) for line in got["usage"].decode().splitlines())
        for how in ("answered", *MARKED.values()):
            if int(usage[how]) != counts.get(how, 0):
                raise Broken("usage: %s %s, expected %s" % (how, usage[how], counts.get(how, 0)))
        if got["retry.jsonl"] is None: # results with too few lines are in doubt first
            if whole and not counts.get("missing"):
                raise Broken("retry.jsonl is not there")
            got["retry.jsonl"], whole = b"", False
        again = [json.loads(line)["key"] for line in got["retry.jsonl"].decode().splitlines()]
        if whole and again != retried:
            raise Broken("retry.jsonl has %s, expected %s" % (again, retried))
        if len(got["responses"]) != len(rows):
            raise Broken("%d responses to %d requests" % (len(got["responses"]), len(rows)))

    @staticmethod
    def check_answer(responses, key, text, answer):
        if isinstance(answer, dict):
            if json.loads(responses[key + ".json"]) != answer:
                raise Broken("responses/%s.json is %r" % (key, responses[key + ".json"]))
            return
        if responses[key + ".txt"].decode() != (answer if answer.endswith("\n") else answer + "\n"):
            raise Broken("responses/%s.txt is %r, expected %r" % (key, responses[key + ".txt"], answer))
        escaped = answer.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        if text != escaped:
            raise Broken("answers.tsv: %s: %r, expected %r" % (key, text, escaped))

    def op_retry(self):
        """cp j/retry.jsonl k/requests.jsonl"""
        name, job, state = self.ended()
        r = self.do(deeds.read, self.path(name, "retry.jsonl"))
        if r.err != "OK":
            self.expect(r, "ENOENT", *self.errors(*(("ENODATA",) if job.forgotten else ()), job=job))
            return
        if not r.value or state not in ENDED:
            raise Skip
        asked, source = {}, job.content()
        for line in r.value.decode().splitlines():
            key = source.key(json.loads(line)["key"])
            asked[json.loads(line)["key"]] = source.asked[key]
        Content.known[r.value] = content = Content(asked, source.files or {})
        other_name, other = self.fresh()
        if other is job or name not in self.jobs:
            raise Skip
        if content.names:
            other.murky.add("retry") # later, when there is no copy any more, it is refused
        self.write_requests(other, other_name, r.value)
