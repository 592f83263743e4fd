#include "client_fixture.h"

char top[] = "/tmp/gembatch-test-XXXXXX";
char state_dir[64], cache_dir[64];

struct gb_client *open_client(void)
{
	struct gb_options o = {.source = "http://127.0.0.1:1", .state_dir = state_dir,
		.cache_dir = cache_dir, .offline = true, .trash_days = 1};
	struct gb_client *c;
	char *why = NULL;

	int err = gb_open(&o, &c, &why);
	if (err)
		print_message("# gb_open: %s\n", why ? why : "?");
	assert_int_equal(err, 0);
	free(why);
	return c;
}

int setup(void **state)
{
	static int n;

	snprintf(state_dir, sizeof(state_dir), "%s/state%d", top, ++n);
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache%d", top, n);
	*state = open_client();
	return 0;
}

int teardown(void **state)
{
	gb_close(*state);
	return 0;
}

int make_top(void **state)
{
	return mkdtemp(top) ? 0 : -1;
}

int remove_top(void **state)
{
	return util_remove_tree(AT_FDCWD, top);
}
