"""The operations of the walk, which outcomes the contract allows, and those on
directories."""
import deeds
from conditions import Conditions
from reading import Reading
from reference import BUSY, DRAFT, Job, is_sent
from rest import Rest
from submitting import Submitting
from world import Broken


class Operations(Submitting, Reading, Conditions, Rest):
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
            "clock": (self.op_clock, 3),
            "key": (self.op_key, 2),
            "machine": (self.op_machine, 2),
            "foreign": (self.op_foreign, 1),
            "forget": (self.op_forget, 1),
        }

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
            self.expect(r, "OK", *self.errors("EBUSY", job=job))
        elif before in DRAFT:
            self.expect(r, "OK")
        elif self.others(job):
            self.expect(r, *(["EACCES", "EBUSY"] + [e for e in self.errors() if e != "OK"]))
        elif is_sent(before):
            # Sent behind its caller: its task may be just about to end.
            late = ("EBUSY",) if job.promised != "now" else ()
            self.expect(r, "OK", *self.errors(*late, job=job))
        else:
            self.expect(r, "EBUSY", "OK" if job.ids else "EBUSY", *self.errors(job=job))
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
