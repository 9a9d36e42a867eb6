/* src/port/rules.c: Linux's bind rules, pure: no table, only two sockets looked at side by side.
 *
 * Letters and numbers (R1 to R7, D3) are those of docs/linux-bind.md. What the kernel does in
 * inet_csk_get_port(), inet_bind_conflict() and sk_reuseport_match() is restated here in terms of
 * the address parts a socket owns; tests/unit/test_port_golden.c holds it to 23,320 measured pairs,
 * tests/diff to the running kernel.
 */
#include <errno.h>
#include <string.h>

#include "port/internal.h"

/* R1. Each socket owns a v4 part and a v6 part: none, one address, or all. */
struct parts rules_parts(enum port_family family, const struct port_addr *a, uint16_t flags)
{
	struct parts p = {0};
	bool any = port_addr_is_any(a);

	if (port_addr_is4(a)) { /* AF_INET, or ::ffff:a on an AF_INET6 socket */
		p.has4 = true;
		p.any4 = any;
		return p;
	}
	p.has6 = true;
	p.any6 = any;
	if (family == PORT_FAMILY_6 && any && !(flags & PORT_V6ONLY))
		p.has4 = p.any4 = true;
	return p;
}

/* R2's oddity: a dual-stack socket used over IPv6 keeps a placeholder in the v4 space, which meets a
 * later AF_INET bind to 0.0.0.0 and nothing else. */
static bool is_ghost4(const struct hold *h)
{
	return h->connected && h->family == PORT_FAMILY_6 && !port_addr_is4(&h->addr) && !(h->flags & PORT_V6ONLY);
}

static bool meets_ghost(const struct port_want *w, const struct hold *h)
{
	return w->family == PORT_FAMILY_4 && port_addr_is_any(&w->addr) && is_ghost4(h);
}

bool rules_overlap(const struct port_want *w, const struct hold *h)
{
	struct parts a = rules_parts(w->family, &w->addr, w->flags), b = rules_parts(h->family, &h->addr, h->flags);
	bool equal = port_addr_equal(&w->addr, &h->addr);

	if (a.has4 && b.has4 && (a.any4 || b.any4 || equal))
		return true;
	if (a.has6 && b.has6 && (a.any6 || b.any6 || equal))
		return true;
	return meets_ghost(w, h);
}

/* R3. */
bool rules_device_apart(uint32_t a, uint32_t b)
{
	return a != 0 && b != 0 && a != b;
}

/* R4 and R5: (a) both SO_REUSEADDR and the other does not listen; (b) both SO_REUSEPORT of one user,
 * or the other is only lingering. One side's flag alone is worthless (R7). */
bool rules_may_share_tcp(const struct port_want *w, const struct hold *h, enum port_rule *ret_rule)
{
	bool both_a = w->flags & h->flags & PORT_REUSEADDR, both_p = w->flags & h->flags & PORT_REUSEPORT;

	if (both_a && h->kind != KIND_LISTEN)
		return true;
	if (both_p && (h->kind == KIND_LINGER || w->uid == h->uid))
		return true;
	if (both_p)
		*ret_rule = PORT_RULE_R4_UID;
	else if (both_a)
		*ret_rule = PORT_RULE_R5_LISTEN;
	else if (meets_ghost(w, h))
		*ret_rule = PORT_RULE_R2_COLLAPSE;
	else if (w->flags & (PORT_REUSEADDR | PORT_REUSEPORT))
		*ret_rule = PORT_RULE_R4_SHARING;
	else
		*ret_rule = PORT_RULE_R1_OVERLAP;
	return false;
}

enum port_rule rules_name_udp(const struct port_want *w, const struct hold *h)
{
	if (w->flags & h->flags & PORT_REUSEPORT)
		return PORT_RULE_R4_UID;
	return w->flags & (PORT_REUSEADDR | PORT_REUSEPORT) ? PORT_RULE_R6_UDP : PORT_RULE_R1_OVERLAP;
}

/* The v4 word the kernel keeps beside a v6 address: a for ::ffff:a, 0 for ::, 127.0.0.6 otherwise. */
static uint32_t word4(const struct port_addr *a)
{
	if (port_addr_is4(a))
		return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 | a->b[15];
	return port_addr_is_any(a) ? 0 : 0x7f000006;
}

static bool covers4(uint32_t fast, uint32_t mine, bool v6only_mine)
{
	return !v6only_mine && (fast == mine || fast == 0);
}

/* "The remembered address covers mine": a wildcard counts only on the remembered side. */
static bool covers(const struct bucket *b, const struct port_want *w)
{
	bool mine_v6only = w->family == PORT_FAMILY_6 && (w->flags & PORT_V6ONLY);
	bool fast4 = port_addr_is4(&b->fast_addr), mine4 = port_addr_is4(&w->addr);

	if (b->fast_family == PORT_FAMILY_4 || (fast4 && mine4))
		return covers4(word4(&b->fast_addr), word4(&w->addr), mine_v6only);
	if (port_addr_is_any(&b->fast_addr) && !fast4)
		return !(b->fast_v6only && mine4);
	return port_addr_equal(&b->fast_addr, &w->addr);
}

bool rules_frp_match(const struct bucket *b, const struct port_want *w)
{
	if (b->frp == FRP_NONE || !(w->flags & PORT_REUSEPORT) || b->fast_uid != w->uid)
		return false;
	return b->frp == FRP_ANY || covers(b, w);
}

static void remember(struct bucket *b, const struct port_want *w, enum frp frp)
{
	b->frp = (uint8_t)frp;
	b->fast_uid = w->uid;
	b->fast_family = (uint8_t)w->family;
	b->fast_v6only = w->family == PORT_FAMILY_6 && (w->flags & PORT_V6ONLY);
	b->fast_addr = w->addr;
}

void rules_frp_update(struct bucket *b, const struct port_want *w, bool first)
{
	if (!(w->flags & PORT_REUSEPORT))
		b->frp = FRP_NONE;
	else if (first)
		remember(b, w, FRP_ANY);
	else if (!rules_frp_match(b, w))
		remember(b, w, FRP_STRICT);
}
