"""The operations of the walk: what is done, and which outcomes the contract allows."""
import os
import signal
import time

import deeds
from reference import (BUSY, DRAFT, ENDED, REJECTED, REQUESTS, Job, is_sent, make_bad_content,
                       make_content)
from walk import FAULTS, KNOBS, POINTS, SCRATCH, Skip, Walk
from world import Broken, Child

READ_ONLY = ("EACCES", "EROFS", "EPERM")


class Operations(Walk):
    def operations(self):
        return {
            "mkdir": (self.op_mkdir, 14),
            "write": (self.op_write, 18),
            "pieces": (self.op_pieces, 3),
            "bad": (self.op_bad, 2),
            "killed": (self.op_killed_writer, 3),
            "append": (self.op_append, 2),
            "empty": (self.op_empty, 1),
            "touch": (self.op_touch, 1),
            "hold": (self.op_hold, 2),
            "release": (self.op_release, 3),
            "scratch": (self.op_scratch, 5),
            "unlink": (self.op_unlink, 2),
            "away": (self.op_away, 1),
            "mv": (self.op_mv_submit, 7),
            "mvscratch": (self.op_mv_scratch, 2),
            "submit": (self.op_submit, 6),
            "check": (self.op_check, 2),
            "cancel": (self.op_cancel, 2),
            "fetch": (self.op_fetch, 2),
            "resubmit": (self.op_resubmit, 3),
            "adopt": (self.op_adopt, 2),
            "rmdir": (self.op_rmdir, 5),
            "rename": (self.op_rename, 2),
            "state": (self.op_state, 3),
            "wait": (self.op_wait, 3),
            "results": (self.op_results, 6),
            "race": (self.op_race, 2),
            "impatient": (self.op_impatient, 3),
            "remount": (self.op_remount, 1),
            "crash": (self.op_crash, 1),
            "crashing": (self.op_crashing, 2),
            "deadly": (self.op_deadly, 1),
            "fault": (self.op_fault, 9),
            "knob": (self.op_knob, 3),
            "calm": (self.op_calm, 4),
            "foreign": (self.op_foreign, 1),
            "forget": (self.op_forget, 1),
        }

    def held(self, job):
        return bool(self.holder) and self.holder[1] is job

    # ---- directories --------------------------------------------------------------------

    def op_mkdir(self):
        self.make_dir(*self.pick())

    def make_dir(self, name, job):
        r = self.do(deeds.mkdir, self.path(name))
        there = name in self.tree_now()
        if job or name in self.extras:
            self.expect(r, "EEXIST")
            return
        if r.err == "EEXIST" and name in self.extras:
            return # the list that it read told
        self.expect(r, "OK")
        if there and name not in self.extras:
            self.jobs[name] = Job(name)
        elif r.err == "OK":
            raise Broken("mkdir did, and there is no %s" % name)

    def tree_now(self):
        """Names in the tree; those that are jobs of nobody's go to extras."""
        r = self.do(deeds.table, self.mount.path)
        if r.err != "OK":
            return self.tree_now()
        for name, row in r.value.items():
            if name not in self.jobs and row["state"] not in DRAFT + BUSY:
                self.extras[name] = row["state"]
        return r.value

    def op_rmdir(self):
        self.remove_dir(*self.pick())

    def remove_dir(self, name, job):
        if job and self.held(job):
            return
        before = job.state if job else None
        r = self.do(deeds.rmdir, self.path(name))
        if not job:
            self.expect(r, "ENOENT", *(self.errors("OK", "EBUSY") if name in self.extras else ()))
            return
        if job.in_flux():
            self.expect(r, "OK", *self.errors("EBUSY"))
        elif before in DRAFT:
            self.expect(r, "OK")
        elif is_sent(before):
            # Sent behind its caller: its task may be just about to end.
            late = ("EBUSY",) if job.promised != "now" else ()
            self.expect(r, "OK", *self.errors(*late))
        else:
            self.expect(r, "EBUSY", "OK" if job.ids else "EBUSY", *self.errors())
        if r.err == "OK" or (r.broke and name not in self.tree_now()):
            job.removed = True
            job.unsent = before in DRAFT and not job.unsure
            self.past.append(self.jobs.pop(name))

    def op_rename(self):
        name, job = self.pick()
        new, other = self.pick()
        if job and self.held(job):
            return
        r = self.do(deeds.rename, self.path(name), self.path(new))
        if not job:
            self.expect(r, "ENOENT", *(("EPERM", "EEXIST", "OK") if name in self.extras else ()))
            return
        if name == new:
            self.expect(r, "OK", "EPERM")
            return
        if not job.is_draft():
            self.expect(r, "EPERM", "EEXIST", *(("OK", "EBUSY") if job.in_flux() else ()))
        elif other or new in self.extras:
            self.expect(r, "EEXIST")
        else:
            self.expect(r, "OK", "EEXIST", *(("EPERM", "EBUSY") if job.in_flux() else ()))
        if not other and (r.err == "OK" or (r.broke and name not in self.tree_now())):
            del self.jobs[name]
            job.name = new
            self.jobs[new] = job

    # ---- writing requests.jsonl -------------------------------------------------------------

    def write_requests(self, job, name, data, pieces=1, **how):
        """One open, write, close, which may buy."""
        by_close = self.options["submit"] != "ctl"
        good = job and job.good(data)
        old = job.files.get(REQUESTS) if job else None
        if job and by_close:
            job.may_create(data)
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
        if old is None:
            self.expect(r, "ENOENT")
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
            job.may_create(data)
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

    # ---- submitting ----------------------------------------------------------------------------

    def op_mv_submit(self):
        name, job = self.ready()
        from_name, source = self.pick()
        file = self.rng.choice(SCRATCH + [REJECTED])
        kill = self.rng.random() < 0.1
        if not job:
            return
        if not source or self.rng.random() < 0.7:
            from_name, source = name, job
        self.tell(repr(from_name), file)
        if self.rng.random() < 0.8:
            self.write_scratch(from_name, source, file)
        data = source.files.get(file)
        if data is not None and not job.is_draft() and not job.in_flux():
            data_may_go = False
        else:
            data_may_go = data is not None
            if data_may_go:
                job.may_create(data)
        olds = (job.files.get(REQUESTS), source.files.get(REJECTED), job.files.get(REJECTED))
        r = self.do(deeds.rename, self.path(from_name, file), self.path(name, REQUESTS),
                    **(dict(kill_after=0.05) if kill else {}))
        if data is None:
            self.expect(r, "ENOENT", *(("EPERM",) if not job.is_draft() else ()))
            return
        if not data_may_go:
            self.expect(r, "EPERM", "EBUSY")
            return
        flux, good = job.in_flux() or source.in_flux(), job.good(data)
        if r.err in ("EPERM", "EBUSY") and flux:
            return
        if r.err == "EBUSY" and source is not job and not source.is_draft():
            return
        self.submitted(job, r, good)
        if r.err == "OK":
            del source.files[file]
            job.files[REQUESTS] = data
            self.orphan(job)
            return
        # From the intent on the move stands; before, nothing is moved.
        self.refile(source, file, data, None)
        if file in source.files:
            rejected = [data] if r.err == "EBADMSG" else [data, olds[2]]
            self.refile(job, REQUESTS, olds[0])
            if file != REJECTED or source is not job:
                self.refile(job, REJECTED, *rejected)
        else:
            self.refile(job, REQUESTS, data)
            self.orphan(job)

    def orphan(self, job):
        """What a holder writes to has no name any more."""
        if self.held(job):
            self.holder = (self.holder[0], None) + self.holder[2:]

    def lay(self, name, job):
        """Requests in a draft that no close submits: by appending."""
        if not job or self.held(job) or not job.is_draft() or job.in_flux() or job.parts:
            return
        data = make_content(self.rng, self.serial)
        if not job.files.get(REQUESTS):
            self.lay_bytes(name, job, data)

    def lay_bytes(self, name, job, data):
        old = job.files.get(REQUESTS)
        r = self.do(deeds.write, self.path(name, REQUESTS), data, 1,
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.expect(r, "OK")
        self.refile(job, REQUESTS, data, old, prefix_of=data if r.broke else None)

    def op_submit(self):
        name, job = self.ready(composed=True)
        self.lay(name, job)
        self.submit_by_ctl(name, job)

    def submit_by_ctl(self, name, job, **how):
        if job and job.is_draft() or job and job.in_flux():
            if not self.held(job):
                job.may_create()
        r = self.do(deeds.ctl, self.path(name), "submit", **how)
        if not job:
            self.expect(r, "ENOENT", *(("EBUSY",) if name in self.extras else ()))
        elif not job.is_draft() and not job.in_flux():
            self.expect(r, "EBUSY")
        elif self.held(job):
            self.expect(r, "EBUSY")
        elif job.in_flux() and r.err == "EBUSY":
            pass
        else:
            self.submitted(job, r, job.good())
            job.shown = True if r.err == "OK" else None

    def op_race(self):
        """Several programs at the same job at the same time."""
        name, job = self.ready(composed=True)
        with_rmdir = self.rng.random() < 0.3
        self.lay(name, job)
        if not job or self.holder or job.in_flux():
            return
        before = job.state
        if job.is_draft():
            job.may_create()
        job.shown = None
        children = [Child(deeds.ctl, self.path(name), "submit") for _ in range(3)]
        if with_rmdir:
            children.append(Child(deeds.rmdir, self.path(name)))
        results = [c.result() for c in children]
        self.outcomes += [r.err for r in results]
        if not self.mount.alive():
            self.revive()
        job.unsure = True
        ok = any(r.err == "OK" for r in results[:3])
        if ok and not (before in DRAFT and job.good() is not False):
            raise Broken("submitted what cannot be")
        gone = with_rmdir and name not in self.tree_now()
        if with_rmdir and results[3].err == "OK" and not gone:
            raise Broken("rmdir did, and it is there")
        if ok and not (gone and self.options["submit"] == "background"):
            job.promise("later" if self.options["submit"] == "background" else "now")
        if gone:
            job.removed = True
            self.past.append(self.jobs.pop(name))

    def op_check(self):
        name, job = self.ready(composed=True)
        self.lay(name, job)
        self.check_by_ctl(name, job)

    def check_by_ctl(self, name, job):
        r = self.do(deeds.ctl, self.path(name), "check")
        if not job:
            self.expect(r, "ENOENT", *(("EBUSY",) if name in self.extras else ()))
        elif not job.is_draft() and not job.in_flux():
            self.expect(r, "EBUSY")
        else:
            also = ("EBUSY",) if job.in_flux() or self.held(job) else ()
            allowed = {True: ("OK",), False: ("EBADMSG",), None: ("OK", "EBADMSG")}
            self.expect(r, *allowed[job.good()], *also, *self.errors())
            job.shown = True if r.err == "OK" and not job.in_flux() else None

    def op_resubmit(self):
        name, job = self.pick()
        if not job:
            return
        doubt = job.state in ("SUBMITTING", "SUBMIT_UNCERTAIN")
        if doubt or job.in_flux():
            job.allowed += 1
        r = self.do(deeds.ctl, self.path(name), "resubmit")
        if not doubt and not job.in_flux():
            self.expect(r, "EBUSY")
        elif r.err == "EBUSY":
            job.allowed -= 1
        else:
            if not r.broke:
                self.expect(r, "OK", *self.errors("EINTR"))
            if r.err == "OK":
                job.promise("now")
            job.unsure = True

    def op_adopt(self):
        name, job = self.pick()
        if not job:
            return
        id = job.ids[0] if job.ids else "batches/" + "x" * 36
        r = self.do(deeds.ctl, self.path(name), "adopt " + id)
        if job.state in ("SUBMITTING", "SUBMIT_UNCERTAIN") or job.in_flux():
            self.expect(r, *self.errors("OK" if job.ids else "ENOENT", "EBUSY"))
        else:
            self.expect(r, "EBUSY")

    def op_cancel(self):
        name, job = self.pick()
        r = self.do(deeds.ctl, self.path(name), "cancel")
        if not job:
            self.expect(r, "ENOENT", *(self.errors("OK", "EBUSY") if name in self.extras else ()))
        elif is_sent(job.state) or job.in_flux() or job.ids:
            job.cancelled = True
            self.expect(r, "OK", "EBUSY", *self.errors("ENOENT" if job.forgotten else "OK"))
        else:
            self.expect(r, "EBUSY")

    # ---- reading ---------------------------------------------------------------------------------

    def op_state(self):
        name, job = self.pick()
        file = self.rng.choice(["state", "stats", "error", "job.json", "ctl", "model"])
        self.tell(file)
        r = self.do(deeds.read, self.path(name, file))
        if not job:
            self.expect(r, "ENOENT", *(self.errors("OK") if name in self.extras else ()))
        elif file in ("error", "job.json"):
            self.expect(r, "OK", "ENOENT", *self.errors())
        else:
            self.expect(r, "OK", *self.errors())
        if r.err == "OK" and file == "state" and job and not job.in_flux():
            if (r.value.decode().strip() in DRAFT) != job.is_draft():
                raise Broken("state: %r, and it was %s" % (r.value, job.state))

    def op_wait(self):
        name, job = self.pick()
        if not job:
            return
        r = self.do(deeds.read, self.path(name, "wait"), kill_after=2)
        if r.err == "KILLED":
            if not self.trouble and not job.in_flux():
                raise Broken("wait does not end")
            return
        self.expect(r, "OK", *self.errors("ENOENT"))
        if r.err == "OK" and not job.in_flux() and is_sent(job.state):
            state = r.value.decode().strip()
            if state not in ENDED:
                raise Broken("wait: %s" % state)

    def op_fetch(self):
        name, job = self.pick()
        if not job:
            return
        r = self.do(deeds.ctl, self.path(name), "fetch")
        if is_sent(job.state) or job.in_flux() or job.ids:
            self.expect(r, "OK", "EBUSY", *self.errors("ENOENT", "ENODATA", "EAGAIN"))
        else:
            self.expect(r, "EBUSY")

    def op_results(self):
        name, job = self.pick()
        if not job or not is_sent(job.state):
            return
        r = self.do(deeds.read, self.path(name, "wait"), kill_after=3)
        if r.err != "OK":
            return
        self.results_of(job, r.value.decode().strip())

    def results_of(self, job, state):
        r = self.do(deeds.read, self.path(job.name, "results.jsonl"))
        if job.results is not None and r.err == "OK" and r.value != job.results:
            raise Broken("results.jsonl reads differently")
        if r.err == "OK":
            self.settle_parts()
            job.content().check_results(r.value, state == "JOB_STATE_SUCCEEDED" and not job.cancelled)
            job.results = r.value
        elif job.results is None and (state != "JOB_STATE_SUCCEEDED" or job.forgotten):
            self.expect(r, *self.errors("ENOENT", "ENODATA"))
        else:
            self.expect(r, *self.errors())

    # ---- the world -----------------------------------------------------------------------------------

    def op_fault(self):
        f = dict(self.rng.choice(FAULTS), count=self.rng.choice([1, 1, 2, 3]))
        self.tell(*("%s=%s" % i for i in f.items()))
        self.trouble = True
        self.emu.fault(**f)

    def op_knob(self):
        name, values = self.rng.choice(KNOBS)
        value = self.rng.choice(values)
        self.tell(name, value)
        self.emu.knob(**{name: value})

    def op_calm(self):
        """From here on calls succeed again, once the mount has noticed."""
        self.emu.calm()
        self.emu.knob(list_delay="0")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            r = self.do(deeds.status, self.mount.path)
            if not r.broke and r.value.get("online", "").startswith("yes"):
                break
            self.do(deeds.listing, self.mount.path)
            time.sleep(0.1)
        else:
            raise Broken("offline, and there is no reason")
        # Calls that were under way may have met a fault yet.
        self.trouble = any(j.in_flux() for j in self.jobs.values())

    def op_remount(self):
        if self.holder:
            return
        self.remount()

    def remount(self):
        if not self.mount.stop():
            self.mount.kill()
        for job in self.jobs.values():
            job.unsure = True
        self.new_options()
        self.tell(*self.options.values())
        self.start()

    def op_crash(self):
        if self.holder:
            return
        self.new_options()
        self.tell(*self.options.values())
        self.revive()

    def op_deadly(self):
        """The daemon dies at a step of its own choosing."""
        point = "%s#%d" % (self.rng.choice(POINTS), self.rng.choice([1, 1, 2, 3, 7]))
        self.tell(point)
        if self.holder:
            return
        if not self.mount.stop():
            self.mount.kill()
        for job in self.jobs.values():
            job.unsure = True
        self.start(point)

    def op_foreign(self):
        made = self.emu.call("POST", "/emu/job", {
            "displayName": "other %d" % self.serial, "output": True})
        self.foreign.update(made["names"])

    def op_forget(self):
        """The API forgets a job whose results have been read to the end."""
        name, job = self.pick()
        if not job or job.results is None or job.forgotten or job.state not in ENDED:
            return
        for id in job.ids:
            self.emu.call("DELETE", "/emu/job/" + id.split("/")[1])
        job.forgotten = True

    # ---- everything comes to rest ---------------------------------------------------------------------

    def rest(self):
        """No more faults: what is under way ends, and tree and API are the same."""
        if self.holder:
            child, job, data, pipe = self.holder
            self.drop_holder()
            if job:
                self.refile(job, REQUESTS, data[:len(data) // 2])
        self.emu.calm()
        self.emu.knob(list_delay="0", list_input_config="on", create_delay="0", late_output="0",
                      page_cap="100")
        self.remount()
        end, why = time.monotonic() + 60, ""
        while True:
            self.do(deeds.listing, self.mount.path)
            table, jobs = self.observe()
            self.settle_inline()
            self.settle_parts()
            why = self.unrest(table, jobs)
            if not why:
                break
            if time.monotonic() > end:
                raise Broken("never comes to rest: %s" % why)
            time.sleep(0.1)
        self.trouble = False
        self.check_tree()
        for job in list(self.jobs.values()):
            if job.state in ENDED and self.do(deeds.read, self.path(job.name, "wait")).err == "OK":
                self.results_of(job, job.state)

    def settle_parts(self):
        raise NotImplementedError

    def check_composed(self, job, data):
        raise NotImplementedError

    def settle_inline(self):
        """What went inline and was lost is a person's to settle: so they do."""
        for job in self.jobs.values():
            if self.inline and job.state == "SUBMIT_UNCERTAIN" and job.ids:
                r = self.do(deeds.ctl, self.path(job.name), "adopt " + job.ids[-1])
                self.expect(r, "OK", "EBUSY")

    def unrest(self, table, jobs):
        for name, row in table.items():
            state = row["state"]
            if state in BUSY or (is_sent(state) and state not in ENDED):
                return "%s is %s" % (name, state)
        for job in self.jobs.values():
            if job.state == "SUBMIT_UNCERTAIN" and job.ids:
                return "%s is lost" % job.name
        status = self.do(deeds.status, self.mount.path).value or {}
        if status.get("removing") != "0":
            return "removing %s" % status.get("removing")
        shown = {}
        tree = self.do(deeds.tree, self.mount.path).value or {}
        for name, files in tree.items():
            if "id" in files:
                id = files["id"].decode().strip()
                if id in shown:
                    raise Broken("%s is in two directories: %s and %s" % (id, name, shown[id]))
                shown[id] = name
        for id in jobs:
            if id not in shown:
                return "%s (%s) is not shown" % (id, jobs[id]["metadata"]["displayName"])
        for id, name in shown.items():
            if id not in jobs and not (name in self.jobs and self.jobs[name].forgotten):
                return "%s is shown as %s and does not exist" % (id, name)
        for job in self.past:
            if not job.unsent and len(job.ids) == 1 and job.ids[0] in jobs and job.removed:
                return "%s was removed and is there" % job.name
        return ""

    def check_tree(self):
        r = self.do(deeds.tree, self.mount.path)
        self.expect(r, "OK")
        for name, job in self.jobs.items():
            files = {n: d for n, d in r.value[name].items() if n != "id"}
            if REQUESTS not in job.files:
                self.check_composed(job, files.pop(REQUESTS, None))
            want = dict(job.files, **job.parts)
            if files != want:
                raise Broken("files of %s: %s; expected: %s" % (name, brief(files), brief(want)))
            if is_sent(job.state) and r.value[name]["id"].decode().strip() not in job.ids:
                raise Broken("%s has another job's id" % name)


def brief(files):
    return {n: len(d) for n, d in files.items()}
