/* Requests files for the tests of the scanner. */
#ifndef SCAN_FIXTURE_H
#define SCAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "requests/validate.h"
#include "base/util.h"

#define REQUEST "\"request\":{\"contents\":[]}"
#define KEYED(key) "{\"key\":\"" key "\"," REQUEST "}"
#define NO_KEY "{" REQUEST "}"
#define BARE "{\"contents\":[]}"
#define BOM "\xef\xbb\xbf"

int file_of(const void *text, size_t n);

void scan_bytes(const void *text, size_t n, struct validate_report *ret);

struct validate_report scan_text(const char *text);

/* The file in pieces of n bytes, each in memory of its own size, so that a read
 * past a piece is seen by the sanitizer. */
void scan_pieces(const char *text, size_t n, size_t first, size_t rest,
	struct validate_report *ret);

void assert_same_report(
	const struct validate_report *a, const struct validate_report *b);

#endif
