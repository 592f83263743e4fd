# Calls of the API: how many, for what.

suite_calls() {
	start_emulator
	inject '{"displayName": "ended", "count": 100, "output": true}'
	inject '{"displayName": "runs", "state": "RUNNING"}'
	calls_stat
	calls_wait
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
