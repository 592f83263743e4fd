"""What children do to the mount, each as a program would: open, write, close."""
import os
import signal

from parts import TOP

LOCAL = ("id", "requests.jsonl", "requests.jsonl.rejected")

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def write(path, data, pieces=1, flags=NEW):
    """The last thing is a close whose error counts."""
    fd = os.open(path, flags, 0o666)
    try:
        step = max(1, -(-len(data) // pieces))
        for at in range(0, len(data), step):
            os.write(fd, data[at:at + step])
    except OSError:
        try:
            os.close(fd)
        except OSError:
            pass
        raise
    os.close(fd)


def append(path, data):
    write(path, data, flags=os.O_WRONLY | os.O_APPEND)


def write_and_die(path, data, how):
    """A writer that never closes: killed, or failed."""
    fd = os.open(path, NEW, 0o666)
    os.write(fd, data)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def hold(path, data, pipe):
    """Writes half and stays, until it is told how to end."""
    fd = os.open(path, NEW, 0o666)
    os.write(fd, data[:len(data) // 2])
    how = os.read(pipe, 100).decode()
    if how == "close":
        os.write(fd, data[len(data) // 2:])
        os.close(fd)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        os._exit(3)


def read(path, limit=1 << 26):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while limit > 0 and (part := os.read(fd, 1 << 17)):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def read_at(path, offset, n):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.fstat(fd).st_size, os.pread(fd, n, offset)
    finally:
        os.close(fd)


def ctl(directory, verb):
    fd = os.open(directory + "/ctl", os.O_WRONLY)
    try:
        os.write(fd, verb.encode() + b"\n")
    finally:
        os.close(fd)


def truncate(path, size):
    fd = os.open(path, os.O_WRONLY)
    os.ftruncate(fd, size)
    os.close(fd)


def touch(path):
    os.utime(path)


def listing(path):
    return sorted(os.listdir(path))


def rename(a, b):
    os.rename(a, b)


def unlink(path):
    os.unlink(path)


def mkdir(path):
    os.mkdir(path)


def rmdir(path):
    os.rmdir(path)


def tree(path):
    """What cat sees of each file that is listed and neither waits nor asks: a snapshot
    of {directory: {file: bytes}}."""
    out = {}
    for name in os.listdir(path):
        files = {}
        for file in os.listdir(path + "/" + name):
            if file in LOCAL or file in TOP or file.startswith("scratch"):
                files[file] = read(path + "/" + name + "/" + file)
        files.update(below(path + "/" + name, "inputs"))
        out[name] = files
    return out


def below(top, directory):
    """All files there, by their path below top; names that vanish meanwhile do not matter."""
    files = {}
    for where, _, names in os.walk(top + "/" + directory):
        for name in names:
            files[os.path.relpath(where + "/" + name, top)] = read(where + "/" + name)
    return files


def parts(path):
    """Those of the draft at path that there are."""
    files = below(path, "inputs")
    for name in os.listdir(path):
        if name in TOP:
            files[name] = read(path + "/" + name)
    return files


def write_parts(path, files):
    for name, data in files:
        os.makedirs(os.path.dirname(path + "/" + name), exist_ok=True)
        write(path + "/" + name, data)


def answers(path):
    """The files made of results; retry.jsonl is None while it is not listed."""
    out = {n: read(path + "/" + n) for n in ("answers.tsv", "usage")}
    try:
        out["retry.jsonl"] = read(path + "/retry.jsonl")
    except FileNotFoundError:
        out["retry.jsonl"] = None
    out["responses"] = below(path + "/responses", "")
    return out


def table(path):
    """.batchfs/jobs as {name: {column: value}}; from memory, asks nobody."""
    lines = read(path + "/.batchfs/jobs").decode().splitlines()
    head = lines[0].split("\t")
    return {row[0]: dict(zip(head, row)) for row in (l.split("\t") for l in lines[1:])}


def status(path):
    lines = read(path + "/.batchfs/status").decode().splitlines()
    return dict(l.split(None, 1) if " " in l else (l, "") for l in lines)
