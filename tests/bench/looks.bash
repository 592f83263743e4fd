# How late an end is noticed, and what that costs: simulated, as it takes a day.

suite_looks() {
	local life kind mean p95 calls fixed
	while IFS=$'\t' read -r life kind mean p95 _ calls fixed _; do
		[ "$life" != '# life' ] || continue
		sample "noticed@$life" "$kind" "$mean"
		sample "noticed-95@$life" "$kind" "$p95"
		sample "looks@$life" "$kind" "$(awk "BEGIN { print $calls / $fixed }")"
	done < <("$bin/bench_looks" 30)
}
