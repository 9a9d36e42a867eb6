/* src/base/assert.c: what happens when we are wrong.
 *
 * The process may be anybody's (the shim lives in other programs), in a signal handler, between
 * vfork() and exec(), or out of memory. So: no stdio, no allocation, no lock. One line that says
 * what was expected and where, the last trace events, abort().
 */
#include "base/base.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/trace.h"

/* All of text that fits; an overlong expression is cut, not lost. */
static void put_cut(struct cursor_writer *w, const char *text)
{
	size_t n = strlen(text), left = cursor_writer_left(w);

	cursor_put_bytes(w, text, n < left ? n : left);
}

static void put_events(void)
{
#ifndef BERTH_NO_TRACE
	static const char head[] = "berth: the last events, oldest first:\n";

	if (write(STDERR_FILENO, head, sizeof(head) - 1) > 0)
		trace_dump(STDERR_FILENO);
#endif
}

_Noreturn void base_assert_failed(const char *expr, const char *file, int line)
{
	char text[512];
	struct cursor_writer w = cursor_writer(text, sizeof(text) - 1); /* room for the newline */
	ssize_t n;

	put_cut(&w, "berth: a mistake of ours, please report: expected (");
	put_cut(&w, expr);
	put_cut(&w, ") at ");
	put_cut(&w, file);
	put_cut(&w, ":");
	cursor_put_decimal(&w, (uint64_t)line);
	text[cursor_writer_len(&w)] = '\n';
	n = write(STDERR_FILENO, text, cursor_writer_len(&w) + 1);
	if (n > 0)
		put_events();
	abort();
}
