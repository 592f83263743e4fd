# Raw samples to a table: awk -f table.awk measures.tsv raw.tsv
#
# A line a measure and who: median, least and most of the rounds; the median of what it
# was times the reference in the same round; targets; whether must and aim are met.
BEGIN {
	FS = OFS = "\t"
	print "measure", "who", "median", "min", "max", "unit", "ratio", "must", "aim", "verdict"
}
FNR == 1 { file++ }
file == 1 && !/^#/ { unit[$1] = $2; ref[$1] = $3; must[$1] = $4; aim[$1] = $5 }
file == 2 {
	key = $1 OFS $2
	if (!(key in n))
		order[++keys] = key
	value[key, ++n[key]] = $3
}
function sort(v, m,   i, j, x) {
	for (i = 2; i <= m; i++)
		for (j = i; j > 1 && v[j - 1] > v[j]; j--) {
			x = v[j]; v[j] = v[j - 1]; v[j - 1] = x
		}
}
function median(v, m) {
	return m % 2 ? v[(m + 1) / 2] : (v[m / 2] + v[m / 2 + 1]) / 2
}
function show(x) { return sprintf(x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : "%.3g", x) }
function verdict(x, base) {
	if (must[base] == "" || must[base] == "-")
		return ""
	return x <= aim[base] ? "aim" : x <= must[base] ? "must" : "MISSED"
}
END {
	for (k = 1; k <= keys; k++) {
		split(order[k], part, OFS)
		base = part[1]
		sub(/@.*/, "", base)
		r = ref[base]
		m = n[order[k]]
		rkey = part[1] OFS r
		for (i = 1; i <= m; i++) {
			v[i] = value[order[k], i] + 0
			q[i] = n[rkey] && value[rkey, i] ? v[i] / value[rkey, i] : 0
		}
		sort(v, m)
		sort(q, m)
		ours = part[2] == "batchfs"
		ratio = n[rkey] && part[2] != r ? show(median(q, m)) : ""
		word = ""
		if (ours && r == "-")
			word = verdict(median(v, m), base)
		else if (ours && ratio != "")
			word = verdict(median(q, m), base)
		print part[1], part[2], show(median(v, m)), show(v[1]), show(v[m]),
			unit[base], ratio, ours ? must[base] : "", ours ? aim[base] : "", word
	}
}
