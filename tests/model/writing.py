"""Writing: requests.jsonl, by writers of all kinds, and the other files of a draft."""
import os
import signal
import time

import deeds
from reference import REJECTED, REQUESTS, make_bad_content, make_content
from walk import READ_ONLY, SCRATCH, Skip, Walk
from world import Broken, Child


class Writing(Walk):
    def held(self, job):
        return bool(self.holder) and self.holder[1] is job

    # ---- writing requests.jsonl -------------------------------------------------------------

    def write_requests(self, job, name, data, pieces=1, **how):
        """One open, write, close, which may buy."""
        by_close = self.options["submit"] != "ctl"
        good = job and job.good(data)
        old = job.files.get(REQUESTS) if job else None
        if job and by_close:
            job.may_create(self.key, data)
        r = self.do(deeds.write, self.path(name, REQUESTS), data, pieces, **how)
        if not job:
            self.expect(r, "ENOENT", *(READ_ONLY if name in self.extras else ()))
            return
        if not job.is_draft() and not job.in_flux():
            self.expect(r, *READ_ONLY)
            return
        if job.in_flux() and r.err in READ_ONLY + ("EBUSY",):
            self.unsure_file(job, old, data)
            return
        if by_close:
            self.submitted(job, r, good)
        else:
            self.expect(r, "OK", "EBUSY" if job.in_flux() else "OK")
        if r.broke:
            self.unsure_file(job, old, data)
        elif r.err == "EBUSY":
            self.unsure_file(job, old, data)
        else:
            self.put(job, REQUESTS, data)

    def unsure_file(self, job, old, data):
        job.unsure = True
        self.refile(job, REQUESTS, old, prefix_of=data)

    def ready(self, composed=False):
        """A name, mostly of a draft: rmdir NAME; mkdir NAME. A composed one: if it may be."""
        name, job = self.pick()
        stays = self.rng.random() < 0.25
        other_kind = job and job.parts and not composed
        if other_kind and job.in_flux():
            raise Skip
        if not (other_kind and job.is_draft()) and (
                stays or (job and (self.held(job) or job.is_draft()))):
            return name, job
        if job:
            self.remove_dir(name, job)
        if name not in self.jobs:
            self.make_dir(name, None)
        return name, self.jobs.get(name)

    def op_write(self):
        name, job = self.ready()
        if job and self.held(job):
            return
        self.write_requests(job, name, make_content(self.rng, self.serial))

    def op_pieces(self):
        name, job = self.ready()
        if job and self.held(job):
            return
        self.write_requests(job, name, make_content(self.rng, self.serial), 5)

    def op_bad(self):
        name, job = self.ready()
        if job and self.held(job):
            return
        self.write_requests(job, name, make_bad_content(self.rng, self.serial))

    def op_impatient(self):
        """The caller is killed while it writes or waits for the answer."""
        name, job = self.ready()
        after = self.rng.choice([0.002, 0.005, 0.01, 0.02, 0.05, 0.2])
        sig = self.rng.choice([signal.SIGKILL, signal.SIGTERM])
        self.tell(after)
        if job and self.held(job):
            return
        self.write_requests(job, name, make_content(self.rng, self.serial), 5,
                            kill_after=after, sig=sig)

    def op_crashing(self):
        """The daemon is killed meanwhile."""
        name, job = self.ready()
        after = self.rng.choice([0.005, 0.01, 0.02, 0.04, 0.08])
        self.tell(after)
        if self.holder:
            return
        self.write_requests(job, name, make_content(self.rng, self.serial), 3, crash_after=after)

    def op_killed_writer(self):
        """It never closes: nothing is bought."""
        name, job = self.ready()
        data = make_content(self.rng, self.serial)
        part = data[:self.rng.randrange(1, len(data) + 1)]
        how = self.rng.choice(["kill", "exit"])
        self.tell(how)
        if job and self.held(job):
            return
        old = job.files.get(REQUESTS) if job else None
        r = self.do(deeds.write_and_die, self.path(name, REQUESTS), part, how)
        if not job:
            self.expect(r, "ENOENT", *(READ_ONLY if name in self.extras else ()))
        elif r.err == "KILLED" and self.mount.alive():
            if not job.is_draft() and not job.in_flux():
                raise Broken("what was sent could be written to")
            self.refile(job, REQUESTS, part, old)
        elif not job.is_draft() and not job.in_flux():
            self.expect(r, *READ_ONLY)
        else:
            self.expect(r, "EBUSY", *READ_ONLY)
            self.unsure_file(job, old, part)

    def op_append(self):
        """>> never submits."""
        name, job = self.ready()
        if job and self.held(job):
            return
        more = b'\n{"key": "more-%d", "request": {"contents": [{"parts": [{"text": "m"}]}]}}\n' \
            % self.serial
        r = self.do(deeds.append, self.path(name, REQUESTS), more)
        if not job:
            self.expect(r, "ENOENT", *(READ_ONLY if name in self.extras else ()))
            return
        old = job.files.get(REQUESTS)
        if old is None: # of a composed one that was sent there is what was sent
            composed = job.parts and (not job.is_draft() or job.in_flux())
            self.expect(r, "ENOENT", *(READ_ONLY if composed else ()))
        elif not job.is_draft() and not job.in_flux():
            self.expect(r, *READ_ONLY)
        else:
            self.expect(r, "OK", *((READ_ONLY + ("EBUSY",)) if job.in_flux() else ()))
            self.refile(job, REQUESTS, *([old + more] if r.err == "OK" else [old, old + more]))

    def op_empty(self):
        """: > requests.jsonl"""
        name, job = self.pick()
        if not job or self.held(job) or not job.is_draft() or job.in_flux() or job.parts:
            return
        old = job.files.get(REQUESTS)
        r = self.do(deeds.write, self.path(name, REQUESTS), b"")
        self.expect(r, "OK")
        self.refile(job, REQUESTS, b"", *([old] if r.broke else []))

    def op_touch(self):
        name, job = self.pick()
        if not job or job.in_flux() or REQUESTS not in job.files:
            return
        r = self.do(deeds.touch, self.path(name, REQUESTS))
        self.expect(r, "OK")

    # ---- a writer that stays ---------------------------------------------------------------

    def op_hold(self):
        name, job = self.ready()
        if self.holder or not job or not job.is_draft() or job.in_flux():
            return
        data = make_content(self.rng, self.serial)
        half = data[:len(data) // 2]
        end, pipe = os.pipe()
        child = Child(deeds.hold, self.path(name, REQUESTS), data, end)
        os.close(end)
        self.holder = (child, job, data, pipe)
        while self.mount.alive() and not child.done() and self.read_now(job, REQUESTS) != half:
            time.sleep(0.01)
        if child.done() or not self.mount.alive():
            self.drop_holder()
            if not self.mount.alive():
                self.revive()
            self.refile(job, REQUESTS, None, job.files.get(REQUESTS), prefix_of=half)
        else:
            job.files[REQUESTS] = half

    def drop_holder(self):
        child, job, data, pipe = self.holder
        self.holder = None
        child.abandon()
        child.result()
        os.close(pipe)

    def op_release(self):
        how = self.rng.choice(["close", "close", "kill", "exit"])
        if not self.holder:
            return
        child, job, data, pipe = self.holder
        half = data[:len(data) // 2]
        self.holder = None
        self.tell(job and repr(job.name), how)
        by_close = job and self.options["submit"] != "ctl" and how == "close"
        if by_close:
            job.may_create(self.key, data)
        os.write(pipe, how.encode())
        r = child.result()
        os.close(pipe)
        r.broke = not self.mount.alive()
        self.outcomes.append(r.err)
        if r.broke:
            self.revive()
        if not job:
            return
        if how != "close" or r.broke:
            self.refile(job, REQUESTS, half, data)
            if r.broke:
                job.unsure = True
        elif r.err == "OK" or by_close:
            if by_close:
                self.submitted(job, r, job.good(data))
            self.put(job, REQUESTS, data)
        else:
            raise Broken("a close that submits nothing: %s" % r.err)

    # ---- other files -------------------------------------------------------------------------

    def op_scratch(self):
        name, job = self.pick()
        file = self.rng.choice(SCRATCH)
        self.tell(file)
        self.write_scratch(name, job, file)

    def write_scratch(self, name, job, file):
        bad = self.rng.random() < 0.15
        data = (make_bad_content if bad else make_content)(self.rng, self.serial)
        r = self.do(deeds.write, self.path(name, file), data)
        if not job:
            self.expect(r, "ENOENT", *(READ_ONLY + ("OK",) if name in self.extras else ()))
        elif r.broke or r.err != "OK":
            self.expect(r, *(("EBUSY",) if job.in_flux() else ("OK",)))
            self.refile(job, file, job.files.get(file), prefix_of=data)
        else:
            job.files[file] = data

    def op_unlink(self):
        name, job = self.pick()
        file = self.rng.choice(SCRATCH + [REQUESTS, REJECTED])
        self.tell(file)
        if not job or self.held(job):
            return
        r = self.do(deeds.unlink, self.path(name, file))
        if file not in job.files:
            self.expect(r, "ENOENT", *(READ_ONLY if file == REQUESTS else ()))
        elif file == REQUESTS and not job.is_draft() and not job.in_flux():
            self.expect(r, "EPERM")
        elif r.broke or r.err != "OK":
            self.expect(r, *(("EBUSY", "EPERM") if job.in_flux() else ("OK",)))
            self.refile(job, file, None, job.files[file])
        else:
            del job.files[file]

    def op_away(self):
        """mv requests.jsonl to another name."""
        name, job = self.pick()
        file = self.rng.choice(SCRATCH)
        if not job or self.held(job) or REQUESTS not in job.files:
            return
        r = self.do(deeds.rename, self.path(name, REQUESTS), self.path(name, file))
        if not job.is_draft() and not job.in_flux():
            self.expect(r, "EPERM")
            return
        self.expect(r, "OK", *(("EPERM", "EBUSY") if job.in_flux() else ()))
        self.moved(job, REQUESTS, job, file, r)

    def op_mv_scratch(self):
        name, job = self.pick()
        other_name, other = self.pick()
        a, b = self.rng.choice(SCRATCH + [REJECTED]), self.rng.choice(SCRATCH)
        if not job or not other:
            return
        r = self.do(deeds.rename, self.path(name, a), self.path(other_name, b))
        if a not in job.files:
            self.expect(r, "ENOENT")
            return
        self.expect(r, "OK", "EBUSY" if job.in_flux() or other.in_flux() else "OK")
        self.moved(job, a, other, b, r)

    def moved(self, job, a, other, b, r):
        if job is other and a == b:
            return
        data, old = job.files[a], other.files.get(b)
        if r.err == "OK":
            del job.files[a]
            other.files[b] = data
        else:
            self.refile(job, a, data, None)
            self.refile(other, b, *([data] if a not in job.files else [old]))
