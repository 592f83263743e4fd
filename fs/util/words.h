/* Words that people mistype. */
#ifndef FS_WORDS_H
#define FS_WORDS_H

/* Levenshtein distance of two short words; 99 if they are too long. */
unsigned words_distance(const char *a, const char *b);

#endif
