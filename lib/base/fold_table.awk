# Makes fold_table.c from Unicode's CaseFolding.txt: its simple foldings (status C and S) as
# ranges, each of characters that are 1 or 2 apart and fold by the same distance. Two bytes
# tell the distance, since no folding leaves its plane of 65536 characters.
BEGIN {
	FS = "; *"
	for (i = 0; i < 16; i++)
		value[substr("0123456789ABCDEF", i + 1, 1)] = i
}

function number(hex,    n, i) {
	for (i = 1; i <= length(hex); i++)
		n = 16 * n + value[substr(hex, i, 1)]
	return n
}

function close_range() {
	if (count)
		rows = rows sprintf("\t{0x%05xu | %du << 31, %d, %d},\n", first, step == 2, last - first,
			distance)
	count = 0
}

/^# CaseFolding/ { source = substr($0, 3) }

$2 == "C" || $2 == "S" {
	code = number($1)
	by = number($3) - code
	if (int(code / 65536) != int(number($3) / 65536))
		exit failed = 1
	by = (by + 65536) % 65536
	if (count && by == distance && (count == 1 ? code - last <= 2 : code - last == step)) {
		step = code - last
	} else {
		close_range()
		first = code
		distance = by
		step = 1
	}
	last = code
	count++
	all++
}

END {
	if (failed || all < 1000) {
		print "this is no CaseFolding.txt of Unicode's" >"/dev/stderr"
		exit 1
	}
	close_range()
	printf "/* %s: made from %s */\n#include \"fold.h\"\n\n", "Simple case folding", source
	printf "const struct fold_range fold_ranges[] = {\n%s};\n", rows
	print "const size_t fold_range_count = sizeof fold_ranges / sizeof *fold_ranges;"
}
