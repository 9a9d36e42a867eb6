/* src/stack/group.h: what the files of multicast membership share. ip.h is what the transports see.
 *
 *	group.c		who is in which group and hears whom: the members' filters, merged for each interface
 *	group_filter.c	one member's filter: a list of sources
 *	group_say.c	what is said, and said again
 *	group_query.c	queries, and which version a querier speaks
 *	igmp.c, mld.c	the messages, in and out
 */
#ifndef BERTH_STACK_GROUP_H
#define BERTH_STACK_GROUP_H

#include "stack/ip_state.h"

/* Sources of one group that queries may have asked about before the answer. More: the answer is about all of them. */
#define GROUP_ASKED_MAX 64

/* A source that members of a group name, or named, or that a query asks about. */
struct group_source {
	uint8_t ip[16];
	uint32_t next;		       /* of its group; NIL */
	uint32_t n_include, n_exclude; /* members that name it, by the mode of their filters */
	uint8_t n_says;		       /* state-change reports that it still goes into */
	bool listed;		       /* in the list that the interface reports */
	bool asked;		       /* a query about it waits for its answer */
};

/* A group on an interface: all its members together (RFC 3376, 3.2; RFC 3810, 4.2). */
struct group {
	struct port_addr addr;
	uint32_t n_users, n_exclude; /* members; those of them that exclude */
	uint32_t first;		     /* sources, in the order in which they came; NIL */
	uint64_t change_at_ns;	     /* the next state-change report (versions 1 and 2: unsolicited report); NEVER_NS */
	uint64_t answer_at_ns;	     /* the answer to a query about it; NEVER_NS */
	uint64_t answered_ns;	     /* the last one */
	uint16_t iface;
	uint16_t n_asked; /* sources with `asked`; 0 while an answer waits: it is about all */
	bool used;
	bool reported;	    /* whoever routes is to know of it: is_reported() when it was last looked at */
	bool excludes;	    /* the mode that is reported */
	bool last_reporter; /* versions 1 and 2: we said it last, so we say when we leave */
	uint8_t n_says;	    /* reports that still tell the mode (versions 1 and 2: that still tell of it) */
	struct timer timer; /* the earlier one of both times */
};

static inline struct group *group_at(const struct berth_stack *st, uint32_t i)
{
	ASSERT(i < st->cfg.n_groups);
	return &st->ip->groups[i];
}

static inline struct group_source *group_source_at(const struct berth_stack *st, uint32_t i)
{
	return slab_at(&st->ip->sources, i);
}

/* --- group.c --- */
/* NIL: there is none. */
uint32_t group_find(const struct berth_stack *st, uint16_t iface, const struct port_addr *group);
/* Groups of which nothing is said: all hosts, and those that stay inside a host. */
bool group_is_silent(const struct port_addr *g);
/* 232/8 and ff3x::/32 (RFC 4607, 1). */
bool group_is_ssm(const struct port_addr *g);
/* Does its interface speak of groups now? */
bool group_may_say(const struct berth_stack *st, const struct group *m);
/* The one of that address; NIL. */
uint32_t group_source_find(const struct berth_stack *st, const struct group *m, const uint8_t ip[16]);
/* A new one, which nobody names yet, at the list's end; NIL: none is left. */
uint32_t group_source_add(struct berth_stack *st, struct group *m, const uint8_t ip[16]);
/* Nothing is left to say of it, nor asked. */
void group_hush(struct berth_stack *st, uint32_t index);
/* Sources go that nobody names and of which nothing is left to say; so does the group, if that holds of it. */
void group_tidy(struct berth_stack *st, uint32_t index);

/* --- group_say.c --- */
/* What the link speaks: 1, 2 or 3 (MLDv1 is 2, MLDv2 3). */
unsigned group_version(const struct berth_stack *st, uint16_t iface, bool v4);
uint8_t group_robustness(const struct berth_stack *st, const struct group *m);
/* Something changed that n_says of it or of its sources tells; or, in versions 1 and 2, it came. Now, and again later. */
void group_say_change(struct berth_stack *st, uint32_t index);
/* Versions 1 and 2: it went. */
void group_say_leave(struct berth_stack *st, const struct group *m);
/* The answer to a query about it. */
void group_say_answer(struct berth_stack *st, uint32_t index);
/* The wheel learns the earlier one of both times. */
void group_timer_set(struct berth_stack *st, uint32_t index);
/* What waits is answered about the whole group, not about some sources. */
void group_answer_about_all(struct berth_stack *st, struct group *m);
/* No answer waits any more. The timer is the caller's to set. */
void group_answer_none(struct berth_stack *st, struct group *m);

#endif
