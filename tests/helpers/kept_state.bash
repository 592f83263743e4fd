# shellcheck shell=bash
# What tests/kept/make-state-v1 writes down with the batchfs of then, and format.bats asks
# of the one of now. Nothing answers at this address: what is shown is what is on the disk.

# shellcheck disable=SC2034 # for those who load this
KEPT_STATES=$(dirname "${BASH_SOURCE[0]}")/../kept/state-v1.tar.gz
KEPT_PORT=61001
# shellcheck disable=SC2034
KEPT_CASES=(settled uploading submitting removing)

# A start shall show what it found, and not go on with it.
export BATCHFS_TEST_SETTLE_SECONDS=600 BATCHFS_TEST_QUEUE_SECONDS=600 \
	BATCHFS_TEST_READ_SECONDS=0.5

# Of each job: its state, id and model, and its users' and paid bytes.
shown() {
	local dir f name
	for dir in "$MNT"/*/; do
		[ -d "$dir" ] || continue # there is none
		name=$(basename "$dir")
		printf '%s %s %s %s\n' "$name" "$(cat "$dir/state")" "$(cat "$dir/id" 2>/dev/null)" \
			"$(cat "$dir/model" 2>/dev/null)"
		for f in requests.jsonl results.jsonl inputs.txt prompt.txt system.txt notes picture.png; do
			# Of what is not saved there is nothing without the API but a wait.
			[ "$name/$f" = unsaved/results.jsonl ] || [ ! -e "$dir/$f" ] ||
				printf '%s/%s %s\n' "$name" "$f" "$(timeout 20 sha256sum <"$dir/$f" 2>&1 | cut -c 1-16)"
		done
	done
}

# mount_kept CASE [argument...]: a copy of it, and no API.
mount_kept() {
	local case=$1
	shift
	export GEMINI_API_KEY=key-$case GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:$KEPT_PORT
	STATE=$HOME/$case/state
	mount_jobs -o "state_dir=$STATE,cache_dir=$HOME/$case/cache" "$@"
}
