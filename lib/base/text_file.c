#include "base/text_file.h"

#include <string.h>

#include "base/util.h"

static const struct {
	const char *bytes;
	size_t n;
	const char *what;
} heads[] = {
	{"\xff\xfe\0\0", 4,
		"is UTF-32: iconv -f UTF-32 -t UTF-8 FILE > NEW makes it UTF-8"},
	{"\xff\xfe", 2,
		"is UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW makes it UTF-8"},
	{"\xfe\xff", 2,
		"is UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW makes it UTF-8"},
	{"\x1f\x8b", 2, "is compressed with gzip: gunzip -c FILE > NEW unpacks it"},
	{"\x28\xb5\x2f\xfd", 4,
		"is compressed with zstd: zstd -dc FILE > NEW unpacks it"},
	{"BZh", 3, "is compressed with bzip2: bunzip2 -c FILE > NEW unpacks it"},
	{"\xfd"
	 "7zXZ",
		5, "is compressed with xz: xz -dc FILE > NEW unpacks it"},
};

static bool is_printable(char c)
{
	return (c >= ' ' && c <= '~') || c == '\t' || c == '\r' || c == '\n';
}

/* "a\0b\0" without a mark, as Windows writes it, or the other way round. */
static bool is_wide(const char *buf, size_t n)
{
	unsigned at = n && !buf[0];

	for (size_t i = 0; i < 4; i++)
		if (n < 4 || (i % 2 == at ? !is_printable(buf[i]) : buf[i] != '\0'))
			return false;
	return true;
}

const char *text_head_fault(const char *buf, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		if (n >= heads[i].n && memcmp(buf, heads[i].bytes, heads[i].n) == 0)
			return heads[i].what;
	if (is_wide(buf, n))
		return "is UTF-16: iconv -f UTF-16LE -t UTF-8 FILE > NEW makes it UTF-8";
	return NULL;
}

const char *text_fault(const char *buf, size_t n)
{
	const char *what = text_head_fault(buf, n);
	bool plain = !memchr(buf, '\0', n) && util_utf8_valid(buf, n);

	if (plain)
		return NULL;
	if (what)
		return what;
	if (memchr(buf, '\0', n))
		return "has a NUL byte: it is not text, or a crash damaged it";
	return "is not UTF-8: if it comes from Windows, iconv -f WINDOWS-1252 -t UTF-8 "
	       "FILE > NEW makes it UTF-8";
}

size_t text_bom(const char *buf, size_t n)
{
	return n >= 3 && memcmp(buf, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool text_is_blank(const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!buf[i] || !strchr(" \t\r\n\f\v", buf[i]))
			return false;
	return true;
}
