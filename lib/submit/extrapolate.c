#include "submit/extrapolate.h"

#include <math.h>

#include "base/util.h"

/* How many standard errors leave out 5 %, by degrees of freedom from 1. */
static double student(size_t freedom)
{
	static const double t[] = {12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26,
		2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09};

	return freedom <= ARRAY_SIZE(t) ? t[freedom - 1] : 2;
}

struct extrapolated extrapolate(const struct measured *m, size_t n, double whole)
{
	double known = 0, covered = 0, rates = 0, squares = 0;

	for (size_t i = 0; i < n; i++) {
		known += m[i].count;
		covered += m[i].size;
		rates += m[i].count / m[i].size;
	}
	double rate = rates / (double)n, rest = fmax(whole - covered, 0);
	for (size_t i = 0; i < n; i++)
		squares += pow(m[i].count / m[i].size - rate, 2);
	double off = n > 1 ? student(n - 1) *
				     sqrt(squares / (double)(n - 1) / (double)n)
			   : rate;
	return (struct extrapolated){known + rate * rest, off * rest, rate};
}
