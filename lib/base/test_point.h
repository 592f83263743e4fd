/* Named points in the life of a submission, a download or a removal, for tests: each
 * step that changes the disk or the API is between two of them. They do nothing without
 * the variables BATCHFS_TEST_… (test_point.c). */
#ifndef GB_TESTPOINT_H
#define GB_TESTPOINT_H

void test_point(const char *name);
/* A time that tests can shorten: usual, unless the variable env has a number. */
double test_seconds(const char *env, double usual);

#endif
