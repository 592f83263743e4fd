"""What the model test walks in: an emulator, a mount, and children that touch it.

Nothing of the mount is touched by the test's own process: every operation is done by a
child, which can be killed, and which can hang without hanging the test.
"""
import errno
import json
import os
import pickle
import resource
import select
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request


class Broken(Exception):
    """An invariant does not hold."""


# ---- children ---------------------------------------------------------------------


class Result:
    """How a child's operation ended: err is an errno by name, "OK", or "KILLED"; broke:
    it was cut short, so that what came of it is to be found out."""

    def __init__(self, err, value=None):
        self.err, self.value, self.broke = err, value, err == "KILLED"

    def __repr__(self):
        return self.err


class Child:
    """fn(...) in a process of its own."""

    def __init__(self, fn, *args):
        self.what = "%s%r" % (fn.__name__, args)
        self.pipe, end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            self._be(end, fn, args)
        os.close(end)
        self.got = b""

    @staticmethod
    def _be(end, fn, args):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            out = ("OK", fn(*args))
        except OSError as e:
            out = (errno.errorcode.get(e.errno, str(e.errno)), None)
        except BaseException as e:  # a bug of the test's own
            out = ("PYTHON", repr(e))
        data = pickle.dumps(out)
        while data:
            data = data[os.write(end, data):]
        os._exit(0)

    def _read(self, seconds):
        """True when the child has said everything."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.pipe], [], [], left)[0]:
                break
            more = os.read(self.pipe, 1 << 20)
            if not more:
                return True
            self.got += more
        return False

    def done(self):
        return self._read(0.001)

    def result(self, patience=60, kill_after=None, sig=signal.SIGKILL):
        if kill_after is not None and not self._read(kill_after):
            os.kill(self.pid, sig)
        if not self._read(patience):
            self.abandon()
            raise Broken("%s hangs" % self.what)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)
        if not self.got:
            return Result("KILLED")
        err, value = pickle.loads(self.got)
        if err == "PYTHON":
            raise RuntimeError(value)
        return Result(err, value)

    def abandon(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


# ---- the emulator -------------------------------------------------------------------


class Emulator:
    # Jobs live for a blink.
    FAST = ["pending=0.1", "running=0.2", "cancel_delay=0.05"]
    # Keys and the projects they are of.
    PROJECTS = {"test-key": "right", "other-key": "other"}

    def __init__(self, program, directory):
        args = [program, "--data", directory + "/emulator", "--log", directory + "/requests.log"]
        for key in self.PROJECTS.items():
            args += ["--key", "%s=%s" % key]
        for knob in self.FAST:
            args += ["--set", knob]
        self.errors = open(directory + "/emulator.err", "w")
        self.process = subprocess.Popen(
            args, stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[-1]
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, body=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, method=method, headers={
            "x-goog-api-key": "test-key", "content-type": "application/json"})
        with self.opener.open(request, timeout=20) as reply:
            return json.loads(reply.read() or b"null")

    def jobs(self):
        """All jobs there are, by id."""
        return {j["name"]: j for j in self.call("GET", "/emu/jobs")["jobs"]}

    def fault(self, **query):
        self.call("POST", "/emu/fault", **query)

    def knob(self, **knobs):
        self.call("POST", "/emu/set", **knobs)

    def calm(self):
        self.call("POST", "/emu/fault/reset")

    def faults(self):
        return self.call("GET", "/emu/faults")["faults"]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


# ---- the mount ------------------------------------------------------------------------


class Mount:
    # Times that nobody can wait for.
    SHORT = {
        "BATCHFS_TEST_SETTLE_SECONDS": "3",
        "BATCHFS_TEST_CLOSE_SECONDS": "1",
        "BATCHFS_TEST_QUEUE_SECONDS": "1",
        "BATCHFS_TEST_OWN_SECONDS": "1",
        "BATCHFS_TEST_DEADLINE_SECONDS": "3",
        "BATCHFS_TEST_BACKOFF_SECONDS": "0.25",
        "BATCHFS_TEST_REFUSED_SECONDS": "1",
        "BATCHFS_TEST_REMOVAL_SECONDS": "1",
        "BATCHFS_TEST_MISSING_SECONDS": "1",
        "BATCHFS_TEST_DOUBT_SECONDS": "30",
    }

    def __init__(self, build, directory, url):
        self.build, self.directory = build, directory
        self.program = build + "/fs/batchfs"
        self.path = directory + "/jobs"
        self.log_path = directory + "/batchfs.log"
        self.clock_path = directory + "/clock"
        os.mkdir(self.path)
        self.step_clock(0)
        san = "log_path=%s/sanitizer:print_stacktrace=1:verify_asan_link_order=0" % directory
        self.env = dict(
            PATH=os.environ["PATH"], HOME=directory,
            LD_PRELOAD=build + "/tests/clock/clock.so", BATCHFS_TEST_CLOCK=self.clock_path,
            GOOGLE_GEMINI_BASE_URL=url, ASAN_OPTIONS=san + ":detect_leaks=1",
            UBSAN_OPTIONS=san, TSAN_OPTIONS=san + ":second_deadlock_stack=1", **self.SHORT)
        self.process = None

    def another(self):
        """A second machine's: it shares nothing but the API."""
        directory = self.directory + "/second"
        os.mkdir(directory)
        return Mount(self.build, directory, self.env["GOOGLE_GEMINI_BASE_URL"])

    def step_clock(self, seconds):
        """The wall clock is from now on so far ahead of the machine's (tests/clock)."""
        with open(self.clock_path + ".new", "w") as f:
            f.write("%d\n" % seconds)
        os.rename(self.clock_path + ".new", self.clock_path)

    def start(self, options, stop=None, key="test-key", files=None, may_fail=False):
        """Whether it came up; with stop (a crash point) or may_fail it may not. files: how
        many descriptors it has."""
        env = dict(self.env, GEMINI_API_KEY=key, **({"BATCHFS_TEST_STOP": stop} if stop else {}))
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                [self.program, "-f", "-o", "ttl=1,poll=1," + options, self.path],
                env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=files and (lambda: resource.setrlimit(
                    resource.RLIMIT_NOFILE, (files, files))))
        end = time.monotonic() + 60
        while not self.mounted():
            if not self.alive():
                if stop or may_fail:
                    return False
                raise Broken("batchfs did not start: status %s" % self.process.returncode)
            if time.monotonic() > end:
                raise Broken("batchfs does not mount")
            time.sleep(0.01)
        return True

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def mounted(self):
        with open("/proc/mounts") as mounts:
            return any(line.split()[1] == self.path for line in mounts)

    def _unmount(self, *flags):
        return subprocess.run(["fusermount3", "-u", *flags, self.path], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def stop(self):
        """As a user does it; must end well."""
        end = time.monotonic() + 30
        while not self._unmount():
            if time.monotonic() > end or not self.alive():
                return False
            time.sleep(0.05)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise Broken("batchfs does not end after it was unmounted")
        if status not in (0, -signal.SIGKILL):
            raise Broken("batchfs ended with status %d" % status)
        return status == 0

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        while self.mounted():
            self._unmount("-z")

    def log(self, lines=25):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except FileNotFoundError:
            return ""

    def sanitizer_reports(self):
        text = ""
        for name in os.listdir(self.directory):
            if name.startswith("sanitizer."):
                with open(self.directory + "/" + name, errors="replace") as f:
                    text += f.read()
        with open(self.log_path, errors="replace") as f:
            text += "".join(l for l in f if "runtime error:" in l or "Sanitizer" in l
                            or ("Assertion" in l and "failed" in l))
        return text
