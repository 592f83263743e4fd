"""What the mount lives through: faults, restarts, crashes, other machines."""
import time

import deeds
from reference import ENDED, Job, make_content
from walk import CLOCKS, FAULTS, KNOBS, POINTS, Skip, Walk
from world import Broken, Child


class Conditions(Walk):
    # ---- the world -----------------------------------------------------------------------------------

    def op_fault(self):
        f = dict(self.rng.choice(FAULTS), count=self.rng.choice([1, 1, 2, 3]))
        self.tell(*("%s=%s" % i for i in f.items()))
        self.trouble = True
        self.refusals = self.refusals or f.get("status") in (403, 404)
        self.comebacks = self.comebacks or (
            f["match"] in ("cancel", "delete") and f["kind"] == "status")
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
        self.refusals = self.refusals and self.trouble

    def op_remount(self):
        if self.holder:
            return
        self.remount()

    def remount(self, key=None):
        if not self.mount.stop():
            self.mount.kill()
        for job in self.jobs.values():
            job.unsure = True
        self.new_options()
        self.comebacks = self.comebacks or bool(key and key != self.key)
        self.key = key or self.key
        self.tell(*self.options.values(), self.key, self.files)
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

    def op_clock(self):
        """The wall clock is put right, or wrong, while things go on; nothing comes of it."""
        seconds = self.rng.choice(CLOCKS)
        self.tell(seconds)
        self.mount.step_clock(seconds)

    def op_key(self):
        """From here on with another project's key, or with the right one again."""
        if self.holder:
            raise Skip
        self.remount(*[key for key in self.emu.PROJECTS if key != self.key])

    def op_machine(self):
        """A second machine makes a directory of the same name and buys."""
        name, job = self.pick()
        deaf = self.rng.random() < 0.5
        data = make_content(self.rng, self.serial)
        self.tell("deaf" if deaf else "")
        if not self.second:
            self.second = self.mount.another()
        self.second.start("submit=close", None, self.key)
        path = self.second.path + "/" + name
        if deaf: # this one
            self.trouble = True
            self.emu.fault(match="list", kind="status", status=503, count=2)
        r = [Child(deeds.mkdir, path), Child(deeds.mkdir, self.path(name))]
        theirs, ours = [c.result() for c in r]
        self.outcomes += [theirs.err, ours.err]
        self.found_made(name, job, ours)
        if theirs.err == "OK":
            bought = Child(deeds.write, path + "/requests.jsonl", data).result()
            self.outcomes.append(bought.err)
            shown = Child(deeds.read, path + "/id").result()
            if shown.err == "OK":
                self.foreign.add(shown.value.decode().strip())
                self.refuses_name(name)
            elif bought.err == "OK":
                raise Broken("a second machine's close bought nothing")
            else:
                Child(deeds.rmdir, path).result()
        self.second.stop()

    def found_made(self, name, job, r):
        """What became of a mkdir that ran beside another machine's."""
        if not self.mount.alive():
            self.revive()
        if job:
            self.expect(r, "EEXIST")
        elif r.err == "OK":
            self.jobs[name] = Job(name)
        elif name in self.tree_now() and name not in self.extras:
            self.jobs[name] = Job(name)

    def refuses_name(self, name):
        """Another machine has bought under it: this one does not as well."""
        if self.trouble or name in self.jobs:
            return
        time.sleep(1.5) # ttl
        r = self.do(deeds.mkdir, self.path(name))
        if r.err == "OK":
            self.jobs[name] = Job(name)
        self.expect(r, "EEXIST")

    def op_forget(self):
        """The API forgets a job whose results have been read to the end."""
        name, job = self.pick()
        if not job or job.results is None or job.forgotten or job.state not in ENDED:
            return
        for id in job.ids:
            self.emu.call("DELETE", "/emu/job/" + id.split("/")[1])
        job.forgotten = True
