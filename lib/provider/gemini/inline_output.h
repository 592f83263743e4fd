/* The reply to GET of a batch, in pieces: a small object for the parser, and the
 * inlined responses, which may be hundreds of megabytes, as result lines.
 *
 *     f = inline_filter_new(sink, arg);        sink may be NULL
 *     inline_filter_feed(f, buf, n); ...       as the bytes come
 *     inline_filter_finish(f, &json, &len, &lines);
 *     inline_filter_free(f);
 *
 * The object is the reply as it came, except that a member inlinedResponses or
 * inlinedEmbedContentResponses of metadata.output or of response becomes {} if it is an
 * object or a list. Of the first such list that is not empty (either directly or as the
 * member inlinedResponses of the object) each element becomes one line:
 *
 *     {"response":{...},"metadata":{"key":"a"}}   {"response":{...},"key":"a"}
 *     {"error":{...},"metadata":{"key":"b","n":1}}
 *             {"error":{...},"key":"b","metadata":{"key":"b","n":1}}
 *
 * White space outside strings is left out, all other bytes stay as they are. Members
 * come in the order they came in, the key where metadata stood, and metadata itself,
 * if there is more in it than a string as key, at the end. The reply usually holds
 * the same list twice; the second is left out.
 *
 * Memory is bounded: at most INLINE_REPLY_MAX for the object, INLINE_METADATA_MAX for
 * the metadata of one element, whatever the size of an element. A reply that is not one
 * complete JSON object in UTF-8, or exceeds these limits, or has elements that are not
 * objects, is -EPROTO; lines that the sink has received by then are worthless. One
 * thread at a time. */
#ifndef GB_INLINE_H
#define GB_INLINE_H

#include <stddef.h>
#include <stdint.h>

#define INLINE_REPLY_MAX (16u << 20)
#define INLINE_METADATA_MAX (1u << 20)

/* Takes n bytes of the lines: 0 or a negative errno, which ends the filter. */
typedef int (*inline_sink)(void *arg, const void *buf, size_t n);

/* A sink that writes to the descriptor *(int *)arg. */
int inline_sink_fd(void *arg, const void *buf, size_t n);

struct inline_filter;

/* NULL when memory is out. */
struct inline_filter *inline_filter_new(inline_sink sink, void *arg);
void inline_filter_free(struct inline_filter *f);

/* 0, -EPROTO, -ENOMEM, or what the sink returned. An error stays: every later call
 * returns it too. */
int inline_filter_feed(struct inline_filter *f, const void *buf, size_t n);

/* To be called once, at the end of the reply. *ret is the object, NUL-terminated, for
 * the caller to free; *ret_lines (may be NULL) is the number of elements of the list,
 * also without a sink. */
int inline_filter_finish(
	struct inline_filter *f, char **ret, size_t *ret_len, uint64_t *ret_lines);

#endif
