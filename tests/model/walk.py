"""A random walk over a real mount, step by step beside the reference model.

Which operation a step is, and with what, depends on the seed and the step's number
alone; what comes of it also on time, which is why outcomes are judged by rules and not
compared with a list.
"""
import random
import time

import deeds
from reference import BUSY, DRAFT, REFUSED, REQUESTS, TROUBLE, is_sent
from world import Broken, Child

NAMES = ["a", "b b", "c%d", "ä"]
READ_ONLY = ("EACCES", "EROFS", "EPERM")
SCRATCH = ["scratch0", "scratch1", "scratch2"]

OPTIONS = {
    "submit": ["close", "close", "close", "background", "ctl"],
    "fetch": ["own", "own", "all", "read"],
    "trash": ["0", "7"],
    "inline_max": ["0", "0", "0", "100000"],
}

# How many descriptors the daemon has; None: as many as the walk.
FILES = [None, None, None, 1024, 128, 64, 40]

# How far ahead of the machine's clock the mount's may be.
CLOCKS = [0, 0, 300, -300, 7200, -7200, 36000, -36000, 100000, -100000, 1000000, -1000000]

# What is broken, and how. Every one passes by itself after a few calls.
FAULTS = [
    *[dict(match="create", **f) for f in (
        dict(kind="drop_before"), dict(kind="drop_after"), dict(kind="cut", at=20),
        dict(kind="truncate", at=20), dict(kind="status", status=503),
        dict(kind="status", status=503, after=1), dict(kind="status", status=500, after=1),
        dict(kind="status", status=429), dict(kind="status", status=429),
        dict(kind="html", status=502), dict(kind="garbage", after=1), dict(kind="stall", seconds=1),
        dict(kind="wrongtypes"))],
    *[dict(match=op, **f) for op in ("upload_start", "upload", "upload_query") for f in (
        dict(kind="drop_before"), dict(kind="drop_after"), dict(kind="status", status=503),
        dict(kind="status", status=429), dict(kind="garbage"), dict(kind="stall", seconds=1))],
    dict(match="upload", kind="cut_body", at=100),
    dict(match="upload", kind="stall_body", seconds=1, at=50),
    *[dict(match=op, **f) for op in ("get", "list") for f in (
        dict(kind="drop_before"), dict(kind="status", status=503), dict(kind="status", status=429),
        dict(kind="html", status=200), dict(kind="garbage"), dict(kind="wrongtypes"),
        dict(kind="truncate", at=30), dict(kind="cut", at=30), dict(kind="stall", seconds=1))],
    *[dict(match="download", **f) for f in (
        dict(kind="drop_before"), dict(kind="status", status=503), dict(kind="cut", at=40),
        dict(kind="html", status=200), dict(kind="lying_range", text="label"),
        dict(kind="lying_range", text="full"), dict(kind="stall", seconds=1))],
    *[dict(match="download", **f) for f in (
        dict(kind="status", status=403), dict(kind="status", status=404),
        dict(kind="html", status=403))],
    *[dict(match=op, kind="status", status=s) for op in ("get", "cancel", "delete") for s in (403, 404)],
    *[dict(match=op, **f) for op in ("cancel", "delete", "file_delete") for f in (
        dict(kind="drop_before"), dict(kind="drop_after"), dict(kind="status", status=503),
        dict(kind="status", status=429))],
]

KNOBS = [
    ("list_delay", ["0", "0", "0.5", "4"]),
    ("list_input_config", ["on", "off"]),
    ("create_delay", ["0", "0", "0.3"]),
    ("cancel_running", ["succeeded", "cancelled"]),
    ("length", ["on", "off"]),
    ("range", ["on", "off"]),
    ("gzip", ["off", "on"]),
    ("upload_keep", ["bytes", "none"]),
    ("late_output", ["0", "0.5"]),
    ("counts_lag", ["off", "on"]),
    ("page_cap", ["100", "3"]),
]

# Where the next daemon dies.
POINTS = [
    "before-check", "after-check", "before-begin", "after-begin", "before-upload",
    "after-upload", "before-intend", "intended", "after-intend", "before-create",
    "after-create", "promoted", "journal-write", "journal-written", "local-remove",
    "local-removed", "cancelled", "deleted", "removal-intended", "removal-chosen",
    "submit-chosen", "queued-chosen", "draft-made", "draft-written", "look", "load",
    "composed-written", "composed", "attached", "sent-written",
]


class Skip(Exception):
    """A step that fits nothing now."""


class Walk:
    def __init__(self, seed, emulator, mount, say):
        self.seed, self.emu, self.mount, self.say = seed, emulator, mount, say
        self.jobs = {}         # name -> Job that is in the tree
        self.past = []         # Jobs that rmdir took
        self.extras = {}       # other directories in the tree: name -> state
        self.known_ids = {}    # all that were ever seen at the API -> Job or None
        self.foreign = set()   # ids of jobs that others made
        self.trouble = False   # whether anything has been made to fail
        self.refusals = False  # and whether that says 403 or 404
        self.comebacks = False # and whether a removal may have been refused, or had another key
        self.key = "test-key"  # that the mount has
        self.files = None      # how many descriptors
        self.options = {}
        self.inline = False    # whether some may have gone inline: no file tells whose it is
        self.holder = None     # (Child, Job, bytes, pipe)
        self.second = None     # another machine's Mount
        self.serial = 0
        self.rng = random.Random(seed)
        self.outcomes = []     # of this step's operations; ! where the daemon died

    # ---- doing -------------------------------------------------------------------------

    def path(self, *parts):
        return "/".join((self.mount.path,) + parts)

    def new_options(self):
        self.options = {k: self.rng.choice(v) for k, v in OPTIONS.items()}
        self.inline = self.inline or self.options["inline_max"] != "0"
        self.files = self.rng.choice(FILES)

    def start(self, stop=None):
        line = ",".join("%s=%s" % o for o in self.options.items())
        if not self.mount.start(line, stop, self.key, self.files, self.refusals or self.scarce()):
            if not stop:
                self.unable()
            self.revive()

    def unable(self):
        """It says that it cannot start as things are."""
        last = self.mount.log(3)
        if self.scarce() and "open files" in last:
            self.files = None
        elif self.refusals:
            self.emu.calm()
            self.refusals = False
        else:
            raise Broken("batchfs did not start")
        self.outcomes.append("unable")

    def scarce(self):
        """Whether descriptors may run out."""
        return self.files is not None and self.files < 100

    def revive(self):
        """The daemon has died where it was told to: the next one makes good."""
        self.mount.kill()
        if self.holder: # of a file of a mount that is no more
            self.drop_holder()
        for job in self.jobs.values():
            job.unsure = True
        self.start()

    def do(self, fn, *args, kill_after=None, sig=9, crash_after=None):
        """An operation of a child's."""
        child = Child(fn, *args)
        if crash_after is not None:
            time.sleep(crash_after)
            self.mount.kill()
        try:
            r = child.result(kill_after=kill_after, sig=sig)
        except Broken:
            self.say(self.mount.log())
            raise
        if r.err in ("ENOTCONN", "ECONNABORTED"):
            self.mount.process.wait(20) # it is just about to be gone
        died = not self.mount.alive()
        if died:
            self.revive()
        elif r.err in ("EMFILE", "ENFILE") and self.scarce():
            r.broke = True
            time.sleep(0.1)
        r.broke = r.broke or died
        self.outcomes.append(r.err + ("!" if died else ""))
        return r

    def expect(self, r, *allowed):
        if r.err not in allowed and not r.broke:
            raise Broken("%s, expected %s" % (r.err, " or ".join(allowed)))

    def errors(self, *more, job=None):
        """What a call that needs the API, about that job, may fail with now."""
        refused = self.refusals or (job and job.keys - {self.key})
        return tuple(TROUBLE if self.trouble else ()) + tuple(REFUSED if refused else ()) + more

    def others(self, job):
        """Whether a job is surely another key's."""
        return job and job.keys and self.key not in job.keys and not job.in_flux() and \
            not job.is_draft()

    def read_now(self, job, name):
        """Bytes of a local file, or None."""
        r = self.do(deeds.read, self.path(job.name, name))
        if r.broke:
            return self.read_now(job, name)
        self.expect(r, "OK", "ENOENT")
        if name == REQUESTS and REQUESTS not in job.files and job.parts and \
                (r.value or b"").startswith(b'{"key":"'):
            return None # composed, so nothing of the user's, who writes {"key": "
        return r.value

    def refile(self, job, name, *allowed, prefix_of=None):
        """Find out what became of a file, which must be one of these."""
        data = self.read_now(job, name)
        if data not in allowed and not (
                prefix_of is not None and data is not None and prefix_of.startswith(data)):
            raise Broken("%s/%s has other bytes: %r" % (job.name, name, (data or b"")[:200]))
        if data is None:
            job.files.pop(name, None)
        else:
            job.files[name] = data

    def put(self, job, name, data):
        if data is None:
            job.files.pop(name, None)
        else:
            job.files[name] = data

    # ---- what came of it ------------------------------------------------------------------

    def submitted(self, job, r, good):
        """The outcome of a call that submits what job has; good: whether it can be, None:
        perhaps."""
        if r.err == "OK":
            if good is False:
                raise Broken("bad requests were taken")
            job.promise("later" if self.options["submit"] == "background" else "now")
        elif r.err == "EBADMSG":
            if good:
                raise Broken("good requests were refused")
        elif not r.broke:
            if good is False and not job.in_flux():
                raise Broken("bad requests: %s" % r.err)
            self.expect(r, *self.errors(*(("EBUSY", "EINTR", "ECANCELED") if job.in_flux() else ()),
                                        *(("EBUSY",) if self.scarce() else ())))
        if r.broke:
            job.unsure = True

    def observe(self):
        """Look at the tree and at the API, and hold both to the model."""
        r = self.do(deeds.table, self.mount.path)
        if r.broke:
            return self.observe()
        self.expect(r, "OK")
        table = r.value
        jobs = self.emu.jobs()
        for name in [n for n in self.jobs if n not in table]:
            raise Broken("%s is not in the tree any more" % name)
        self.extras = {}
        for name, row in table.items():
            if name in self.jobs:
                self.jobs[name].state = row["state"]
            else:
                self.extras[name] = row["state"]
                if row["state"] in DRAFT + BUSY:
                    raise Broken("%s is %s, and nobody made it" % (name, row["state"]))
        for id in jobs:
            if id not in self.known_ids:
                self.known_ids[id] = self.attribute(id, jobs[id]["metadata"], jobs[id]["project"])
        for job in self.jobs.values():
            self.check_job(job)
        return table, jobs

    def attribute(self, id, meta, project):
        if id in self.foreign:
            return None
        n = int(meta["batchStats"]["requestCount"])
        mine = [j for j in list(self.jobs.values()) + self.past[::-1]
                if meta["displayName"] in j.names and n in j.tried]
        if not mine:
            raise Broken("a job of %d requests named %s that nobody asked for"
                         % (n, meta["displayName"]))
        job = mine[0]
        job.ids.append(id)
        if len(job.ids) > job.allowed:
            raise Broken("%s was bought %d times, %d allowed" % (job.name, len(job.ids), job.allowed))
        if job.unsent:
            raise Broken("%s was bought after rmdir" % job.name)
        if project not in [self.emu.PROJECTS[key] for key in job.keys]:
            raise Broken("%s was bought in the project %s, asked for with %s"
                         % (job.name, project, sorted(job.keys)))
        return job

    def check_job(self, job):
        state = job.state
        # A draft's task may still be giving up.
        if job.unsure and (is_sent(state) or (
                state in DRAFT and time.monotonic() - job.unsure_at > 5)):
            job.unsure = False
        if state in DRAFT:
            if job.ids:
                raise Broken("%s is %s but there is a job" % (job.name, state))
            if job.promised:
                raise Broken("%s is %s, but a call has said that it is bought" % (job.name, state))
        if is_sent(state) and not job.ids:
            raise Broken("%s is %s, and there is no job" % (job.name, state))
        if job.promised == "now" and not job.ids:
            raise Broken("%s: a call has said that it is bought, and there is no job" % job.name)

    # ---- steps -------------------------------------------------------------------------------

    def choose(self, number):
        """The operation of this step; its arguments are drawn from self.rng next."""
        self.rng = random.Random("%s/%s" % (self.seed, number))
        ops = self.operations()
        return self.rng.choices(list(ops), [w for _, w in ops.values()])[0]

    def step(self, number):
        self.serial = number
        self.outcomes = []
        name = self.choose(number)
        self.told = []
        start = time.monotonic()
        try:
            self.operations()[name][0]()
            done = len(self.outcomes)
            self.observe()
            del self.outcomes[done:]
        except Skip:
            self.outcomes.append("skipped")
        finally:
            self.say("%4d %-10s %-40s %s%s" % (
                number, name, " ".join(map(str, self.told)), " ".join(self.outcomes[-6:]),
                " %.1fs" % (time.monotonic() - start) if time.monotonic() - start > 1 else ""))

    def tell(self, *what):
        self.told += what

    def pick(self):
        name = self.rng.choice(NAMES)
        self.tell(repr(name))
        return name, self.jobs.get(name)

    def close(self):
        if self.holder:
            self.holder[0].abandon()
        if self.second:
            self.second.kill()

    def operations(self):
        raise NotImplementedError
