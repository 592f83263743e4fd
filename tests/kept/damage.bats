#!/usr/bin/env bats
# Files of the cache and of the state directory that are cut short, have a flipped bit, are
# noise or of a newer version, found by the next start: it says so in the log, gives no wrong
# byte, buys nothing, and what is lost comes again from the API.

load ../helpers/mount
load ../helpers/pictures
shopt -s extglob

setup() {
	start_emulator
	mount_jobs -o fetch=read
	make_foreign_file_job far 20
	eventually test -d "$MNT/far"
	succeeded far
	mkdir "$MNT/own"
	picture 1 >"$MNT/own/one.png"
	for i in {1..20}; do ask "k$i" one.png; done >"$HOME/in.jsonl"
	cp "$HOME/in.jsonl" "$MNT/own/requests.jsonl"
	succeeded own
	for j in far own; do
		cp "$MNT/$j/results.jsonl" "$HOME/$j.results"
		cp "$MNT/$j/answers.tsv" "$HOME/$j.answers"
		eventually results_saved "$j"
	done
	cp "$MNT/.batchfs/history" "$HOME/history"
	unmount_jobs
	STATE=$(echo "$XDG_STATE_HOME"/batchfs/*) CACHE=$(echo "$XDG_CACHE_HOME"/batchfs/*)
	cp -a "$STATE" "$HOME/state.good"
	cp -a "$CACHE" "$HOME/cache.good"
	MADE=$(emu GET '/emu/jobs?count=1' | jq .count)
}
teardown() { stop_all; }

# ---- damage ---------------------------------------------------------------------------------

flip() { # FILE OFFSET
	python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    c = f.read(1)
    f.seek(int(sys.argv[2]))
    f.write(bytes([c[0] ^ 0x10]))' "$1" "$2"
}
cut_short() { truncate -s $(($(stat -c %s "$1") / 2)) "$1"; }
cut_by_one() { truncate -s -1 "$1"; }
emptied() { : >"$1"; }
flip_first() { flip "$1" 0; }
flip_middle() { flip "$1" $(($(stat -c %s "$1") / 2)); }
flip_last() { flip "$1" $(($(stat -c %s "$1") - 1)); }
# Where binary files have their version.
removed() { rm "$1"; }
newer() { printf '\377' | dd of="$1" bs=1 seek=8 conv=notrunc status=none; }
noise() { head -c 3000 /dev/urandom >"$1"; }

ALL='cut_short cut_by_one emptied flip_first flip_middle flip_last newer noise'

# each FILE CHECK [DAMAGE...]: the state as it was, that file (a pattern below the state or
# the cache directory) damaged, a start, CHECK.
each() {
	local pattern=$1 check=$2 damage file
	shift 2
	# shellcheck disable=SC2086 # a list
	[ $# -gt 0 ] || set -- $ALL
	for damage; do
		rm -rf "$STATE" "$CACHE"
		cp -a "$HOME/state.good" "$STATE"
		cp -a "$HOME/cache.good" "$CACHE"
		file=$(compgen -G "$STATE/$pattern" || compgen -G "$CACHE/$pattern")
		echo "$damage ${file#"$BATS_TEST_TMPDIR"}"
		$damage "$file"
		mount_jobs -o fetch=read
		$check
		same "$MADE" "$(emu GET '/emu/jobs?count=1' | jq .count)"
		unmount_jobs
	done
}

said() { # PATTERN
	grep -qE "$1" "$FS_LOG" || {
		echo "not said in the log: $1"
		return 1
	}
}

# ---- what nobody can fetch again --------------------------------------------------------------

# The API has them no more: it forgot the job, or the output alone.
forget_own() { api DELETE "/v1beta/$(ids_of own)" >/dev/null; MADE=$((MADE - 1)); }
refuse_own() { fault "match=download&kind=status&status=${1:-404}&count=0"; }

MAP='jobs/*/results.jsonl.map'

own_made_again() {
	becomes "$(cat "$HOME/own.answers")" cat "$MNT/own/answers.tsv"
	own_is_whole
	said 'results of own.*checksums.* anew'
	eventually results_saved own
	remount_jobs -o fetch=read
	own_is_whole
	if grep 'results of own' "$FS_LOG"; then return 1; fi
}
own_is_whole() {
	same results.jsonl "$(ls "$MNT/own" | grep -x results.jsonl)"
	cmp "$HOME/own.results" "$MNT/own/results.jsonl"
	cmp "$HOME/own.answers" "$MNT/own/answers.tsv"
}

@test "the map of results at home, of a job that the API forgot" {
	forget_own
	# shellcheck disable=SC2086 # a list
	each "$MAP" own_made_again $ALL removed
}

@test "the map of results at home, whose output the API has no more" {
	refuse_own 404
	each "$MAP" own_made_again flip_first
	no_more_faults
	refuse_own 403
	each "$MAP" own_made_again removed
}

@test "the map of results at home, and no API" {
	flip_last "$STATE"/$MAP
	stop_emulator
	mount_jobs -o offline
	own_is_whole
	remount_jobs -o offline
	own_is_whole
}

@test "the map of results at home, asked for by fetch, and by many readers at once" {
	fault 'match=download&kind=stall&seconds=1&count=1'
	flip_last "$STATE"/$MAP
	mount_jobs -o fetch=read
	local i pids=
	for i in 1 2 3 4; do
		cmp "$HOME/own.results" "$MNT/own/results.jsonl" &
		pids+=" $!"
	done
	errno_of_ctl own fetch # EBUSY when the readers were faster
	for i in $pids; do wait "$i"; done
	own_is_whole
}

# Half of it is not taken for the whole, nor thrown away.
@test "results at home cut short, their map damaged, and the API has them no more" {
	forget_own
	local damage
	for damage in cut_by_one cut_short emptied; do
		rm -rf "$STATE"
		cp -a "$HOME/state.good" "$STATE"
		$damage "$STATE"/jobs/*/results.jsonl
		cp "$STATE"/jobs/*/results.jsonl "$HOME/half"
		flip_first "$STATE"/$MAP
		mount_jobs -o fetch=read
		eventually grep -q 'not have the output' "$MNT/own/error"
		[ ! -e "$MNT/own/results.jsonl" ]
		remount_jobs -o fetch=read
		eventually grep -q 'not have the output' "$MNT/own/error"
		unmount_jobs
		cmp "$HOME/half" "$STATE"/jobs/*/results.jsonl
	done
}

@test "the map of results at home, and noughts in the place of some" {
	forget_own
	head -c 100 /dev/zero | dd of="$(echo "$STATE"/jobs/*/results.jsonl)" bs=1 seek=500 conv=notrunc status=none
	flip_first "$STATE"/$MAP
	mount_jobs -o fetch=read
	eventually grep -q 'not have the output' "$MNT/own/error"
	[ ! -e "$MNT/own/results.jsonl" ]
}

@test "the map of results at home: what is there stays until the new download is whole" {
	flip_first "$STATE"/$MAP
	fault 'match=download&kind=cut&at=1000&count=1'
	fault 'match=download&kind=status&count=0'
	mount_jobs -o fetch=read
	same EIO "$(errno_of_ctl own fetch)"
	kill_batchfs
	cmp "$HOME/own.results" "$STATE"/jobs/*/results.jsonl
	no_more_faults
	forget_own
	mount_jobs -o fetch=read
	own_made_again
}

@test "the map of results at home, and a download of something shorter" {
	flip_first "$STATE"/$MAP
	fault 'match=download&kind=garbage&status=200&text=%7B%22a%22:1%7D%0A&count=0'
	mount_jobs -o fetch=read
	own_made_again
}

# Three blocks of the map; the second has a bit flipped, or the last is cut off.
wide_at_home() {
	mount_jobs -o fetch=own
	for i in 1 2 3 4 5; do
		jq -cn --arg i "$i" '{key: $i, request: {contents: [{parts: [{text: "[emu:big 500000]"}]}]}}'
	done >"$HOME/wide.jsonl"
	mkdir "$MNT/wide"
	cp "$HOME/wide.jsonl" "$MNT/wide/requests.jsonl"
	succeeded wide
	eventually results_saved wide
	cp "$MNT/wide/results.jsonl" "$HOME/wide.results"
	unmount_jobs
	WIDE=$(find "$STATE/jobs" -name results.jsonl -size +2M)
	[ "$(stat -c %s "$WIDE")" -gt 2500000 ]
	api DELETE "/v1beta/$(ids_of wide)" >/dev/null
}

# Which MiB of a file can be read and are true; E for an error.
blocks() { # FILE TRUTH
	python3 -c '
import os, sys
fd, truth, out = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb").read(), ""
for at in range(0, len(truth), 1 << 20):
    n = min(1 << 20, len(truth) - at)
    try:
        out += "=" if os.pread(fd, n, at) == truth[at:at + n] else "!"
    except OSError as e:
        out += "E" if e.errno == 5 else "?"
print(out)' "$1" "$2"
}

wide_reads() { # BLOCKS
	for _ in first second; do
		becomes "$1" blocks "$MNT/wide/results.jsonl" "$HOME/wide.results" || return
		eventually grep -q 'results.jsonl is damaged' "$MNT/wide/error" || return
		grep -qF "$WIDE" "$MNT/wide/error" || return
		same "$(stat -c %s "$HOME/wide.results")" "$(stat -c %s "$MNT/wide/results.jsonl")" ||
			return
		! results_saved wide || return
		said 'results of wide.*damaged' || return
		remount_jobs -o fetch=own
	done
}

@test "results at home that nobody has any more: all but the damaged part can be read" {
	wide_at_home
	cp "$WIDE" "$HOME/wide.data"
	cp "$WIDE.map" "$HOME/wide.map"
	flip "$WIDE" 1500000
	mount_jobs -o fetch=own
	wide_reads '=E='
	unmount_jobs
	cp "$HOME/wide.data" "$WIDE"
	cp "$HOME/wide.map" "$WIDE.map"
	cut_by_one "$WIDE"
	mount_jobs -o fetch=own
	wide_reads '==E'
}

@test "the map of results at home, of a job that went inline" {
	mount_jobs -o inline_max=100000
	submit_job tiny 3
	succeeded tiny
	eventually results_saved tiny
	cp "$MNT/tiny/results.jsonl" "$HOME/tiny.results"
	unmount_jobs
	local map
	for map in "$STATE"/jobs/*/results.jsonl.map; do
		! cmp -s "${map%.map}" "$HOME/tiny.results" || break
	done
	flip_first "$map"
	mount_jobs -o fetch=read
	cmp "$HOME/tiny.results" "$MNT/tiny/results.jsonl"
	unmount_jobs
	flip_first "$map"
	api DELETE "/v1beta/$(ids_of tiny)" >/dev/null
	mount_jobs -o fetch=read
	cmp "$HOME/tiny.results" "$MNT/tiny/results.jsonl"
	said 'results of tiny.*checksums were computed anew'
}

@test "the API's words on a job of ours name another output" {
	local json
	json=$(echo "$STATE"/jobs/*/job.json)
	sed -i 's,files/batch-,files/batch-x,g' "$json"
	forget_own
	mount_jobs -o fetch=read
	own_is_whole
	remount_jobs -o fetch=read
	own_is_whole
}

# ---- what can --------------------------------------------------------------------------------

# All is as it was, whatever it took.
intact() {
	local j
	for j in own far; do
		eventually test -d "$MNT/$j"
		state_is $j JOB_STATE_SUCCEEDED
		cmp "$HOME/$j.results" "$MNT/$j/results.jsonl"
		cmp "$HOME/$j.answers" "$MNT/$j/answers.tsv"
	done
	cmp "$HOME/in.jsonl" "$MNT/own/requests.jsonl"
}

own_damaged() { intact && said 'results of own.*damaged'; }
far_damaged() { intact && said 'results of far.*damaged'; }

@test "results in the cache" { each 'results/!(*.*)' far_damaged; }
@test "the map of results in the cache" { each 'results/*.map' far_damaged; }
@test "the index of results in the cache" { each 'results/*.index' intact; }
@test "results at home" { each 'jobs/*/results.jsonl' own_damaged; }
@test "the map of results at home" { each 'jobs/*/results.jsonl.map' own_damaged; }
@test "the index of results at home" { each 'jobs/*/results.index' intact; }
@test "what is known of the jobs of others" {
	each known known_damaged cut_short cut_by_one flip_first newer noise
	each known intact emptied flip_middle flip_last
}
known_damaged() { intact && said 'known.*damaged'; }
@test "the API's words on a job of ours" { each 'jobs/*/job.json' intact; }
@test "the registry of attachments" { each attachments registry_damaged; }
registry_damaged() { intact && said 'attachments is damaged' && [ -e "$STATE/aside/attachments" ]; }

# Queued for this key: it is sent by the next start as long as that can be told, and by none
# where it cannot.
queued() {
	mount_jobs -o submit=background
	mkdir "$MNT/queued"
	stop_emulator
	requests 2 >"$HOME/queued.jsonl"
	cp "$HOME/queued.jsonl" "$MNT/queued/requests.jsonl"
	unmount_jobs
	start_emulator
	rm -rf "$HOME/state.good" && cp -a "$STATE" "$HOME/state.good"
}

@test "the salt of the key's fingerprint, or its copy" {
	queued
	local damage file
	# shellcheck disable=SC2086 # a list
	for damage in $ALL removed; do
		for file in salt salt.copy; do
			rm -rf "$STATE"
			cp -a "$HOME/state.good" "$STATE"
			echo "$damage $file"
			$damage "$STATE/$file"
			GEMINI_API_KEY=another-key mount_jobs
			state_is queued QUEUED
			unmount_jobs
			cmp "$STATE/salt" "$HOME/state.good/salt"
			cmp "$STATE/salt.copy" "$HOME/state.good/salt.copy"
		done
	done
	rm "$STATE/salt"
	mount_jobs
	succeeded queued
}

@test "the salt of the key's fingerprint, and its copy" {
	queued
	cut_short "$STATE/salt"
	flip_first "$STATE/salt.copy"
	mount_jobs
	said 'salt is damaged'
	contains "$(cat "$MNT/queued/error")" 'another key'
	remount_jobs
	state_is queued QUEUED
	same "$MADE" "$(emu GET '/emu/jobs?count=1' | jq .count)"
	cmp "$HOME/queued.jsonl" "$MNT/queued/requests.jsonl"
	mkdir "$MNT/again" && cp "$MNT/queued/requests.jsonl" "$MNT/again"
	succeeded again
	same $((MADE + 1)) "$(emu GET '/emu/jobs?count=1' | jq .count)"
}

# A job of ours is not known as ours then; it is in the tree as what the API says.
@test "a journal" { each 'jobs/*/journal' journal_damaged; }
journal_damaged() {
	said 'journal of jobs/.* is damaged' || return
	compgen -G "$STATE/aside/*/requests.jsonl" || compgen -G "$STATE/aside/*/files/requests.jsonl" || return
	eventually test -d "$MNT/own"
	state_is own JOB_STATE_SUCCEEDED
	cmp "$HOME/own.results" "$MNT/own/results.jsonl"
	cmp "$HOME/far.results" "$MNT/far/results.jsonl"
}

@test "names that were given, and the ledger: what follows is not lost with them" {
	each names names_damaged cut_short flip_first flip_middle flip_last newer noise
	each names intact cut_by_one emptied
	each history intact
	local f
	for f in names history; do
		each $f a_new_one cut_short cut_by_one
	done
}
names_damaged() { intact && said 'names is damaged'; }
a_new_one() {
	NEW=new$((MADE + 1))
	requests 2 >"$HOME/new.jsonl"
	mkdir "$MNT/$NEW" && cp "$HOME/new.jsonl" "$MNT/$NEW/requests.jsonl"
	succeeded $NEW
	make_foreign_file_job "$NEW/strange" 2 >"$HOME/id"
	eventually named
	remount_jobs
	eventually named
	# A line of its own, in the ledger too.
	awk -F '\t' -v n="$NEW" '$3 == "created" && $5 == n' "$MNT/.batchfs/history" | grep -q .
	MADE=$((MADE + 2))
}
named() { grep -q "$(cat "$HOME/id")" "$MNT/$NEW"%*/id; }
