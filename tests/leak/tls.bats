#!/usr/bin/env bats
# Nothing leaked: TLS is verified, 1.2 or newer, and what does not pass gets nothing but
# a handshake.

load ../helpers/mount
load ../helpers/leak
load ../helpers/tls

setup() {
	need openssl
	sandbox
	export GEMINI_API_KEY=$KEY
	unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE OPENSSL_CONF
	C=$BATS_TEST_TMPDIR/certs
	mkdir "$C"
	make_ca ca
	MNT=$HOME/jobs
	mkdir "$MNT"
}
teardown() { stop_all_and_helpers; }

# The mount comes up offline, says why, and no request has reached the server; neither
# does one when work is at hand. (What the test itself asks of the server counts not.)
refused() { # PART OF THE REASON...
	local part
	mount_jobs "$URL"
	eventually grep -qF 'cannot be used' "$FS_LOG"
	for part; do
		grep -qiE "$part" "$FS_LOG" || {
			cat "$FS_LOG"
			return 1
		}
	done
	grep -q '^online no' "$MNT/.batchfs/status" || offline
	mkdir "$MNT/a"
	same EHOSTUNREACH "$(errno_of_write "$MNT/a/requests.jsonl" "$(requests 1)")"
	same "" "$(cat "$EMU_LOG")"
	no_key "$FS_LOG" "$HOME"
}

accepted() {
	mount_jobs "$URL"
	grep -q '^online yes' "$MNT/.batchfs/status"
	submit_job a
	succeeded a
	same 3 "$(grep -c . "$MNT/a/results.jsonl")"
	grep -q 'op=create ' "$EMU_LOG"
	unmount_jobs
}

@test "a CA of one's own through SSL_CERT_FILE: a whole job" {
	make_cert good DNS:localhost,IP:127.0.0.1
	start_tls good
	export SSL_CERT_FILE=$C/ca.pem
	accepted
}

@test "SSLKEYLOGFILE and their like: nothing is written, nothing is loaded" {
	make_cert good DNS:localhost,IP:127.0.0.1
	start_tls good
	export SSL_CERT_FILE=$C/ca.pem SSLKEYLOGFILE=$HOME/keylog QLOGDIR=$HOME OPENSSL_CONF=$C/x.conf
	export MAGIC=$C/magic
	# One that takes no protocol and no cipher.
	printf '%s\n' openssl_conf=c '[c]' ssl_conf=s '[s]' system_default=d '[d]' \
		MaxProtocol=TLSv1 CipherString=NULL >"$C/x.conf"
	mount_jobs "$URL"
	unset SSLKEYLOGFILE OPENSSL_CONF
	grep -q '^online yes' "$MNT/.batchfs/status"
	grep -q 'SSLKEYLOGFILE is ignored' "$FS_LOG"
	grep -q 'OPENSSL_CONF is ignored' "$FS_LOG"
	submit_job a
	succeeded a
	[ ! -e "$HOME/keylog" ]
}

@test "… through CURL_CA_BUNDLE, and for an address" {
	make_cert good DNS:localhost,IP:127.0.0.1
	start_tls good
	export CURL_CA_BUNDLE=$C/ca.pem
	URL=$EMU_URL
	accepted
}

@test "a CA that nobody named is not trusted" {
	make_cert good DNS:localhost
	start_tls good
	refused certificate
}

@test "another CA's file does not help" {
	make_cert good DNS:localhost
	make_ca other
	start_tls good
	export SSL_CERT_FILE=$C/other.pem
	refused certificate
}

@test "a self-signed certificate" {
	new_key self
	openssl req -x509 -new -key "$C/self.key" -subj /CN=localhost -days 1 \
		-addext subjectAltName=DNS:localhost -out "$C/self.pem"
	start_tls self
	export SSL_CERT_FILE=$C/ca.pem
	refused 'self.?signed'
}

@test "another host's certificate" {
	make_cert wrong DNS:elsewhere.example,DNS:localhost.example,DNS:xlocalhost
	start_tls wrong
	export SSL_CERT_FILE=$C/ca.pem
	refused 'name|SSL'
}

@test "a host name where an address was asked for" {
	make_cert name DNS:localhost,DNS:127.0.0.1
	start_tls name
	export SSL_CERT_FILE=$C/ca.pem
	URL=$EMU_URL
	refused 'name|address|SSL'
}

@test "an expired certificate" {
	make_cert old DNS:localhost -startdate 20200101000000Z -enddate 20200201000000Z
	start_tls old
	export SSL_CERT_FILE=$C/ca.pem
	refused expired
}

@test "one that is not valid yet" {
	make_cert young DNS:localhost -startdate 20900101000000Z -enddate 20910101000000Z
	start_tls young
	export SSL_CERT_FILE=$C/ca.pem
	refused 'not yet valid'
}

@test "a CA file that is not there, or none" {
	make_cert good DNS:localhost
	start_tls good
	export SSL_CERT_FILE=$C/missing.pem
	refused
	unmount_jobs
	rm -rf "$XDG_STATE_HOME"
	echo nonsense >"$C/nonsense.pem"
	export SSL_CERT_FILE=$C/nonsense.pem
	refused
}

@test "TLS 1.1 is refused, also where the system would allow it; 1.2 is spoken" {
	make_cert good DNS:localhost
	# As lax as can be, for both sides.
	printf '%s\n' openssl_conf=c '[c]' ssl_conf=s '[s]' system_default=d '[d]' \
		MinProtocol=TLSv1 CipherString=ALL:@SECLEVEL=0 >"$C/lax.conf"
	export OPENSSL_CONF=$C/lax.conf SSL_CERT_FILE=$C/ca.pem
	local version port lax=()
	# batchfs takes no OPENSSL_CONF: the system's own file must be that lax.
	if as_root; then
		lax=(unshare_mounts sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' - "$C/lax.conf"
			"$(realpath "$(openssl version -d | cut -d '"' -f 2)/openssl.cnf")")
	fi
	for version in 1_1 1_2; do
		port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		openssl s_server -accept "127.0.0.1:$port" -cert "$C/good.pem" -key "$C/good.key" \
			"-tls$version" -www >"$C/server.log" 2>&1 3>&- </dev/null &
		PIDS="${PIDS:-} $!"
		eventually grep -q ACCEPT "$C/server.log"
		openssl s_client -connect "127.0.0.1:$port" "-tls$version" -CAfile "$C/ca.pem" \
			</dev/null >"$C/client.log" 2>&1 || skip "this openssl cannot speak TLS $version"
		grep -q 'Verify return code: 0' "$C/client.log"
		MNT=$HOME/jobs$version
		mkdir "$MNT"
		"${lax[@]}" timeout -s INT 20 "$BATCHFS" -f "https://localhost:$port" "$MNT" \
			>"$C/fs.log" 2>&1 3>&- </dev/null &
		FS_PIDS="${FS_PIDS:-} $!"
		eventually grep -q 'cannot be used' "$C/fs.log"
		# s_server's page is no answer of the API: but it comes after the handshake.
		if [ $version = 1_1 ]; then
			grep -qE 'cannot be used.*(protocol|version|TLS|SSL)' "$C/fs.log"
		else
			grep -qE 'cannot be used.*web page' "$C/fs.log"
		fi
		kill "$!"
	done
}

@test "from https a redirect to plain http is not followed, one to https goes without the key" {
	make_cert good DNS:localhost,IP:127.0.0.1
	start_tls good
	export SSL_CERT_FILE=$C/ca.pem
	start_witness
	mount_jobs -o ttl=0 "$URL"
	export CURL_CA_BUNDLE=$C/ca.pem
	fault "match=list&kind=redirect&count=1&location=$WITNESS/plain"
	ls "$MNT"
	eventually grep -q 'redirect, which is not followed' "$FS_LOG"
	same "" "$(cat "$WITNESS_LOG")"
	start_witness --tls "$C/good.pem" "$C/good.key"
	fault "match=list&kind=redirect&count=1&location=$WITNESS/tls"
	eventually sh -c 'ls "$1"; grep -q " /tls " "$2"' - "$MNT" "$WITNESS_LOG"
	witness_saw_no_key
}

@test "a redirect to a server with a bad certificate ends there" {
	make_cert good DNS:localhost,IP:127.0.0.1
	make_cert wrong DNS:elsewhere.example
	start_tls good
	export SSL_CERT_FILE=$C/ca.pem CURL_CA_BUNDLE=$C/ca.pem
	start_witness --tls "$C/wrong.pem" "$C/wrong.key"
	mount_jobs -o ttl=0 "$URL"
	fault "match=list&kind=redirect&count=3&location=$WITNESS/tls"
	ls "$MNT"
	sleep 1
	ls "$MNT"
	same "" "$(cat "$WITNESS_LOG")"
	contains "$(cat "$FS_LOG")" "cannot be reached"
}

# push NAME: what a person does until there is a job; true when there is one.
push() {
	case $(cat "$MNT/$1/state") in
	DRAFT | SUBMIT_FAILED) echo submit >"$MNT/$1/ctl" || true ;;
	SUBMIT_UNCERTAIN) echo resubmit >"$MNT/$1/ctl" || true ;;
	JOB_STATE_*) return ;;
	esac
	return 1
}

names_at_api() {
	local page token=
	while page=$(emu GET "/v1beta/batches?pageSize=100&pageToken=$token" -H "x-goog-api-key: $KEY"); do
		jq -r '.operations[].metadata.displayName' <<<"$page"
		token=$(jq -r '.nextPageToken // empty' <<<"$page")
		[ -n "$token" ] || return 0
	done
}

@test "a line that breaks at any byte of TLS: each job is bought once, none twice" {
	need python3
	make_cert good DNS:localhost,IP:127.0.0.1
	start_tls good
	export SSL_CERT_FILE=$C/ca.pem CURL_CA_BUNDLE=$C/ca.pem
	export BATCHFS_TEST_BACKOFF_SECONDS=0.02
	# What was cut on its way to the server was sent as far as we can know.
	export BATCHFS_TEST_SETTLE_SECONDS=3 BATCHFS_TEST_CLOSE_SECONDS=1
	export BATCHFS_TEST_OWN_SECONDS=1
	python3 "$BATS_TEST_DIRNAME/../helpers/cutter.py" "${EMU_URL##*:}" "${CUTS:-160}" \
		>"$C/cutter" 2>&1 3>&- </dev/null &
	PIDS="${PIDS:-} $!"
	eventually grep -qE '^[0-9]+$' "$C/cutter"
	mount_jobs -o submit=background "https://localhost:$(head -n 1 "$C/cutter")"
	requests 2 >"$HOME/in"
	local n names
	names=$(seq -w "${JOBS:-20}")
	for n in $names; do
		mkdir "$MNT/$n"
		cp "$HOME/in" "$MNT/$n/requests.jsonl"
	done
	for n in $names; do
		eventually push "$n"
	done
	same "$names" "$(names_at_api | sort)"
	lacks "$(cat "$FS_LOG")" quota
}
