#!/usr/bin/env bats
# Embeddings: jobs by lines and composed ones, what does not fit the model, vectors.npy.

load helpers

setup() {
	export BATCHFS_TEST_DOUBT_SECONDS=0.01
	start_emulator
}
teardown() { stop_all; }

# all_vectors FILE: its shape, then a row a line, with Python's struct alone.
all_vectors() {
	python3 - "$1" <<-'END'
		import ast, struct, sys
		b = open(sys.argv[1], "rb").read()
		assert b[:8] == b"\x93NUMPY\x01\x00" and (10 + struct.unpack("<H", b[8:10])[0]) % 64 == 0
		n = 10 + struct.unpack("<H", b[8:10])[0]
		head = ast.literal_eval(b[10:n].decode())
		assert head["descr"] == "<f4" and head["fortran_order"] is False and b[n - 1:n] == b"\n"
		rows, dims = head["shape"]
		assert len(b) == n + 4 * rows * dims
		print(rows, dims)
		for i in range(rows):
		    print(*("%.9g" % x for x in struct.unpack_from("<%df" % dims, b, n + 4 * dims * i)))
	END
}

# The same out of the files of answers, in the order of answers.tsv.
vectors_of_files() { # DIRECTORY DIMENSIONS
	python3 - "$@" <<-'END'
		import json, os, struct, sys
		for line in open(sys.argv[1] + "/answers.tsv"):
		    path = "%s/responses/%s.json" % (sys.argv[1], line.split("\t")[0])
		    v = ["nan"] * int(sys.argv[2])
		    if os.path.exists(path):
		        v = json.load(open(path))["values"]
		        v = ["%.9g" % struct.unpack("<f", struct.pack("<f", x))[0] for x in v]
		    print(*v)
	END
}

@test "vectors of a job of others: rows as they came, any range, numpy" {
	mount_jobs -o fetch=all
	jq -cn '{batch: {displayName: "theirs", inputConfig: {requests: {requests: [range(200) |
		{request: {content: {parts: [{text: "text \(.)"}]}, outputDimensionality: 300},
		metadata: {key: "k\(.)"}}]}}}}' |
		api POST /v1beta/models/gemini-embedding-2:asyncBatchEmbedContent --data-binary @-
	eventually test -d "$MNT/theirs"
	cat "$MNT/theirs/wait"
	eventually test -s "$MNT/theirs/vectors.npy"
	contains "$(ls "$MNT/theirs")" vectors.npy
	all_vectors "$MNT/theirs/vectors.npy" >"$BATS_TEST_TMPDIR/all"
	same '200 300' "$(head -n 1 "$BATS_TEST_TMPDIR/all")"
	diff <(sed 1d "$BATS_TEST_TMPDIR/all") <(vectors_of_files "$MNT/theirs" 300)
	cp "$MNT/theirs/vectors.npy" "$BATS_TEST_TMPDIR/whole"
	python3 - "$MNT/theirs/vectors.npy" "$BATS_TEST_TMPDIR/whole" <<-'END'
		import os, random, sys
		whole, fd = open(sys.argv[2], "rb").read(), os.open(sys.argv[1], os.O_RDONLY)
		for i in range(300):
		    at, n = random.randrange(len(whole) + 9), random.choice([1, 3, 4, 1000, 5000, 70000])
		    assert os.pread(fd, n, at) == whole[at:at + n], (at, n)
	END
	python3 -c 'import numpy' 2>/dev/null || return 0
	python3 -c 'import numpy, sys
a = numpy.load(sys.argv[1], mmap_mode="r")
assert a.shape == (200, 300) and a.dtype == "float32", a' "$MNT/theirs/vectors.npy"
}
