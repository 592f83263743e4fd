/* Words that people mistype. */
#ifndef FS_WORDS_H
#define FS_WORDS_H

/* The name that is most like a word, of those that are offered one after the other. Begin
 * with {.word = word}. */
struct words_search {
	const char *word;
	const char *nearest; /* NULL: none is near */
	unsigned slips;      /* between them */
};
void words_offer(struct words_search *s, const char *name);

#endif
