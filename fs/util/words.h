/* Words that people mistype. */
#ifndef FS_WORDS_H
#define FS_WORDS_H

/* Levenshtein distance of two short words; 99 when they are too long to care. */
unsigned words_distance(const char *a, const char *b);

#endif
