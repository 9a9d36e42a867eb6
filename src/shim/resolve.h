/* src/shim/resolve.h: whose a name or an address is, for every call that looks one up.
 *
 * All of these may use the lock of a host's table and read files, and none allocates. They are as safe
 * in signal handlers as libc's own look-ups, which is to say: not.
 */
#ifndef BERTH_SHIM_RESOLVE_H
#define BERTH_SHIM_RESOLVE_H

#include "port/service.h"
#include "shim/shim.h"

enum found {
	FOUND,	  /* a host's of this network, or the loopback */
	NOT_OURS, /* libc's to answer */
	NO_SUCH,  /* ours, and nobody has it: nobody else is to be asked */
};

#define RESOLVE_FQDN_MAX (2 * NETWORK_NAME_MAX + 8)
struct resolved {
	char name[NETWORK_NAME_MAX];  /* "web", "localhost" */
	char alias[RESOLVE_FQDN_MAX]; /* "web.NETWORK.berth"; "": none */
	uint32_t host;		      /* its index */
	struct port_addr addr4, addr6;
};

/* A name as people write it: any case, a final dot. NULL and "" are NOT_OURS. */
enum found resolve_name(struct shim *s, const char *name, struct resolved *ret);
enum found resolve_addr(struct shim *s, const struct port_addr *a, struct resolved *ret);
/* 4 or 16 octets of family's address. */
const uint8_t *resolve_octets(const struct resolved *h, int family);
void resolve_host(struct shim *s, const struct network_host *h, struct resolved *ret);
/* libc's own function, found at the first call and kept in *cache; NULL where libc lacks it. */
void *resolve_next(_Atomic(void *) *cache, const char *name);
/* For an exported function: libc's, or NULL. Only resolver calls, so that a program that never looks up
 * a name does not pay for finding thirty of them when it starts. */
#define RESOLVE_NEXT(name)                               \
	({                                               \
		static _Atomic(void *) cache_;           \
		__typeof__(&shim_##name) f_;             \
		void *p_ = resolve_next(&cache_, #name); \
		memcpy(&f_, &p_, sizeof(f_));            \
		f_;                                      \
	})

/* --- names of ports (servent.c) --- */
/* The network's own `services` file; then, only where the machine has no /etc/services, the registry.
 * first: only the file, as libc was not asked yet. Return: 0; -ENOENT. */
MUST_CHECK int resolve_service(struct shim *s, const char *name, enum port_proto proto, bool first,
			       struct port_service *ret);
MUST_CHECK int resolve_port(struct shim *s, uint16_t port, enum port_proto proto, bool first, struct port_service *ret);

/* --- DNS messages (dns.c) --- */
/* Answer a DNS question about the network. query: a whole message of len octets.
 * Return: the answer's length in octets; -ENOENT, not ours to answer, or no question we understand;
 * -EMSGSIZE, answer has no room for even a header and the question. */
MUST_CHECK int dns_answer(struct shim *s, const uint8_t *query, size_t len, uint8_t *answer, size_t size);
/* The message that asks for name. Return: length; -EINVAL, not a name; -EMSGSIZE. */
MUST_CHECK int dns_question(const char *name, uint16_t class, uint16_t type, uint16_t id, uint8_t *ret, size_t size);
/* h_errno for an answer (0: there are records), as res_query(3) sets it. */
int dns_h_errno(const uint8_t *answer, size_t len);
#define DNS_QUESTION_MAX 300

#endif
