/* A client without a network, in a new state directory for each case: CASE(fn) makes one of
 * it, *state is the client; run the group with make_top and remove_top. */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include "gembatch.h"
#include "base/util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

extern char top[];
extern char state_dir[64], cache_dir[64];

struct gb_client *open_client(void);

int setup(void **state);

int teardown(void **state);

int make_top(void **state);

int remove_top(void **state);

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
