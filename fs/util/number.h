/* Numbers as people write them. */
#ifndef FS_NUMBER_H
#define FS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The digits that text begins with; false: none, or too many. */
bool number_of(const char *text, int base, uint64_t *ret, const char **ret_end);
/* Bytes, with K, M, G or T at the end. */
bool number_of_size(const char *text, uint64_t *ret);

/* An amount of money: digits, and a point. */
bool number_of_money(const char *text, double *ret);

/* Seconds in a variable of the environment, by which tests shorten waits. */
double number_of_seconds(const char *variable, double usual);

#endif
