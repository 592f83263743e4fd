#!/usr/bin/env bats
# Random walks over a mount beside a reference model (tests/model/): every operation,
# faults, crashes; after each step the tree, the bytes and the jobs at the API are what
# the contract allows, and in the end everything comes to rest. By hand, as long as one
# likes: tests/model/run --seed S --steps N --walks W.

load ../helpers/mount

walk() { # SEED
	sandbox
	"$BATS_TEST_DIRNAME/../model/run" --seed "$1" --steps "${BATCHFS_MODEL_STEPS:-100}" \
		"$BATCHFS_BUILD_DIR" </dev/null 3>&-
}

@test "a random walk, seed 1" { walk 1; }
@test "a random walk, seed 2" { walk 2; }
@test "a random walk, seed 3" { walk 3; }
@test "a random walk, seed 4" { walk 4; }

quota_walk() { # SEED
	sandbox
	"$BATS_TEST_DIRNAME/../model/quota_walk" --seed "$1" --steps "${BATCHFS_MODEL_STEPS:-50}" \
		"$BATCHFS_BUILD_DIR" </dev/null 3>&-
}

@test "a random walk through quotas, seed 203" { quota_walk 203; }
@test "a random walk through quotas, seed 400" { quota_walk 400; }

@test "the same seed is the same walk" {
	sandbox
	local n
	for n in 1 2; do
		"$BATS_TEST_DIRNAME/../model/run" --seed 7 --steps 60 --list >"$HOME/$n" </dev/null 3>&-
	done
	[ "$(wc -l <"$HOME/1")" = 60 ]
	cmp "$HOME/1" "$HOME/2"
	run ! cmp -s "$HOME/1" <("$BATS_TEST_DIRNAME/../model/run" --seed 8 --steps 60 --list 3>&-)
}
