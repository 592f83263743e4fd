# shellcheck shell=sh
# What the examples share; each begins with it.

jobs=${JOBS:-$HOME/jobs} # where batchfs is mounted

stop() { # WORDS...
	echo "${0##*/}: $*" >&2
	exit 1
}

usage() { # ARGUMENTS
	echo "usage: ${0##*/} $*" >&2
	exit 2
}

# Without the mount all would seem to go well, in a plain directory.
need_mount() {
	[ -e "$jobs/.batchfs/status" ] || stop "$jobs is not a mounted batchfs: batchfs $jobs"
}

# Before anything is made: a name mistyped leaves no empty draft behind.
need_files() { # FOLDER [PATTERN]
	[ -d "$1" ] || stop "there is no folder $1"
	[ -n "$(find "$1/" -type f -name "${2:-[!.]*}" -print -quit)" ] ||
		stop "nothing to send in $1: no file is called ${2:-[!.]*}"
}

need_text() { # FILE
	[ -f "$1" ] && [ -s "$1" ] || stop "$1 is empty or not there"
}

# Nothing is bought twice: what is there stays as it is.
need_new() { # JOB
	[ ! -e "$1" ] && return
	[ ! -e "$1/id" ] || echo "what was sent before is answered by: cat $1/wait $1/answers.tsv" >&2
	stop "$1 exists: rmdir it or give another name"
}

# Whether an earlier run left the job unsent: what was fixed there is to be sent, not copied
# over.
is_unsent() { # JOB
	case $(cat "$1/state" 2>/dev/null) in
	DRAFT | SUBMIT_FAILED) echo "goes on with the draft $1" >&2 ;;
	*) return 1 ;;
	esac
}

draft() { # JOB
	need_new "$1"
	mkdir "$1"
}

# What is wrong with a job and what to do, as far as it says.
why() { # JOB
	cat "$1/error" >&2 2>/dev/null || true
}

# 0 when the job exists at the API.
submit() { # JOB
	echo submit 2>/dev/null >"$1/ctl" || refused "$1"
}

# Asks FILE, once: nothing is sent where an earlier run has sent it.
ask() { # JOB FILE
	[ -d "$1" ] || mkdir "$1" || exit 1
	case $(cat "$1/state") in
	DRAFT | SUBMIT_FAILED) cp "$2" "$1/requests.jsonl" || refused "$1" ;;
	esac
}

refused() { # JOB
	why "$1"
	case $(cat "$1/state") in
	DRAFT | SUBMIT_FAILED) stop "the draft stays: fix it and echo submit >$1/ctl, or rmdir $1" ;;
	*) stop "$1: $(cat "$1/state")" ;;
	esac
}

# Minutes to hours; Ctrl-C does no harm, the job goes on.
await() { # JOB
	state=$(cat "$1/wait")
	echo "$state" >&2
	[ "$state" != JOB_STATE_SUCCEEDED ] || return 0
	why "$1"
	[ ! -s "$1/retry.jsonl" ] || echo "to ask again: mkdir NEW && cp $1/retry.jsonl NEW/requests.jsonl" >&2
	stop "$1: $state"
}

# Says what has no answer; fails if there is any.
all_answered() { # JOB
	awk -F '\t' '$2 != "answered" { n++; print $1 ": " $2 ": " $3 }
		END { if (n) print n " of " NR " without an answer"; exit (n > 0) }' "$1/answers.tsv" >&2
}
