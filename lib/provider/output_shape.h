/*
 * What output files look like at their beginning and end, to distinguish them from what
 * something else sends instead. Pure.
 */
#ifndef GB_OUTPUT_SHAPE_H
#define GB_OUTPUT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

enum shape {
	SHAPE_UNTOLD,  /* too short */
	SHAPE_LINES,   /* of JSON objects */
	SHAPE_FOREIGN, /* a page, an error of the API: no file begins so */
	SHAPE_ODD,     /* anything else */
};

/* Of the first n bytes. */
enum shape shape_of_beginning(const char *buf, size_t n);
/* Whether members of lines of results are in there. */
bool shape_has_members(const char *buf, size_t n);
/* Lines of JSON objects end so; a body cut inside a line hardly ever does. */
bool shape_ends_well(char last);

#endif
