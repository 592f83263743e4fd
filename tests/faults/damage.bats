#!/usr/bin/env bats
# Files of the cache and of the state directory that are cut short, have a flipped bit, are
# noise or of a newer version, found by the next start: it says so in the log, gives no wrong
# byte, buys nothing, and what is lost comes again from the API.

load ../fs/helpers
load ../fs/pictures
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
		eventually results_home "$j"
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
