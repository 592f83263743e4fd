/*
 * From some to all: a total, and how far it may be off. Pure.
 *
 * Each of a sample has a size, known for all, and a count, known for the sample. The
 * counts of the sample are taken as they are; the rest of the size is given the mean of
 * count / size, and its error is twice the standard error of that mean, more for small
 * samples (Student's t, 95 %). A sample of one says nothing about the others: their
 * error is then all of what they are given.
 */
#ifndef GB_EXTRAPOLATE_H
#define GB_EXTRAPOLATE_H

#include <stddef.h>

struct measured {
	double size, count; /* size > 0 */
};

struct extrapolated {
	double total, error; /* both in counts */
	double rate;         /* count / size */
};

/* whole: the size of all, the sample's included. n > 0. */
struct extrapolated extrapolate(const struct measured *m, size_t n, double whole);

#endif
