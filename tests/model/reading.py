"""Reading: what is known of a job, and what came back."""
import deeds
from reference import DRAFT, ENDED, is_sent
from walk import Walk
from world import Broken


class Reading(Walk):
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
            if not self.trouble and not job.in_flux() and not self.others(job):
                raise Broken("wait does not end")
            return
        self.expect(r, "OK", *self.errors("ENOENT", job=job))
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
            self.expect(r, "OK", "EBUSY", *self.errors("ENOENT", "ENODATA", "EAGAIN", job=job))
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
            self.expect(r, *self.errors(job=job))
