"""Everything comes to rest: what is under way ends, and tree and API are the same."""
import time

import deeds
from reference import BUSY, ENDED, REQUESTS, is_sent
from walk import Walk
from world import Broken


class Rest(Walk):
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
        self.refusals = False
        for patience in (20, 90):
            self.rest_others()
            why = self.rest_with("test-key", self.unrest, patience)
            if not why:
                break
        else:
            raise Broken("never comes to rest: %s" % why)
        self.trouble = False
        self.check_tree()
        for job in list(self.jobs.values()):
            if job.state in ENDED and self.do(deeds.read, self.path(job.name, "wait")).err == "OK":
                self.results_of(job, job.state)

    def rest_others(self):
        """What was begun with another project's key ends with that."""
        for key in self.emu.PROJECTS:
            mine = [j for j in list(self.jobs.values()) + self.past if key in j.keys]
            if key != "test-key" and mine:
                self.rest_with(key, self.unrest_of_others, 20)

    def rest_with(self, key, unrest, patience):
        """Why it does not come to rest in so many seconds."""
        self.remount(key)
        end = time.monotonic() + patience
        while True:
            self.do(deeds.listing, self.mount.path)
            table, jobs = self.observe()
            self.settle_inline()
            self.settle_parts()
            why = unrest(table, jobs)
            if not why or time.monotonic() > end:
                return why
            time.sleep(0.1)

    def unrest_of_others(self, table, jobs):
        for name, job in self.jobs.items():
            if self.key in job.keys and (job.state in BUSY or (
                    is_sent(job.state) and job.state not in ENDED)):
                return "%s is %s" % (name, job.state)
        return self.unremoved([j for j in self.past if self.key in j.keys], jobs, self.shown())

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
        shown = self.shown()
        for id in jobs:
            others = jobs[id]["project"] not in ("", self.emu.PROJECTS[self.key])
            if id not in shown and not (others and not self.known_ids.get(id)):
                return "%s (%s) is not shown" % (id, jobs[id]["metadata"]["displayName"])
        for id, name in shown.items():
            if id not in jobs and not (name in self.jobs and self.jobs[name].forgotten):
                return "%s is shown as %s and does not exist" % (id, name)
        return self.unremoved(self.past, jobs, shown)

    def shown(self):
        """In which directory which job is."""
        shown = {}
        tree = self.do(deeds.tree, self.mount.path).value or {}
        for name, files in tree.items():
            if "id" in files:
                id = files["id"].decode().strip()
                if id in shown:
                    raise Broken("%s is in two directories: %s and %s" % (id, name, shown[id]))
                shown[id] = name
        return shown

    def unremoved(self, past, jobs, shown):
        """What rmdir took is gone, or has come back to be seen, if that may be."""
        for job in past:
            if not job.unsent and job.removed and len(job.ids) == 1 and job.ids[0] in jobs and \
                    not (self.comebacks and job.ids[0] in shown):
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
