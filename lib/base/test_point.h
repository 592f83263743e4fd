/* Named points in the life of a submission, a download or a removal, for tests: each step
 * that changes the disk or the API is between two of them. Nothing happens without the
 * variables BATCHFS_TEST_… (test_point.c). */
#ifndef GB_TESTPOINT_H
#define GB_TESTPOINT_H

void test_point(const char *name);
/* A time that tests may want shorter: usual, unless the variable env says a number. */
double test_seconds(const char *env, double usual);

#endif
