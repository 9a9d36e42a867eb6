/* src/base/trace_events.h: the one list of everything TRACE() can say.
 *
 * X(event, name of word 0, 1, 2, 3): a name of "" is a word that is not printed. Add a line here,
 * then write TRACE(event, ...) where it happens. Words are numbers; a pointer is a number too, but
 * tells little once the process is gone.
 */
#define TRACE_EVENTS(X)                                     \
	X(mark, "a", "b", "c", "d")                         \
	/* port/ */                                         \
	X(claim_state, "port", "from", "to", "slot")        \
	X(port_release, "slot", "generation", "result", "") \
	X(port_refused, "port", "rule", "err", "by_slot")   \
	X(port_chosen, "port", "start", "", "")             \
	X(port_repair, "kept", "dropped", "", "")           \
	/* network/ */                                      \
	X(lock_steal, "host", "dead_owner", "", "")         \
	X(network_damage, "host", "where", "value", "")     \
	X(network_grow, "host", "from", "to", "")           \
	X(claim_dead, "slot", "port", "inode", "cookie")    \
	X(mailbox_damage, "cap", "at", "used", "n")
