#!/usr/bin/env python3
"""The commands of an example in YAML, as its reader would take them: parsed, not cut out.

    example_script.py FILE

Prints the script of a Kubernetes CronJob (what `sh -ec` gets) or of the one job of a GitLab
file, and ends with status 1 where the file would be refused or mean something else.
"""
import sys

import yaml


def wrong(what):
    sys.exit(f"{sys.argv[1]}: {what}")


def cronjob(documents):
    claims = {d["metadata"]["name"] for d in documents if d["kind"] == "PersistentVolumeClaim"}
    job = next(d for d in documents if d["kind"] == "CronJob")
    if job["apiVersion"] != "batch/v1" or len(job["spec"]["schedule"].split()) != 5:
        wrong("no CronJob of batch/v1, or another schedule than five fields")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    if pod["restartPolicy"] not in ("OnFailure", "Never"):
        wrong("a Job's pod cannot be restarted always")
    volumes = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]}
    container, = pod["containers"]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    if set(mounts) != set(volumes):
        wrong("volumes and volumeMounts are not the same")
    env = {e["name"]: e for e in container["env"]}
    state = next(name for name, path in mounts.items() if path == env["XDG_STATE_HOME"]["value"])
    if volumes[state] not in claims:
        wrong("the state directory is in no volume of this file")
    shell, flags, script = container["command"]
    if (shell, flags) != ("sh", "-ec"):
        wrong("not run by sh -ec")
    return script


def gitlab(document):
    job, = document.values()
    for key in ("before_script", "script"):
        for line in job[key]:
            # A colon and a space make a mapping of a command.
            if not isinstance(line, str):
                wrong(f"{key} has what is no command: {line}")
    state = job["variables"]["XDG_STATE_HOME"].removeprefix("$CI_PROJECT_DIR/")
    if state not in job["cache"]["paths"] or job["cache"]["when"] != "always":
        wrong("the state directory is not cached whatever happens")
    return "\n".join(job["script"])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    print(gitlab(documents[0]) if len(documents) == 1 else cronjob(documents))


main()
