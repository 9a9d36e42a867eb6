/* tests/support/conn_text.h: a connection from inside on one line, for the comments of captures. */
#ifndef BERTH_TESTS_CONN_TEXT_H
#define BERTH_TESTS_CONN_TEXT_H

#include <berth/stack.h>

#include "link/frame.h"

/* The connection that a stack has for a frame it sent (is_out) or is about to get, as it is now:
 *
 *	ESTABLISHED una 1 nxt 2897 rcv_nxt 1 cwnd 14480 ssthresh none pipe 2896 srtt 20000 us rto 220000 us open
 *
 * Numbers are relative to the initial ones; a SYN is number 0. Returns the length; 0, and an empty text: it has none (a handshake that
 * waits in the cache, TIME-WAIT, nothing but a reset). */
int conn_text(const struct berth_stack *st, const struct link_view *v, bool is_out, char *text, size_t room);

#endif
