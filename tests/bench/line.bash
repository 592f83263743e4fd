# Over TLS, a round trip of 50 ms, and a rate: a certificate of our own, and bench_line
# between the emulator and whoever asks it.

suite_line() {
	local rate mib n
	command -v openssl >/dev/null || { note "line: no openssl, left out"; return 0; }
	make_certificate
	start_emulator --tls "$work/cert.pem" "$work/key.pem" --set pending=100000
	export CURL_CA_BUNDLE=$work/cert.pem
	emu_tls=(--cacert "$work/cert.pem")
	for rate in 100 1000; do
		mib=$((rate * size / 10240))
		[ "$mib" -gt 0 ] || mib=1
		inject "{\"displayName\": \"out$rate\", \"outputBytes\": $((mib << 20))}"
		make_requests "$mib" >"$work/requests"
		start_line 50 "$rate"
		for ((n = 0; n < rounds; n++)); do
			note "line: $rate Mbit/s, round $((n + 1)) of $rounds"
			line_once "$rate" "out$rate" "send$rate-$n"
		done
		kill "$line_pid"
		wait "$line_pid" || true
		line_url=
	done
	unmount_jobs
	stop_emulator
	unset CURL_CA_BUNDLE
	emu_tls=()
}

line_once() { # RATE JOB NEW_JOB
	timed "line-read@$1" line-curl fetch -o "$work/file" "$(output_url "$2")"
	rm -f "$work/file"
	fresh_mount
	timed "line-read@$1" batchfs cat "$mnt/$2/results.jsonl"
	timed "line-send@$1" line-curl-T upload "$work/requests"
	mkdir "$mnt/$3"
	timed "line-send@$1" batchfs cp "$work/requests" "$mnt/$3/requests.jsonl"
	unmount_jobs
	forget_uploads
}

make_certificate() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
}

start_line() { # DELAY_MS MBIT_S
	local port
	port=$(free_port)
	"$bin/bench_line" "$port" "${url##*:}" "$1" "$2" &
	line_pid=$!
	line_url=https://localhost:$port
	until (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do sleep 0.05; done
}
