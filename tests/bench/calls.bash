# Calls of the API: how many, for what.

suite_calls() {
	start_emulator
	inject '{"displayName": "ended", "count": 100, "output": true}'
	inject '{"displayName": "runs", "state": "RUNNING"}'
	calls_stat
	calls_wait
	calls_many_wait
	unmount_jobs
	stop_emulator
}

calls_stat() {
	local c
	fresh_mount ttl=60
	cat "$mnt"/ended*/stats >/dev/null
	sleep 2
	c=$(calls)
	cat "$mnt"/ended*/stats >/dev/null
	sample stat-calls batchfs $(($(calls) - c))
	sleep 2
	c=$(calls)
	sleep 10
	sample idle-calls batchfs $(($(calls) - c))
}

calls_wait() {
	local n c pid
	for n in 1 10 100 1000; do
		fresh_mount poll=1,ttl=1
		"$bin/bench_clock" waiters "$mnt/runs/wait" "$n" >/dev/null &
		pid=$!
		sleep 2
		c=$(calls)
		sleep 10
		sample "wait-calls@$n" batchfs $(($(calls) - c))
		sample "wait-threads@$n" batchfs "$(memory Threads)"
		sample "wait-memory@$n" batchfs "$(($(memory VmRSS) / 1024))"
		kill "$pid"
		wait "$pid" || true
	done
}

# 300 who wait among 1,000 running jobs, a poll of two seconds, ten of these.
calls_many_wait() {
	local i before after pids=()
	inject '{"displayName": "many", "count": 1000, "state": "RUNNING"}'
	fresh_mount poll=2,ttl=1
	for i in "$mnt"/many*; do
		((${#pids[@]} < 300)) || break
		cat "$i/wait" >/dev/null &
		pids+=($!)
	done
	sleep 6
	before=$(emu GET /emu/stats)
	sleep 20
	after=$(emu GET /emu/stats)
	kill "${pids[@]}"
	wait "${pids[@]}" || true
	sample many-wait-lists batchfs "$(a_poll "$before" "$after" list)"
	sample many-wait-gets batchfs "$(a_poll "$before" "$after" get)"
}

# Calls of one kind between two looks at the emulator's own counts, in a tenth of it.
a_poll() { # BEFORE AFTER KIND
	jq -n --argjson a "$1" --argjson b "$2" --arg k "$3" \
		'(($b.ops[$k] // 0) - ($a.ops[$k] // 0)) / 10'
}
