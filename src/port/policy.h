/* src/port/policy.h: which addresses outside its network a program may send to.
 *
 *     10.0.0.0/8   192.168.1.10:5432   [fd00::]/8:443/tcp   fd00::/8   *:53/udp   :smtp   8000-8010
 *
 * A policy is open (what no rule speaks of may pass) or closed (it may not), and at most
 * PORT_POLICY_RULES_MAX rules. Of the rules that an address and port meet the most exact one decides: the
 * longest prefix; of equal ones the smallest range of ports; then one that names the protocol; then a denial.
 * The order in which they were given does not matter.
 */
#ifndef BERTH_PORT_POLICY_H
#define BERTH_PORT_POLICY_H

#include "port/addr.h"
#include "port/endpoint.h"

#define PORT_POLICY_RULES_MAX 64
#define PORT_POLICY_LAYERS_MAX 4

struct port_policy_rule {
	struct port_addr net;	 /* no octet below the prefix; scope 0 */
	struct port_range ports; /* 0-65535: every */
	uint8_t family;		 /* of net; 0: every address of both */
	uint8_t bits;		 /* in the 128-bit form; 0 when family is */
	uint8_t proto;		 /* enum port_proto; PORT_NPROTOS: both */
	uint8_t allow;		 /* else it denies */
};

struct port_policy {
	uint8_t closed, n_rules, pad[2];
	struct port_policy_rule rules[PORT_POLICY_RULES_MAX];
};

/* What a run may do, and each run inside it may narrow: all layers must let pass. Garbled: nothing may. */
struct port_policy_chain {
	uint8_t n_layers, garbled, pad[2];
	struct port_policy layer[PORT_POLICY_LAYERS_MAX];
};

/* Who refused. Kept in memory that others can write: compared as a number. */
enum port_policy_by {
	PORT_POLICY_NETWORK, /* the network's policy */
	PORT_POLICY_RUN,     /* a run's */
	PORT_POLICY_GARBLED, /* nobody knows: the policy cannot be read */
};
#define PORT_NPOLICY_BYS 3
struct port_policy_refusal {
	uint32_t by;		      /* enum port_policy_by */
	uint32_t closed;	      /* to what no rule speaks of */
	uint32_t has_rule;	      /* 0: it is closed, and no rule lets this pass */
	struct port_policy_rule rule; /* the one that denies */
};

/* Do its numbers make sense? Only then may it be given to the others. */
bool port_policy_rule_sane(const struct port_policy_rule *r);
bool port_policy_sane(const struct port_policy *p);
bool port_policy_chain_sane(const struct port_policy_chain *c);
bool port_policy_refusal_sane(const struct port_policy_refusal *r);

/**
 * port_policy_ask() - may this be sent to?
 * @ret_rule: the rule that decided, as an index; -1: none did, it is open or closed. May be NULL
 *
 * Return: 0; -ENETUNREACH, closed and no rule lets it pass; -ECONNREFUSED, a rule denies it.
 */
int port_policy_ask(const struct port_policy *p, enum port_proto proto, const struct port_addr *addr, uint16_t port,
		    int *ret_rule);
/* Add a rule; one that means the same traffic is replaced. Return: 0; -ENOSPC. */
MUST_CHECK int port_policy_add(struct port_policy *p, const struct port_policy_rule *r);
/* All, and the layer too. Return: 0; -ENOSPC, no room for a layer. */
MUST_CHECK int port_policy_chain_add(struct port_policy_chain *c, const struct port_policy *p);

/**
 * port_policy_rule_parse() - read a rule in any of the forms above
 * @ret:      the rule; without an address, when it has a name, until port_policy_rule_at()
 * @ret_host: the name that stands where the address should, for the caller to resolve; or ""
 * @reterr:   where and what, on -EINVAL only; may be NULL
 */
MUST_CHECK int port_policy_rule_parse(const char *text, bool allow, struct port_policy_rule *ret, char ret_host[64],
				      struct port_parse_error *reterr);
void port_policy_rule_at(struct port_policy_rule *r, const struct port_addr *addr);
#define PORT_POLICY_RULE_STR_MAX 80
/* As it is read: "10.0.0.0/8:443/tcp". Returns s. */
char *port_policy_rule_print(const struct port_policy_rule *r, char s[PORT_POLICY_RULE_STR_MAX]);

/* Whole policies as one line, for files and the environment: "closed +10.0.0.0/8:443 -10.0.0.1"; the layers of a
 * chain with commas between them. */
#define PORT_POLICY_STR_MAX (8 + PORT_POLICY_RULES_MAX * PORT_POLICY_RULE_STR_MAX)
#define PORT_POLICY_CHAIN_STR_MAX (PORT_POLICY_LAYERS_MAX * PORT_POLICY_STR_MAX)
char *port_policy_print(const struct port_policy *p, char *s, size_t size_bytes);
char *port_policy_chain_print(const struct port_policy_chain *c, char *s, size_t size_bytes);
/* Return: 0; -EINVAL, not such a line. */
MUST_CHECK int port_policy_parse(const char *text, struct port_policy *ret);
MUST_CHECK int port_policy_chain_parse(const char *text, struct port_policy_chain *ret);

#endif
