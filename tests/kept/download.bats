#!/usr/bin/env bats
# Downloads from a service that lies about them or changes its mind: never a wrong byte of
# results.jsonl, never half of it for the whole, and the errno says what it is. Heads and
# bodies that contradict each other, in every pair: tests/unit/test_results_pairs.c.

load ../helpers/mount

# Three blocks of the map: 1 MiB, 1 MiB and something.
setup() {
	start_emulator
	big a
}
teardown() { stop_all; }

# A job of another client with megabytes of results, and what they are.
big() { # NAME
	emu POST /emu/job -d "{\"displayName\":\"$1\",\"outputBytes\":2500000,\"requests\":2000}" >/dev/null
	local file
	file=$(api GET "/v1beta/$(ids_of "$1")" | jq -r .response.responsesFile)
	api GET "/download/v1beta/$file:download?alt=media" >"$HOME/$1.truth"
	[ "$(stat -c %s "$HOME/$1.truth")" -gt 2200000 ]
}

mounted() {
	mount_jobs -o fetch=read
	eventually test -d "$MNT/a"
}

# What a sequential reader gets into $HOME/got; its errno or OK.
reads() { # FILE
	errno_of '
fd = os.open(a[0], os.O_RDONLY)
with open(a[1], "wb", buffering=0) as out:
    while True:
        part = os.read(fd, 100000)
        if not part:
            break
        out.write(part)' "$1" "$HOME/got"
}

# Everything that came is true, and the end came only after all of it.
nothing_wrong() { # ERRNO
	cmp -n "$(stat -c %s "$HOME/got")" "$HOME/got" "$HOME/a.truth" || return
	[ "$1" != OK ] || cmp "$HOME/got" "$HOME/a.truth"
}

# The first reader may have to be told that the file is another than the lie said.
heals() {
	no_more_faults
	local errno
	errno=$(reads "$MNT/a/results.jsonl")
	nothing_wrong "$errno"
	[ "$errno" = OK ] || same OK "$(reads "$MNT/a/results.jsonl")"
	cmp "$HOME/got" "$HOME/a.truth"
	remount_jobs -o fetch=read
	eventually test -d "$MNT/a"
	cmp "$HOME/a.truth" "$MNT/a/results.jsonl"
}

# survives FAULT [TIMES...]: whatever it does once, to the request for the size (the open
# asks for it), the first for bytes, and the one that follows a cut. It ends well, but where
# it lasts for ever, or a size was told that was wrong.
survives() {
	local what=$1 times errno
	shift
	[ $# -gt 0 ] || set -- skip={0,1,2}\&count=1
	for times; do
		mounted
		fault "match=download&$what&$times"
		fault 'match=download&kind=cut&at=1200000&skip=1'
		errno=$(reads "$MNT/a/results.jsonl")
		echo "$what $times: $errno, $(stat -c %s "$HOME/got") bytes"
		nothing_wrong "$errno"
		case $what:$times:$errno in
		*:OK | *count=0:EIO | *changed_length*:skip=0*:EIO) ;;
		*) return 1 ;;
		esac
		heals
		unmount_jobs
		rm -r "$XDG_CACHE_HOME" "$XDG_STATE_HOME"
	done
}

@test "a file that is longer than it was" { survives 'kind=changed_length&bytes=5000'; }
# A reader of pages stops where the kernel believes the end to be, which it does for a
# second after it was told. Answers have the results sealed at once, so that pages are kept.
@test "a length that was wrong when it was told ends no later reader" {
	mounted
	fault 'match=download&kind=changed_length&bytes=-5000&count=1'
	stat "$MNT/a/results.jsonl" >/dev/null
	reads "$MNT/a/results.jsonl"
	head -n 1 "$MNT/a/answers.tsv" >/dev/null
	reads "$MNT/a/results.jsonl"
	cmp "$HOME/a.truth" "$HOME/got"
}

@test "a file that is shorter than it was" { survives 'kind=changed_length&bytes=-5000'; }
@test "bodies that end early as if they were whole" {
	survives 'kind=truncate&at=700000'
	survives 'kind=truncate&at=0'
	survives 'kind=truncate&at=0' 'skip=1&count=0'
}
@test "connections that end early" { survives 'kind=cut&at=900000'; }
@test "whatever it serves, with and without lengths, ranges and gzip" {
	local knobs
	for knobs in range=off 'range=off length=off' gzip=always 'gzip=always length=off' \
		'gzip=on range=off' 'length=off'; do
		# shellcheck disable=SC2086 # a list
		knob $knobs
		survives 'kind=truncate&at=1500000' 'skip=1&count=1'
		survives 'kind=cut&at=1100000' 'skip=1&count=2'
		knob gzip=off length=on range=on
	done
}

@test "other bytes than those that are here already: EIO, then all of the new ones" {
	mounted
	knob range=off
	fault 'match=download&kind=cut&at=1500000&count=0'
	head -c 1200000 "$MNT/a/results.jsonl" | cmp -n 1200000 - "$HOME/a.truth"
	no_more_faults
	fault 'match=download&kind=changed_bytes&count=0'
	tr e x <"$HOME/a.truth" >"$HOME/a.new"
	same EIO "$(reads "$MNT/a/results.jsonl")"
	nothing_wrong EIO
	cmp "$HOME/a.new" "$MNT/a/results.jsonl"
	# The old ones are not lost.
	compgen -G "$XDG_CACHE_HOME/batchfs/*/results/*.aside"
}

# Killed again and again while somebody reads here and there: what it gives is right.
@test "thousands of preads over kills" {
	mounted
	cat >"$HOME/preads.py" <<-'P'
		import os, random, sys, time
		path, truth, stop = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3]
		done, fd = 0, None
		while not os.path.exists(stop):
		    try:
		        if fd is None:
		            fd = os.open(path, os.O_RDONLY)
		        at, n = random.randrange(len(truth) + 100), random.choice([1, 4096, 100000])
		        got = os.pread(fd, n, at)
		    except OSError:
		        if fd is not None:
		            os.close(fd)
		        fd = None
		        time.sleep(0.02)
		        continue
		    assert got == truth[at:at + n], (at, n, len(got))
		    done += 1
		print(done)
	P
	python3 "$HOME/preads.py" "$MNT/a/results.jsonl" "$HOME/a.truth" "$HOME/stop" >"$HOME/done" &
	local reader=$!
	for _ in 1 2 3 4; do
		sleep 0.4
		kill_batchfs
		mounted
	done
	sleep 0.4
	touch "$HOME/stop"
	wait $reader
	[ "$(cat "$HOME/done")" -gt 200 ]
	cmp "$HOME/a.truth" "$MNT/a/results.jsonl"
}
