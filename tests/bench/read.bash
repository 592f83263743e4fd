# Results: cold, again, after a remount; in part; by many; by others.

suite_read() {
	start_emulator
	inject "$(results_job big)"
	local f=$mnt/big/results.jsonl out n
	out=$(output_url big)
	fetch -o /dev/null "$out" # the emulator has it in its page cache
	for ((n = 0; n < rounds; n++)); do
		note "read: round $((n + 1)) of $rounds"
		read_whole "$f" "$out"
		read_parts "$f" "$out"
	done
	unmount_jobs
	stop_emulator
}

results_job() { # NAME: with as many bytes as are read
	printf '{"displayName": "%s", "requests": %s, "outputBytes": %s}' \
		"$1" $((size << 9)) $((size << 20))
}

read_whole() { # FILE URL
	local disk=$work/file calls0
	rm -f "$disk"
	timed cold-cat emulator fetch -o /dev/null "$2"
	warm
	earlier fetched_before "$2"
	timed_cpu cold-cat curl-disk fetch -o "$disk" "$2"
	fresh_mount
	warm
	earlier read_before
	calls0=$(calls)
	timed_cpu cold-cat batchfs cat "$1"
	sample cold-calls batchfs $(($(calls) - calls0))
	sample read-memory batchfs $(($(memory VmHWM) / 1024))
	cat "$disk" >/dev/null
	timed_cpu second-cat page-cache cat "$disk"
	timed_cpu second-cat batchfs cat "$1"
	timed third-cat batchfs cat "$1"
	timed_cpu answers-first batchfs head -n 1 "${1%/*}/answers.tsv"
	sleep 4 # sealed
	warm
	timed sealed-cat batchfs cat "$1"
	timed kept-cat batchfs cat "$1"
	unmount_jobs
	mount_jobs
	ls "$mnt" >/dev/null
	warm
	timed_cpu remount-cat page-cache cat "$disk"
	timed_cpu remount-cat batchfs cat "$1"
	rm -f "$disk"
	warm
	earlier fetched_before "$2"
	timed_cpu cold-cp curl-shm fetch -o "$shm/f" "$2"
	rm -f "$shm/f"
	fresh_mount
	warm
	earlier read_before
	timed_cpu cold-cp batchfs cp "$1" "$shm/f"
	rm -f "$shm/f"
}

read_parts() { # FILE URL
	local b c i
	timed first-4k curl-first fetch -r 0-4095 -o /dev/null "$2"
	fresh_mount
	timed first-4k batchfs head -c 4096 "$1"
	timed tail-1 curl-tail fetch -r -65536 -o /dev/null "$2"
	fresh_mount
	b=$(bytes_out)
	timed tail-1 batchfs tail -n 1 "$1"
	sample tail-fetched batchfs $((($(bytes_out) - b) / 1024))
	fresh_mount
	b=$(bytes_out)
	for ((i = 1; i <= 16; i++)); do
		dd if="$1" of=/dev/null bs=4096 count=1 skip=$((i * 40503 % (size * 256))) status=none
	done
	sample random-fetched batchfs $((($(bytes_out) - b) / 1024))
	fresh_mount
	c=$(calls)
	timed ten-cats batchfs sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do cat "$0" & done; wait' "$1"
	sample ten-calls batchfs $(($(calls) - c))
	sample ten-cats one-cat "$(last cold-cat batchfs)"
}

# The newest sample of a measure.
last() { awk -F'\t' -v m="$1" -v w="$2" '$1 == m && $2 == w { v = $3 } END { print v }' "$raw"; }

# ---- over the size of the file -----------------------------------------------------------

suite_sizes() {
	local mib n file url1
	start_emulator
	for ((mib = 1; mib <= size; mib *= 4)); do
		inject "{\"displayName\": \"of$mib\", \"requests\": $((mib << 9)), \"outputBytes\": $((mib << 20))}"
		url1=$(output_url "of$mib")
		file=$mnt/of$mib/results.jsonl
		fetch -o /dev/null "$url1"
		for ((n = 0; n < rounds; n++)); do
			warm
			rate "rate-cold@$mib" curl "$mib" fetch -o "$work/file" "$url1"
			rm -f "$work/file"
			fresh_mount
			warm
			rate "rate-cold@$mib" batchfs "$mib" cat "$file"
			rate "rate-again@$mib" batchfs "$mib" cat "$file"
			rate "rate-third@$mib" batchfs "$mib" cat "$file"
		done
	done
	unmount_jobs
	stop_emulator
}

rate() { # MEASURE WHO MIB COMMAND...
	local start=$EPOCHREALTIME
	"${@:4}" >/dev/null
	sample "$1" "$2" $(($3 * 1000000 / (${EPOCHREALTIME/./} - ${start/./})))
}

# ---- what others do with the same bytes from nginx -------------------------------------

suite_peers() {
	local dir=$work/www n who
	for who in nginx rclone httpdirfs; do
		command -v "$who" >/dev/null || { note "peers: no $who, left out"; return 0; }
	done
	mkdir -p "$dir" "$work/peer"
	head -c "$((size << 20))" /dev/zero | tr '\0' x >"$dir/file"
	start_nginx "$dir"
	for ((n = 0; n < rounds; n++)); do
		note "peers: round $((n + 1)) of $rounds"
		timed peer-cat peer-curl curl -sSf -o "$work/file" "http://127.0.0.1:$nginx_port/file"
		rm -f "$work/file"
		for who in rclone httpdirfs; do
			"peer_$who"
			(appears "$work/peer/file" &&
				timed peer-cat "$who" cat "$work/peer/file" &&
				timed peer-again "$who" cat "$work/peer/file") ||
				note "peers: $who fails here, left out"
			umount -l "$work/peer" 2>/dev/null || kill "$peer_pid" || true
			wait "$peer_pid" || true
		done
	done
	kill "$nginx_pid"
	wait "$nginx_pid" || true
	rm -rf "$dir"
}

appears() { # FILE, within ten seconds
	local i
	for ((i = 0; i < 200; i++)); do
		[ ! -e "$1" ] || return 0
		sleep 0.05
	done
	return 1
}

start_nginx() { # DIR
	nginx_port=$(free_port)
	cat >"$work/nginx.conf" <<-EOF
		user root; daemon off; worker_processes 1; pid $work/nginx.pid; error_log /dev/null;
		events {}
		http { access_log off; sendfile on; server {
			listen 127.0.0.1:$nginx_port; root $1; autoindex on; } }
	EOF
	nginx -c "$work/nginx.conf" 2>/dev/null &
	nginx_pid=$!
	until curl -sf -o /dev/null "http://127.0.0.1:$nginx_port/"; do sleep 0.05; done
}

peer_rclone() {
	rm -rf "$work/rclone"
	rclone mount --http-url "http://127.0.0.1:$nginx_port" --vfs-cache-mode full \
		--config /dev/null --cache-dir "$work/rclone" :http: "$work/peer" 2>/dev/null &
	peer_pid=$!
}

peer_httpdirfs() {
	rm -rf "$work/httpdirfs"
	mkdir "$work/httpdirfs"
	httpdirfs -f --cache --cache-location "$work/httpdirfs" \
		"http://127.0.0.1:$nginx_port/" "$work/peer" >/dev/null 2>&1 &
	peer_pid=$!
}
