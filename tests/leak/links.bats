#!/usr/bin/env bats
# The state and cache directories are ours alone, and what somebody plants in them leads
# nowhere else: no link is followed, no fifo is waited for.

load ../helpers/mount
load ../helpers/leak
load ../helpers/pictures

setup() { start_emulator; }
teardown() { stop_all_and_helpers; }

@test "nothing in state or cache can be read by others, whatever the umask" {
	umask 000
	mount_jobs -o fetch=all
	make_foreign_file_job other 2 >/dev/null
	submit_job a
	mkdir "$MNT/d"
	echo x >"$MNT/d/scratch"
	ended a
	eventually test -d "$MNT/other"
	ended other
	eventually results_saved other
	rmdir "$MNT/a"
	unmount_jobs
	[ "$(find "$XDG_STATE_HOME" "$XDG_CACHE_HOME" -type f | wc -l)" -gt 8 ]
	same "" "$(find "$XDG_STATE_HOME" "$XDG_CACHE_HOME" -perm /077)"
}

@test "links and fifos in the place of files lead nowhere" {
	local file kind master=$BATS_TEST_TMPDIR/master n=0
	mount_jobs -o fetch=all
	make_foreign_file_job other 2 >/dev/null
	submit_job a
	draft d
	echo scratch >"$MNT/d/scratch"
	requests 2 >"$HOME/in"
	ended a
	eventually results_saved a
	eventually test -d "$MNT/other"
	ended other
	eventually results_saved other
	# One of everything that is kept: what is composed and what of it is sent, uploads
	# that are remembered, what is in the trash.
	draft c
	picture 1 >"$MNT/c/inputs/one.png"
	echo 'What is it?' >"$MNT/c/prompt.txt"
	echo submit >"$MNT/c/ctl"
	ended c
	eventually results_saved c
	submit_job gone
	ended gone
	rmdir "$MNT/gone"
	eventually sh -c 'ls "$1"/batchfs/*/trash/*/journal' - "$XDG_STATE_HOME"
	unmount_jobs
	mkdir "$master"
	cp -a "$XDG_STATE_HOME" "$master/state"
	cp -a "$XDG_CACHE_HOME" "$master/cache"
	(cd "$master" && find state cache -type f) >"$HOME/list"
	for file in attachments composed.jsonl sent.jsonl one.png results.index known; do
		grep -q "/$file\$" "$HOME/list"
	done
	echo 'sEcReT of somebody else' >"$HOME/victim"
	cp "$HOME/victim" "$HOME/victim.was"
	while read -r file; do
		for kind in link fifo; do
			# Fifos: where something is read, once for each way of reading.
			[[ $kind = link || $file =~ /(journal|names)$ ]] || continue
			rm -rf "$XDG_STATE_HOME" "$XDG_CACHE_HOME"
			cp -a "$master/state" "$XDG_STATE_HOME"
			cp -a "$master/cache" "$XDG_CACHE_HOME"
			local path=$XDG_STATE_HOME/${file#state/}
			[ "${file%%/*}" = state ] || path=$XDG_CACHE_HOME/${file#cache/}
			rm "$path"
			if [ $kind = link ]; then
				ln -s "$HOME/victim" "$path"
			else
				mkfifo -m 600 "$path"
			fi
			echo "$kind $file"
			n=$((n + 1))
			start_batchfs -o ttl=1,poll=1,fetch=all "$MNT"
			# It may refuse to start, in a line; it must not hang.
			if eventually is_mounted "$MNT"; then
				timeout 20 find "$MNT" -type f ! -name wait ! -name results.jsonl \
					-exec timeout 2 cat {} + >"$HOME/seen" 2>/dev/null || true
				timeout 2 cat "$MNT"/{a,other}/results.jsonl >>"$HOME/seen" 2>/dev/null || true
				timeout 2 sh -c 'echo more >>"$1"' - "$MNT/d/scratch" 2>/dev/null || true
				timeout 2 sh -c 'echo more >"$1/d/prompt.txt"; echo check >"$1/d/ctl"' - "$MNT" \
					2>/dev/null || true
				timeout 9 rmdir "$MNT/c" 2>/dev/null || true
				run ! grep -q sEcReT "$HOME/seen"
				unmount_jobs
			fi
			cmp "$HOME/victim" "$HOME/victim.was"
		done
	done <"$HOME/list"
	echo "# $n planted" >&3
}

@test "a directory of a job that is a link is not entered" {
	mount_jobs
	submit_job a
	ended a
	unmount_jobs
	local jobs lid
	jobs=$(echo "$XDG_STATE_HOME"/batchfs/*/jobs)
	lid=$(ls "$jobs")
	mv "$jobs/$lid" "$HOME/moved"
	ln -s "$HOME/moved" "$jobs/$lid"
	find "$HOME/moved" -printf '%p %s %T@\n' | sort >"$HOME/before"
	mount_jobs
	timeout 20 ls "$MNT"
	unmount_jobs
	find "$HOME/moved" -printf '%p %s %T@\n' | sort >"$HOME/after"
	cmp "$HOME/before" "$HOME/after"
	# And for all of them.
	rm "$jobs/$lid"
	mv "$jobs" "$HOME/jobs.moved"
	ln -s "$HOME/jobs.moved" "$jobs"
	run -1 timeout "$PATIENCE" "$BATCHFS" -f "$MNT"
	[ -n "$output" ]
}

@test "links in the place of directories: what is made anew is made nowhere else" {
	local master=$BATS_TEST_TMPDIR/master dir path
	mount_jobs
	submit_job a
	draft d
	echo x >"$MNT/d/inputs/one"
	ended a
	eventually results_saved a
	unmount_jobs
	mkdir "$master" "$HOME/elsewhere"
	cp -a "$XDG_STATE_HOME" "$master/state"
	cp -a "$XDG_CACHE_HOME" "$master/cache"
	(cd "$master" && find state cache -mindepth 3 -type d) >"$HOME/list"
	echo "$(sed -n '1s:/[^/]*$:/aside:p' "$HOME/list")" >>"$HOME/list"
	grep -q /inputs$ "$HOME/list"
	grep -q /trash$ "$HOME/list"
	grep -q /results$ "$HOME/list"
	while read -r dir; do
		echo "$dir"
		rm -rf "$XDG_STATE_HOME" "$XDG_CACHE_HOME"
		cp -a "$master/state" "$XDG_STATE_HOME"
		cp -a "$master/cache" "$XDG_CACHE_HOME"
		path=$XDG_STATE_HOME/${dir#state/}
		[ "${dir%%/*}" = state ] || path=$XDG_CACHE_HOME/${dir#cache/}
		rm -rf "$path"
		ln -s "$HOME/elsewhere" "$path"
		start_batchfs -o ttl=1,poll=1 "$MNT"
		# It may refuse to start.
		if eventually is_mounted "$MNT"; then
			timeout 9 find "$MNT" -type f ! -name wait -exec timeout 2 cat {} + >/dev/null 2>&1 || true
			timeout 9 sh -c 'cd "$1"; echo x >d/scratch; echo x >d/inputs/x; echo check >d/ctl
				mkdir b; rmdir b; rmdir a' - "$MNT" 2>/dev/null || true
			unmount_jobs
		fi
		same "" "$(ls -A "$HOME/elsewhere")"
	done <"$HOME/list"
}
