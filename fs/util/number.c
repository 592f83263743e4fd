#include "util/number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool number_of(
	const char *text, int base, uint64_t *ret, const char **ret_end)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, base);
	if (errno)
		return false;
	*ret = n;
	*ret_end = end;
	return true;
}

bool number_of_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t n;

	if (!number_of(text, 10, &n, &end))
		return false;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return false;
		for (; unit >= units; unit--)
			if (__builtin_mul_overflow(n, 1024, &n))
				return false;
	}
	*ret = n;
	return true;
}

bool number_of_money(const char *text, double *ret)
{
	char *end;
	double n = strtod(text, &end);

	if (text[strspn(text, "0123456789.")] || *end || end == text)
		return false;
	*ret = n;
	return true;
}

double number_of_seconds(const char *variable, double usual)
{
	const char *text = getenv(variable);

	return text && *text ? strtod(text, NULL) : usual;
}
