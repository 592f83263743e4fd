"""What buys, or says how: mv and the verbs of ctl."""
import os

import deeds
from reference import DRAFT, ENDED, REJECTED, REQUESTS, is_sent, make_content
from walk import SCRATCH
from world import Broken, Child
from writing import Writing


class Submitting(Writing):
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
                job.may_create(self.key, data)
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
                job.may_create(self.key)
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
            job.may_create(self.key)
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
            job.keys.add(self.key)
        r = self.do(deeds.ctl, self.path(name), "resubmit")
        if not doubt and not job.in_flux():
            self.expect(r, "EBUSY")
        elif r.err == "EBUSY":
            job.allowed -= 1
        else:
            if not r.broke:
                self.expect(r, "OK", *self.errors("EINTR", "ECANCELED", job=job))
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
            self.expect(r, *self.errors("OK" if job.ids else "ENOENT", "EBUSY", job=job))
        else:
            self.expect(r, "EBUSY")

    def op_cancel(self):
        name, job = self.pick()
        r = self.do(deeds.ctl, self.path(name), "cancel")
        if not job:
            self.expect(r, "ENOENT", *(self.errors("OK", "EBUSY") if name in self.extras else ()))
        elif is_sent(job.state) or job.in_flux() or job.ids:
            job.cancelled = True
            self.expect(r, "EBUSY", *(() if self.others(job) and job.state not in ENDED else ("OK",)),
                        *self.errors("ENOENT" if job.forgotten else "EBUSY", job=job))
        else:
            self.expect(r, "EBUSY")
