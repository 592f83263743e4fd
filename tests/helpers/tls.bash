# Certificates, and the emulator behind one. $C is a directory for them.

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$C/$1.key"; }

make_ca() { # NAME
	new_key "$1"
	openssl req -x509 -new -key "$C/$1.key" -subj "/CN=test CA $1" -days 2 -out "$C/$1.pem"
}

# make_cert NAME SAN [openssl ca argument...]: signed by ca.
make_cert() {
	local name=$1 san=$2
	shift 2
	new_key "$name"
	openssl req -new -key "$C/$name.key" -subj "/CN=$name" -out "$C/$name.csr"
	mkdir -p "$C/db"
	: >"$C/db/index.txt"
	printf '%s\n' '[ca]' default_ca=x '[x]' "database=$C/db/index.txt" "new_certs_dir=$C/db" \
		default_md=sha256 policy=p rand_serial=yes unique_subject=no x509_extensions=e \
		'[p]' commonName=supplied '[e]' "subjectAltName=$san" >"$C/ca.conf"
	openssl ca -batch -notext -config "$C/ca.conf" -cert "$C/ca.pem" -keyfile "$C/ca.key" \
		-in "$C/$name.csr" -out "$C/$name.pem" -days 1 "$@" 2>"$C/ca.log" || {
		cat "$C/ca.log"
		return 1
	}
}

# start_tls NAME [command...]: the emulator with this certificate, started by that command;
# $URL as https://localhost.
start_tls() {
	local name=$1
	shift
	EMU_LOG=$BATS_TEST_TMPDIR/requests.log
	: >"$EMU_LOG"
	"$@" "$EMULATOR" --data "$BATS_TEST_TMPDIR/emulator" --log "$EMU_LOG" $FAST \
		--tls "$C/$name.pem" "$C/$name.key" >"$BATS_TEST_TMPDIR/tls.out" 2>&1 3>&- </dev/null &
	export EMU_PID=$!
	eventually grep -q 'https://' "$BATS_TEST_TMPDIR/tls.out"
	EMU_URL=$(grep -oEm1 'https://[^ ]+' "$BATS_TEST_TMPDIR/tls.out")
	# shellcheck disable=SC2034 # of the tests
	URL=https://localhost:${EMU_URL##*:}
}
