/* src/net2/context.h: the networks that one supervisor serves programs of. */
#ifndef BERTH_NET2_CONTEXT_H
#define BERTH_NET2_CONTEXT_H

#include "network/ask.h"
#include "shim/shim.h"

struct context {
	struct shim shim; /* what the shim's functions work on */
	uint32_t refs;
	uint32_t uid, gid; /* the network folder's owner: files are made and reached as them */
	bool allow_outside;
};

/* The one of the `berth run` that installed the filter. */
struct context *context_first(void);
void context_set_first(const struct network *n, const struct network_host *host, bool has_run, uint32_t run,
		       bool allow_outside, const struct port_policy_chain *policy);
/* For a nested run, whose words are the world's. uid: of who asks; the network must be theirs. NULL: no. */
struct context *context_new(const struct ask_join *j, uint32_t uid);
void context_put(struct context *c);

/* From here on the shim's functions act for this thread, in this context. */
struct target;
void context_enter(const struct target *t);
void context_leave(void);
/* Who is served now; its name and process. */
const struct target *context_target(void);
int32_t context_caller(char ret_comm[16]);

#endif
