#!/usr/bin/env bats
# Names: what may be made, how what cannot be a name is shown, duplicates, the ID.

load ../helpers/mount

setup() { start_emulator; mount_jobs; }
teardown() { stop_all; }

seen() { # NAME: the directory is listed under exactly this name
	ls -1 "$MNT" | grep -qxF -- "$1"
}

display_name() { jq -j .metadata.displayName "$MNT/$1/job.json"; }

@test "a / in a display name is %2F both ways" {
	make_foreign_job "a/b"
	eventually seen "a%2Fb"
	[ -d "$MNT/a%2Fb" ]
	submit_job "c%2Fd"
	same "c/d" "$(display_name "c%2Fd")"
	seen "c%2Fd"
}

@test "control characters are percent-encoded both ways" {
	make_foreign_job $'tab\there\nand\x01\x7f'
	eventually seen 'tab%09here%0Aand%01%7F'
	submit_job 'x%0Ay'
	same $'x\ny' "$(display_name 'x%0Ay')"
}

@test "U+0080 to U+009F count as control characters" {
	make_foreign_job $'a\xc2\x85b\xc2\x9f\xc3\xa9'
	eventually seen $'a%C2%85b%C2%9F\xc3\xa9'
}

@test "a leading dot is encoded, so that nothing hides" {
	make_foreign_job ".hidden"
	make_foreign_job "."
	make_foreign_job ".."
	make_foreign_job ".batchfs"
	eventually seen "%2Ehidden"
	eventually seen "%2E"
	eventually seen "%2E."
	eventually seen "%2Ebatchfs"
	[ -f "$MNT/.batchfs/status" ]
	[ -d "$MNT/%2E" ]
}

@test "% is encoded only before two hex digits" {
	make_foreign_job '100%'
	make_foreign_job '50%zz'
	make_foreign_job '%41'
	eventually seen '100%'
	eventually seen '50%zz'
	eventually seen '%2541'
	submit_job '99%'
	same '99%' "$(display_name '99%')"
	submit_job '%2542'
	same '%42' "$(display_name '%2542')"
}

@test "an empty display name is shown as the ID" {
	local id
	id=$(make_foreign_job "")
	eventually seen "${id#batches/}"
	[ -d "$MNT/${id#batches/}" ]
	[ ! -L "$MNT/${id#batches/}" ]
}

@test "a name longer than 255 bytes is cut between characters and ends in ~ID" {
	local id name
	id=$(make_foreign_job "$(printf 'é%.0s' {1..200})")
	id=${id#batches/}
	eventually sh -c 'ls "$1" | grep -q "~$2\$"' - "$MNT" "$id"
	name=$(ls -1 "$MNT")
	[ "$(printf %s "$name" | wc -c)" -le 255 ]
	[ "$(printf %s "$name" | wc -c)" -ge 250 ]
	printf %s "$name" | iconv -f UTF-8 -t UTF-8 >/dev/null
	[ -d "$MNT/$name" ]
	ended "$name"
}

@test "several jobs of one name: the first seen keeps it, the others are NAME~ID" {
	local first second third
	first=$(make_foreign_job dup)
	eventually seen dup
	second=$(make_foreign_job dup)
	third=$(make_foreign_job dup)
	eventually seen "dup~${second#batches/}"
	eventually seen "dup~${third#batches/}"
	same "$first" "$(cat "$MNT/dup/id")"
	same "$second" "$(cat "$MNT/dup~${second#batches/}/id")"
	same 3 "$(ls "$MNT" | wc -l)"
	# … also after a remount, …
	remount_jobs
	eventually seen "dup~${second#batches/}"
	same "$first" "$(cat "$MNT/dup/id")"
	same "$second" "$(cat "$MNT/dup~${second#batches/}/id")"
}

@test "a name once given does not change when the first of that name goes" {
	local second
	make_foreign_job dup
	eventually seen dup
	second=$(make_foreign_job dup)
	eventually seen "dup~${second#batches/}"
	ended dup
	rmdir "$MNT/dup"
	eventually sh -c '! test -e "$1"' - "$MNT/dup"
	seen "dup~${second#batches/}"
}

@test "ID is a symlink to the job's directory, and is not listed" {
	local id
	submit_job a
	id=$(cat "$MNT/a/id")
	id=${id#batches/}
	same a "$(readlink "$MNT/$id")"
	same "$(cat "$MNT/a/id")" "$(cat "$MNT/$id/id")"
	same a "$(ls "$MNT")"
}

@test "hostile display names harm nothing" {
	local n
	for n in '../../etc/passwd' '-rf' '; rm -rf ~' '$(id)' '`id`' ' ' 'a b' "'" '"' '\' '*' '~' \
		'con' $'\xe2\x80\xaeevil' $'\xf0\x9f\x92\xa9' '%' '%%' '%2' '%2f' 'a~b' '%00'; do
		make_foreign_job "$n" 1 >/dev/null
	done
	eventually sh -c 'test "$(ls -1 "$1" | wc -l)" = 21' - "$MNT"
	seen '..%2F..%2Fetc%2Fpasswd' || seen '%2E.%2F..%2Fetc%2Fpasswd'
	seen '%252f'
	seen '%2500'
	# Every one can be entered and read.
	find "$MNT" -mindepth 1 -maxdepth 1 -type d ! -name .batchfs -print0 |
		while IFS= read -r -d '' n; do
			[[ $(cat "$n/state") == JOB_STATE_* ]]
		done
	# And none breaks the table of jobs.
	awk -F '\t' 'NR == 1 { n = NF } NF != n { exit 1 } END { exit NR != 22 }' "$MNT/.batchfs/jobs"
}

@test "names beyond ASCII are as they are, both ways" {
	submit_job 'Häuser 日本 🎉'
	same 'Häuser 日本 🎉' "$(display_name 'Häuser 日本 🎉')"
}

@test "a name that is not UTF-8 is EILSEQ" {
	same EILSEQ "$(errno_of 'os.mkdir(a[0])' "$MNT/"$'\xff\xfe')"
	same EILSEQ "$(errno_of 'os.mkdir(a[0])' "$MNT/"$'caf\xe9')"
	same EILSEQ "$(errno_of 'os.mkdir(a[0])' "$MNT/"$'\xc0\xaf')"
	same EILSEQ "$(errno_of 'os.mkdir(a[0])' "$MNT/"$'\xed\xa0\x80')"
}

@test "a name that begins with a dot is EPERM" {
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$MNT/.x")"
	same EPERM "$(errno_of 'os.mkdir(a[0])' "$MNT/.Trash-1000")"
}

@test "a name of 255 bytes is fine, one of 256 is ENAMETOOLONG" {
	local n
	n=$(printf 'x%.0s' {1..255})
	same OK "$(errno_of 'os.mkdir(a[0])' "$MNT/$n")"
	state_is "$n" DRAFT
	same ENAMETOOLONG "$(errno_of 'os.mkdir(a[0])' "$MNT/x$n")"
}

@test "a job of the longest name goes, and keeps its name" {
	local n
	n=$(printf 'x%.0s' {1..255})
	submit_job "$n"
	succeeded "$n"
	remount_jobs
	succeeded "$n"
	same "$n" "$(display_name "$n")"
}
