/* Verbs (cli/cli.h) instead of a mount. */
#ifndef FS_VERB_H
#define FS_VERB_H

/* argv[1] is a verb. Returns the exit status. */
int verb_main(int argc, char **argv);

#endif
