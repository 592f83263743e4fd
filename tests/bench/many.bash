# Many jobs of one's own: what they hold at rest, and when a thousand are used.

many_used=1000

suite_many() {
	many_each many_own
}

suite_drafts() {
	many_each many_drafts
}

many_each() { # COMMAND
	local n
	for n in "${jobs[@]}"; do
		((n >= 10000 || n == jobs[-1])) || continue
		note "$1: $n"
		"$1" "$n"
	done
}

# MEASURE N: descriptors, anonymous memory now, and the peak of all memory.
many_sample() {
	sample "many-fds-$1@$2" batchfs "$(find "/proc/$mount_pid/fd" -mindepth 1 | wc -l)"
	sample "many-memory-$1@$2" batchfs "$(($(memory RssAnon) >> 10))"
	sample "many-peak-$1@$2" batchfs "$(($(memory VmHWM) >> 10))"
}

# Until all N that are named so are listed, and nothing moves any more.
many_mount() { # N GLOB OPTIONS
	mount_jobs "$3"
	until [ "$(find "$mnt" -maxdepth 1 -name "$2" | wc -l)" -ge "$1" ]; do sleep 1; done
	ls -l "$mnt" >/dev/null
	sleep 5
}

many_own() { # N
	local n=$1 i used=$((n < many_used ? n : many_used))
	start_emulator
	fresh_mount fetch=own,poll=1,model=gemini-3.8-flash
	mkdir "$mnt/first"
	ask_make 3 >"$mnt/first/requests.jsonl"
	cat "$mnt/first/wait" >/dev/null
	head -n 1 "$mnt/first/answers.tsv" >/dev/null
	unmount_jobs
	inject "{\"displayName\": \"own\", \"count\": $n, \"output\": true}"
	emu GET /emu/jobs | jq -r '.. | .name? // empty | select(startswith("batches/"))' |
		sort -u | grep -vxFf <(jq -r .name "$work"/state/jobs/*/job.json) |
		"$bin/bench_many" copy "$work"/state/jobs/* "$n" own
	rm -rf "$work/cache"
	many_mount "$n" 'own*' fetch=own,ttl=3600
	! grep -q damaged "$work/mount.log" || die "many: $(head -n 1 "$work/mount.log")"
	many_sample own "$n"
	for ((i = 1; i <= used; i++)); do
		cat "$mnt/own$i/state" "$mnt/own$i/results.jsonl" "$mnt/own$i/answers.tsv" >/dev/null
	done
	sleep 5
	many_sample read "$n"
	many_put_away own
}

# To remove so many files takes minutes: that is left to the end.
many_put_away() { # NAME
	unmount_jobs
	stop_emulator
	mkdir -p "$work/away"
	mv "$work/state" "$work/away/$1.$n"
}

many_drafts() { # N
	local n=$1 i used=$((n < many_used ? n : many_used)) files=() say
	start_emulator
	fresh_mount submit=ctl
	mkdir "$mnt/first"
	unmount_jobs
	"$bin/bench_many" copy "$work"/state/jobs/* "$n" draft </dev/null
	many_mount "$n" 'draft*' submit=ctl,ttl=3600
	many_sample drafts "$n"
	for ((i = 1; i <= used; i++)); do
		files+=("$mnt/draft$i/requests.jsonl")
	done
	coproc "$bin/bench_many" write $((size < 1024 ? 128 : 1024)) "${files[@]}"
	read -r say <&"${COPROC[0]}"
	[ "$say" = open ] || die "many: $say"
	many_sample written "$n"
	i=$COPROC_PID
	echo >&"${COPROC[1]}"
	wait "$i" || die "many: closes"
	sleep 5
	many_sample closed "$n"
	many_put_away drafts
}
