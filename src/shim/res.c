/* src/shim/res.c: res_query and its kin: the questions about the network are answered here (dns.c).
 *
 * Every form becomes one of two: a name that is asked for, or a message that is sent. Where the network
 * has no answer, libc (or libresolv, in programs made before glibc 2.34) is asked as the program asked.
 * A question about the network never reaches a server, and so needs none.
 */
#include <netdb.h>
#include <resolv.h>
#include <stdatomic.h>
#include <string.h>

#include "shim/resolve.h"

#undef res_query
#undef res_search
#undef res_querydomain
#undef res_send
#undef res_nquery
#undef res_nsearch
#undef res_nquerydomain
#undef res_nsend

static int failed(res_state state, int why)
{
	h_errno = why;
	if (state)
		state->res_h_errno = why;
	return -1;
}

/* Ask for a name. Return: 1, *ret is what the program gets; 0, not ours. */
static int by_name(res_state state, const char *name, int class, int type, uint8_t *answer, int size, int *ret)
{
	uint8_t query[DNS_QUESTION_MAX], room[DNS_QUESTION_MAX];
	struct shim *s = shim_get();
	int n, r, why;

	if (!s || s->err || !name || class < 0 || class > UINT16_MAX || type < 0 || type > UINT16_MAX)
		return 0;
	n = dns_question(name, (uint16_t) class, (uint16_t)type, (uint16_t)network_now_us(), query, sizeof(query));
	if (n < 0)
		return 0;
	r = dns_answer(s, query, (size_t)n, answer, size > 0 && answer ? (size_t)size : 0);
	if (r == -ENOENT)
		return 0;
	if (r == -EMSGSIZE) { /* no room: what happened is known all the same */
		r = dns_answer(s, query, (size_t)n, room, sizeof(room));
		why = r < 0 ? NO_RECOVERY : dns_h_errno(room, (size_t)r);
		*ret = failed(state, why ? why : NO_RECOVERY);
		return 1;
	}
	why = dns_h_errno(answer, (size_t)r);
	if (why != NETDB_SUCCESS) {
		*ret = failed(state, why);
		return 1;
	}
	*ret = r;
	return 1;
}

static int by_domain(res_state state, const char *name, const char *domain, int class, int type, uint8_t *answer,
		     int size, int *ret)
{
	char whole[DNS_QUESTION_MAX];
	size_t len = name ? strlen(name) : 0;

	if (!name || len + (domain ? strlen(domain) : 0) + 2 > sizeof(whole))
		return 0;
	strcpy(whole, name);
	if (domain) {
		if (len && whole[len - 1] != '.')
			whole[len++] = '.';
		strcpy(whole + len, domain);
	}
	return by_name(state, whole, class, type, answer, size, ret);
}

/* Send a message. */
static int by_message(const uint8_t *query, int len, uint8_t *answer, int size, int *ret)
{
	int r = query && answer && len > 0 && size > 0
			? dns_answer(shim_get(), query, (size_t)len, answer, (size_t)size)
			: -ENOENT;

	if (r == -ENOENT)
		return 0;
	*ret = shim_ret(r);
	return 1;
}

/* Each call has two names: the macros of <resolv.h> used to add the underscores. A libc that has only the
 * other one is served by that. */
#define NEXT_OF(name)                              \
	do {                                       \
		if (!next)                         \
			next = RESOLVE_NEXT(name); \
	} while (0)
#define NONE_LEFT (errno = ENOSYS, h_errno = NO_RECOVERY, -1)

#define TWICE(name, args, ours, pass)                   \
	EXPORT(int, name, args);                        \
	EXPORT(int, __##name, args)                     \
	{                                               \
		__typeof__(&shim___##name) next = NULL; \
		int r;                                  \
                                                        \
		if (ours)                               \
			return r;                       \
		NEXT_OF(name);                          \
		NEXT_OF(__##name);                      \
		return next ? next pass : NONE_LEFT;    \
	}                                               \
	EXPORT(int, name, args)                         \
	{                                               \
		return shim___##name pass;              \
	}

TWICE(res_query, (const char *name, int class, int type, uint8_t *answer, int size),
      by_name(NULL, name, class, type, answer, size, &r), (name, class, type, answer, size))
TWICE(res_search, (const char *name, int class, int type, uint8_t *answer, int size),
      by_name(NULL, name, class, type, answer, size, &r), (name, class, type, answer, size))
TWICE(res_querydomain, (const char *name, const char *domain, int class, int type, uint8_t *answer, int size),
      by_domain(NULL, name, domain, class, type, answer, size, &r), (name, domain, class, type, answer, size))
TWICE(res_send, (const uint8_t *query, int len, uint8_t *answer, int size), by_message(query, len, answer, size, &r),
      (query, len, answer, size))
TWICE(res_nquery, (res_state state, const char *name, int class, int type, uint8_t *answer, int size),
      by_name(state, name, class, type, answer, size, &r), (state, name, class, type, answer, size))
TWICE(res_nsearch, (res_state state, const char *name, int class, int type, uint8_t *answer, int size),
      by_name(state, name, class, type, answer, size, &r), (state, name, class, type, answer, size))
TWICE(res_nquerydomain,
      (res_state state, const char *name, const char *domain, int class, int type, uint8_t *answer, int size),
      by_domain(state, name, domain, class, type, answer, size, &r), (state, name, domain, class, type, answer, size))
TWICE(res_nsend, (res_state state, const uint8_t *query, int len, uint8_t *answer, int size),
      by_message(query, len, answer, size, &r), (state, query, len, answer, size))
