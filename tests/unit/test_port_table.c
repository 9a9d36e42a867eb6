/* tests/unit/test_port_table.c: the calls of the port table, each row a sentence.
 *
 * Conflicts between two sockets are the golden table's (test_port_golden.c); here is what a pair cannot
 * show: errors and their order, three sockets, life of a claim, choosing, copying, mending; and what happens when places run out.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forms.h"

#define N 256
static void *memory, *memory2;
static const uint8_t secret[16] = "unit test table";

#define A PORT_REUSEADDR
#define P PORT_REUSEPORT

static struct port_addr addr(const char *text)
{
	struct port_addr a;

	assert_int_equal(port_addr_parse(text, &a, NULL), 0);
	return a;
}

static struct port_want want(const char *at, uint16_t port, uint16_t flags)
{
	struct port_addr a = addr(at);

	return (struct port_want){.proto = PORT_TCP,
				  .family = port_addr_is4(&a) ? PORT_FAMILY_4 : PORT_FAMILY_6,
				  .addr = a,
				  .port = port,
				  .flags = flags};
}

static struct port_want udp(struct port_want w)
{
	w.proto = PORT_UDP;
	return w;
}

static struct port_want uid(struct port_want w, uint32_t u)
{
	w.uid = u;
	return w;
}

static struct port_want six(struct port_want w)
{
	w.family = PORT_FAMILY_6;
	return w;
}

static void fresh(struct port_table *t)
{
	struct port_addr a = addr("10.0.0.1"), b = addr("10.0.0.2"), c = addr("fd00::1"), l = addr("fe80::1");

	assert_int_equal(form_init(t, memory, N, secret), 0);
	assert_int_equal(port_table_add_local(t, &a, 128), 0);
	assert_int_equal(port_table_add_local(t, &b, 128), 0);
	assert_int_equal(port_table_add_local(t, &c, 128), 0);
	assert_int_equal(port_table_add_local(t, &l, 128), 0);
	assert_int_equal(port_table_add_local(t, &l, 128), -EEXIST);
}

static int bind_(struct port_table *t, struct port_want w, struct port_ref *ret)
{
	struct port_ref ref;
	int r = port_table_bind(t, PORT_REF_NONE, &w, 0, ret != NULL ? ret : &ref, NULL);

	assert_true(port_table_check(t));
	return r;
}

/* --- errors, in the kernel's order (C3) --- */
static void errors_come_in_the_kernels_order(void **state)
{
	struct port_want link = want("fe80::1", 4000, 0);
	struct port_refusal why;
	struct port_table t;
	struct port_ref ref;

	(void)state;
	fresh(&t);
	/* an argument that makes no sense, before anything else */
	assert_int_equal(bind_(&t, link, NULL), -EINVAL);
	link.addr.scope = 2;
	assert_int_equal(bind_(&t, link, NULL), 0);
	assert_int_equal(bind_(&t, want("ff02::1", 4000, 0), NULL), -EINVAL);
	assert_int_equal(bind_(&t, udp(want("ff02::1", 4000, 0)), NULL), 0);
	assert_int_equal(bind_(&t, six(want("10.9.9.9", 80, PORT_V6ONLY)), NULL), -EINVAL);
	/* a stranger's address masks the privileged port, which masks the conflict */
	assert_int_equal(bind_(&t, want("10.9.9.9", 80, 0), NULL), -EADDRNOTAVAIL);
	assert_int_equal(bind_(&t, want("10.9.9.9", 8080, PORT_FREEBIND), NULL), 0);
	assert_int_equal(bind_(&t, want("10.0.0.1", 80, PORT_PRIVILEGED), &ref), 0);
	assert_int_equal(bind_(&t, want("10.0.0.1", 80, 0), NULL), -EACCES);
	assert_int_equal(bind_(&t, want("10.0.0.1", 80, PORT_PRIVILEGED), NULL), -EADDRINUSE);
	/* already bound masks the conflict and is masked by the privilege */
	struct port_want w = want("10.0.0.1", 81, PORT_PRIVILEGED);
	assert_int_equal(port_table_bind(&t, ref, &w, 0, &ref, &why), -EINVAL);
	w = want("10.0.0.1", 81, 0);
	assert_int_equal(port_table_bind(&t, ref, &w, 0, &ref, &why), -EACCES);
	assert_int_equal(why.rule, PORT_RULE_PRIVILEGED);
	/* Linux's oddities */
	assert_int_equal(bind_(&t, want("255.255.255.255", 4001, 0), NULL), 0);
	assert_int_equal(bind_(&t, want("239.1.1.1", 4001, 0), NULL), 0);
	assert_int_equal(bind_(&t, want("127.9.8.7", 4001, 0), NULL), 0);
}

static void a_refusal_names_the_one_in_the_way(void **state)
{
	struct port_want first = want("0.0.0.0", 80, A | PORT_PRIVILEGED), w;
	struct port_refusal why;
	struct port_table t;
	struct port_ref ref, other;

	(void)state;
	fresh(&t);
	first.owner = (struct port_owner){.pid = 4242, .comm = "nginx"};
	assert_int_equal(bind_(&t, first, &ref), 0);
	assert_int_equal(port_table_listen(&t, &ref, &first, 0, NULL), 0);
	w = want("10.0.0.1", 80, A | PORT_PRIVILEGED);
	assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &other, &why), -EADDRINUSE);
	assert_int_equal(why.rule, PORT_RULE_R5_LISTEN);
	assert_true(why.by_valid);
	assert_int_equal(why.by.owner.pid, form_lean ? 0 : 4242);
	assert_string_equal(why.by.owner.comm, form_lean ? "" : "nginx");
	assert_int_equal(why.by_ref.slot, ref.slot);
	assert_int_equal(why.by.state, CLAIM_LISTENING);
}

/* --- D3: three sockets and more --- */
struct step {
	struct port_want w;
	int result;
};

static void run_steps(const struct step *s, size_t n)
{
	struct port_table t;

	fresh(&t);
	for (size_t i = 0; i < n; i++)
		if (bind_(&t, s[i].w, NULL) != s[i].result)
			fail_msg("step %zu: wanted %d", i + 1, s[i].result);
}

static void sharing_remembered_lets_others_in_unasked(void **state)
{
	const struct step steps[] = {
		{uid(want("10.0.0.1", 5000, P), 1), 0},
		{uid(want("10.0.0.2", 5000, 0), 1), 0},		 /* no overlap; the port forgets */
		{uid(want("0.0.0.0", 5000, P), 1), -EADDRINUSE}, /* the second did not share */
	};
	const struct step any[] = {
		{uid(want("10.0.0.1", 5000, P), 1), 0},
		{uid(want("10.0.0.2", 5000, P), 2), 0},		 /* remembered now: strict, 10.0.0.2 of user 2 */
		{uid(want("0.0.0.0", 5000, P), 2), -EADDRINUSE}, /* not covered by 10.0.0.2; user 1 refuses */
		{uid(want("10.0.0.2", 5000, P), 2), 0},
	};

	(void)state;
	run_steps(steps, COUNT_OF(steps));
	run_steps(any, COUNT_OF(any));
}

static void udp_asks_the_newest_only(void **state)
{
	const struct step steps[] = {
		{udp(want("10.0.0.1", 5000, A | P)), 0},
		{udp(want("10.0.0.1", 5000, A)), 0},	       /* shares by A with the first */
		{udp(want("10.0.0.1", 5000, P)), -EADDRINUSE}, /* the newest has no P */
		{udp(want("10.0.0.1", 5000, A | P)), 0},
		{udp(want("10.0.0.1", 5000, P)), 0}, /* now the newest has: the older ones are not asked */
	};

	(void)state;
	run_steps(steps, COUNT_OF(steps));
}

/* --- life of a claim --- */
static void a_stale_handle_is_refused(void **state)
{
	struct port_want w = want("0.0.0.0", 5000, 0);
	struct port_table t;
	struct port_claim c;
	struct port_ref ref, again;

	(void)state;
	fresh(&t);
	assert_int_equal(bind_(&t, w, &ref), 0);
	assert_int_equal(port_table_release(&t, ref), 0);
	assert_int_equal(port_table_release(&t, ref), -ESTALE);
	assert_int_equal(bind_(&t, w, &again), 0);
	assert_int_equal(again.slot, ref.slot);
	assert_int_equal(port_table_get(&t, ref, &c), -ESTALE);
	assert_int_equal(port_table_listen(&t, &ref, &w, 0, NULL), -ESTALE);
	assert_int_equal(port_table_get(&t, (struct port_ref){N + 5, 1}, &c), -ESTALE);
	assert_int_equal(port_table_get_slot(&t, UINT32_MAX, &ref, &c), -ESTALE);
}

static void listening_is_rechecked(void **state)
{
	struct port_want w = want("0.0.0.0", 5000, A);
	struct port_table t;
	struct port_ref one, two;
	struct port_refusal why;

	(void)state;
	fresh(&t);
	assert_int_equal(bind_(&t, w, &one), 0);
	assert_int_equal(bind_(&t, w, &two), 0);
	assert_int_equal(port_table_listen(&t, &one, &w, 0, NULL), 0);
	assert_int_equal(port_table_listen(&t, &one, &w, 0, NULL), 0); /* twice is fine */
	assert_int_equal(port_table_listen(&t, &two, &w, 0, &why), -EADDRINUSE);
	assert_int_equal(why.by_ref.slot, one.slot);
	assert_int_equal(port_table_unlisten(&t, one), 0);
	assert_int_equal(port_table_listen(&t, &two, &w, 0, NULL), 0);
	assert_int_equal(port_table_listen(&t, &one, &w, 0, NULL), -EADDRINUSE);
	assert_true(port_table_check(&t));
}

static void unbound_listen_gets_a_port(void **state)
{
	struct port_want w = want("0.0.0.0", 0, 0);
	struct port_table t;
	struct port_claim c;
	struct port_ref ref = PORT_REF_NONE;

	(void)state;
	fresh(&t);
	assert_int_equal(port_table_listen(&t, &ref, &w, 0, NULL), 0);
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	assert_in_range(c.port, 32768, 60999);
	assert_int_equal(c.state, CLAIM_LISTENING);
	w = udp(w);
	ref = PORT_REF_NONE;
	assert_int_equal(port_table_listen(&t, &ref, &w, 0, NULL), -EOPNOTSUPP);
}

static void a_connection_outlives_its_listener_and_holds_the_port(void **state)
{
	struct port_want w = want("0.0.0.0", 5000, 0);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	struct port_owner nobody = {0};
	struct port_table t;
	struct port_ref l, child, twin;

	(void)state;
	fresh(&t);
	assert_int_equal(bind_(&t, w, &l), 0);
	assert_int_equal(port_table_accept(&t, l, &local, &peer, 7, &nobody, 0, &child), -EINVAL);
	assert_int_equal(port_table_listen(&t, &l, &w, 0, NULL), 0);
	assert_int_equal(port_table_accept(&t, l, &local, &peer, 7, &nobody, 0, &child), 0);
	assert_int_equal(port_table_accept(&t, l, &local, &peer, 7, &nobody, 0, &twin), -EADDRNOTAVAIL);
	assert_int_equal(port_table_release(&t, l), 0);
	assert_int_equal(bind_(&t, w, &l), -EADDRINUSE);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5000, 0), NULL), 0); /* another address is free */
	assert_int_equal(port_table_linger(&t, child, 60000000), 0);
	assert_int_equal(bind_(&t, w, &l), -EADDRINUSE);
	assert_int_equal(port_table_expire(&t, 59999999, 10), 0);
	assert_int_equal(port_table_expire(&t, 60000000, 10), !form_lean);
	if (form_lean) /* nothing but this ends it */
		assert_int_equal(port_table_release(&t, child), 0);
	assert_int_equal(bind_(&t, want("10.0.0.1", 5000, 0), NULL), 0);
	assert_true(port_table_check(&t));
}

static void lingering_ends_in_its_own_order(void **state)
{
	struct port_want w = want("0.0.0.0", 0, 0);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	static const uint64_t ends[] = {50, 10, 30, 20, 40, 30};
	struct port_table t;
	struct port_claim c;
	struct port_ref ref;

	(void)state;
	fresh(&t);
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		ref = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 80, 0, NULL), 0);
		assert_int_equal(port_table_linger(&t, ref, ends[i]), 0);
		assert_true(port_table_check(&t));
		assert_int_equal(port_table_get(&t, ref, &c), 0);
		assert_true(c.expires_us == (form_lean ? NEVER_US : ends[i]));
	}
	assert_int_equal(port_table_expire(&t, 9, 10), 0);
	if (form_lean) {
		assert_int_equal(port_table_expire(&t, 50, 10), 0);
		return;
	}
	assert_int_equal(port_table_expire(&t, 30, 2), 2); /* no more than the budget */
	assert_int_equal(port_table_expire(&t, 30, 10), 2);
	assert_int_equal(port_table_expire(&t, 49, 10), 1);
	assert_int_equal(port_table_expire(&t, 50, 10), 1);
	assert_int_equal(port_table_n_claims(&t), 0);
}

static void udp_connects_again_and_not_at_all(void **state)
{
	struct port_want w = udp(want("0.0.0.0", 5000, 0)), auto_w = udp(want("0.0.0.0", 0, 0));
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9"), any = addr("0.0.0.0");
	struct port_table t;
	struct port_claim c;
	struct port_ref ref, chosen = PORT_REF_NONE;

	(void)state;
	fresh(&t);
	assert_int_equal(bind_(&t, w, &ref), 0);
	assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 53, 0, NULL), 0);
	assert_int_equal(bind_(&t, udp(want("10.0.0.2", 5000, 0)), NULL), 0); /* it left the wildcard (R2) */
	assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 54, 0, NULL), 0);
	assert_int_equal(port_table_disconnect(&t, ref, &any), 0);
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	assert_int_equal(c.state, CLAIM_HELD);
	assert_true(port_addr_is_any(&c.addr));
	assert_int_equal(port_table_connect(&t, &chosen, &auto_w, &local, &peer, 53, 0, NULL), 0);
	assert_int_equal(port_table_disconnect(&t, chosen, &any), 0);
	assert_int_equal(port_table_get(&t, chosen, &c), -ESTALE); /* a chosen port is given back */
	assert_true(port_table_check(&t));
}

static void tcp_goes_back_to_what_bind_left(void **state)
{
	struct port_want w = want("0.0.0.0", 5000, 0), chosen_w = want("10.0.0.1", 0, 0);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	struct port_owner other = {.inode = 77, .cookie = 78};
	struct port_table t;
	struct port_claim c;
	struct port_ref ref, chosen, listener;

	(void)state;
	fresh(&t);
	assert_int_equal(bind_(&t, w, &ref), 0);
	assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 53, 0, NULL), 0);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5000, 0), &listener), 0); /* it left the wildcard (R2) */
	assert_int_equal(port_table_release(&t, listener), 0);
	assert_int_equal(port_table_undo(&t, ref, false, &other, 9), 0);
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	assert_int_equal(c.state, CLAIM_HELD);
	assert_true(port_addr_is_any(&c.addr) && c.peer_port == 0 && c.owner.cookie == (form_lean ? 0 : 78) &&
		    c.user == 9);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5000, 0), NULL), -EADDRINUSE);
	assert_int_equal(bind_(&t, chosen_w, &chosen), 0);
	assert_int_equal(port_table_connect(&t, &chosen, &w, &local, &peer, 53, 0, NULL), 0);
	assert_int_equal(port_table_undo(&t, chosen, true, &other, 9), 0); /* kept, when that is asked for */
	assert_int_equal(port_table_get(&t, chosen, &c), 0);
	assert_true(port_addr_equal(&c.addr, &local) && c.state == CLAIM_HELD);
	assert_int_equal(port_table_undo(&t, chosen, false, &other, 9), 1);
	assert_int_equal(port_table_get(&t, chosen, &c), -ESTALE); /* a chosen port is given back */
	listener = PORT_REF_NONE;
	assert_int_equal(port_table_listen(&t, &listener, &chosen_w, 0, NULL), 0);
	assert_int_equal(port_table_undo(&t, listener, false, &other, 9), 1);
	assert_true(port_table_check(&t));
}

/* To Linux ::ffff:0.0.0.0 was an address and no wildcard: what connect() put in its place stays there. */
static void a_mapped_wildcard_keeps_the_address_it_was_used_on(void **state)
{
	struct port_want w = want("10.0.0.1", 5000, A), mapped = six(want("0.0.0.0", 5000, A)),
			 v4 = want("0.0.0.0", 5001, A);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	struct port_owner o = {.inode = 77, .cookie = 78};
	struct port_table t;
	struct port_claim c;
	struct port_ref first, ref, other;

	(void)state;
	fresh(&t);
	/* refused for its four-tuple */
	assert_int_equal(bind_(&t, w, &first), 0);
	assert_int_equal(port_table_connect(&t, &first, &w, &local, &peer, 80, 0, NULL), 0);
	assert_int_equal(bind_(&t, mapped, &ref), 0);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5000, 0), NULL), -EADDRINUSE);
	assert_int_equal(port_table_connect(&t, &ref, &mapped, &local, &peer, 80, 0, NULL), -EADDRNOTAVAIL);
	assert_true(port_table_check(&t));
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	assert_true(port_addr_equal(&c.addr, &local) && c.state == CLAIM_HELD && c.peer_port == 0);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5000, 0), &other), 0);
	assert_int_equal(port_table_connect(&t, &ref, &mapped, &local, &peer, 81, 0, NULL), 0);
	/* given up */
	assert_int_equal(port_table_undo(&t, ref, false, &o, 9), 0);
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	assert_true(port_addr_equal(&c.addr, &local) && c.state == CLAIM_HELD);
	assert_int_equal(bind_(&t, six(want("::", 5000, PORT_V6ONLY)), NULL), 0);
	/* an AF_INET socket has its wildcard again */
	w.port = 5001;
	assert_int_equal(bind_(&t, w, &first), 0);
	assert_int_equal(port_table_connect(&t, &first, &w, &local, &peer, 80, 0, NULL), 0);
	assert_int_equal(bind_(&t, v4, &ref), 0);
	assert_int_equal(port_table_connect(&t, &ref, &v4, &local, &peer, 80, 0, NULL), -EADDRNOTAVAIL);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5001, 0), NULL), -EADDRINUSE);
	assert_true(port_table_check(&t));
}

static void port_0_is_no_place(void **state)
{
	struct port_want w = want("0.0.0.0", 0, 0);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	struct port_table t;
	struct port_ref ref = PORT_REF_NONE;
	struct port_claim c;

	(void)state;
	fresh(&t);
	assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 0, 0, NULL), -ECONNREFUSED);
	for (int i = 0; i < N; i++) {
		assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL), 0);
		assert_int_equal(port_table_get(&t, ref, &c), 0);
		assert_int_not_equal(c.port, 0);
	}
	assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL), -ENOBUFS);
	assert_true(port_table_check(&t));
}

/* --- choosing --- */
static void set_range(struct port_table *t, uint16_t first, uint16_t last)
{
	struct port_settings s;

	port_table_get_settings(t, &s);
	s.range = (struct port_range){first, last};
	assert_int_equal(port_table_set_settings(t, &s), 0);
}

static void every_port_of_a_range_is_found_and_then_it_is_full(void **state)
{
	struct port_want w = want("10.0.0.1", 0, 0);
	struct port_refusal why;
	struct port_table t;
	struct port_ref ref;
	struct port_claim c;
	bool seen[200] = {false};

	(void)state;
	fresh(&t);
	set_range(&t, 5000, 5199);
	assert_int_equal(port_table_reserve(&t, (struct port_range){5010, 5019}, true), 0);
	for (int i = 0; i < 190; i++) {
		assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL), 0);
		assert_int_equal(port_table_get(&t, ref, &c), 0);
		assert_in_range(c.port, 5000, 5199);
		assert_false(c.port >= 5010 && c.port <= 5019);
		assert_false(seen[c.port - 5000]);
		seen[c.port - 5000] = true;
	}
	assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, &why), -EADDRINUSE);
	assert_int_equal(why.rule, PORT_RULE_RANGE_FULL);
	assert_int_equal(bind_(&t, want("10.0.0.1", 5012, 0), NULL), 0); /* reserved, but bindable by number */
	w = want("10.0.0.2", 0, 0);
	for (int i = 0; i < 40; i++) /* another address has them all again */
		assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL), 0);
	w = want("0.0.0.0", 0, A | P); /* and the wildcard none, whatever it would share */
	assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL), -EADDRINUSE);
	assert_true(port_table_check(&t));
}

static void flows_share_a_port_between_destinations_only(void **state)
{
	struct port_want w = want("0.0.0.0", 0, 0);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9"), other = addr("10.0.0.8");
	struct port_refusal why;
	struct port_table t;
	struct port_ref ref;

	(void)state;
	fresh(&t);
	set_range(&t, 5000, 5099);
	assert_int_equal(bind_(&t, want("10.0.0.2", 5050, 0), NULL), 0); /* bound: never chosen, on any address */
	for (int i = 0; i < 99; i++) {
		ref = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 80, 0, NULL), 0);
	}
	ref = PORT_REF_NONE;
	assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, 80, 0, &why), -EADDRNOTAVAIL);
	assert_int_equal(why.rule, PORT_RULE_RANGE_FULL);
	for (int i = 0; i < 99; i++) {
		ref = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &ref, &w, &local, i & 1 ? &peer : &other, i & 1 ? 81 : 80, 0,
						    NULL),
				 0);
	}
	assert_true(port_table_check(&t));
}

static void a_socket_narrows_its_range(void **state)
{
	struct port_want w = want("0.0.0.0", 0, 0);
	struct port_table t;
	struct port_ref ref;
	struct port_claim c;
	static const struct {
		struct port_range ask;
		uint16_t lo, hi;
	} rows[] = {
		{{5010, 5012}, 5010, 5012}, {{5090, 0}, 5090, 5099},
		{{0, 5005}, 5000, 5005},    {{1, 5003}, 5000, 5003}, /* a bound outside has no effect */
		{{6000, 7000}, 5000, 5099},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint16_t lo = UINT16_MAX, hi = 0;

		fresh(&t);
		set_range(&t, 5000, 5099);
		w.range = rows[i].ask;
		while (port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL) == 0) {
			assert_int_equal(port_table_get(&t, ref, &c), 0);
			lo = c.port < lo ? c.port : lo;
			hi = c.port > hi ? c.port : hi;
		}
		assert_int_equal(lo, rows[i].lo);
		assert_int_equal(hi, rows[i].hi);
	}
}

static void the_next_port_cannot_be_told_from_the_last(void **state)
{
	struct port_want w = want("0.0.0.0", 0, 0);
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	uint32_t near = 0;
	uint16_t last[2] = {0, 0};
	struct port_table t[2];
	struct port_claim c;

	(void)state;
	/* Two hosts with other secrets, the same questions: other answers. One host, other destinations:
	 * not the next number. */
	for (int k = 0; k < 2; k++) {
		uint8_t s[16] = {(uint8_t)(k + 1)};

		assert_int_equal(form_init(&t[k], k ? memory2 : memory, N, s), 0);
	}
	for (uint16_t i = 0; i < 100; i++) {
		uint16_t now[2];

		for (int k = 0; k < 2; k++) {
			struct port_ref ref = PORT_REF_NONE;

			assert_int_equal(port_table_connect(&t[k], &ref, &w, &local, &peer, (uint16_t)(i + 1), 0, NULL),
					 0);
			assert_int_equal(port_table_get(&t[k], ref, &c), 0);
			now[k] = c.port;
			near += abs((int)now[k] - (int)last[k]) < 8;
			last[k] = now[k];
		}
		near += now[0] == now[1];
	}
	assert_true(near < 6); /* by chance: about 0.1 */
}

/* How many of 40 destinations get, at now_us, a port at most 8 after the one they got last? */
static unsigned followed(struct port_table *t, uint16_t last[40], uint64_t now_us)
{
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.0.0.9");
	struct port_want w = want("0.0.0.0", 0, 0);
	unsigned n = 0;

	for (uint16_t i = 0; i < 40; i++) {
		struct port_ref ref = PORT_REF_NONE;
		struct port_claim c;

		assert_int_equal(port_table_connect(t, &ref, &w, &local, &peer, (uint16_t)(i + 1), now_us, NULL), 0);
		assert_int_equal(port_table_get(t, ref, &c), 0);
		assert_int_equal(port_table_release(t, ref), 0);
		n += c.port > last[i] && c.port - last[i] <= 8;
		last[i] = c.port;
	}
	return n;
}

/* Who calls often enough learns which destinations share a counter: for ten seconds. */
static void the_counters_are_dealt_anew(void **state)
{
	uint16_t last[40] = {0};
	struct port_table t;

	(void)state;
	fresh(&t);
	(void)followed(&t, last, 1);
	assert_true(followed(&t, last, 2) > 20); /* but those that share one, and who came to the end of the range */
	assert_true(followed(&t, last, 9999999) > 20); /* the same ten seconds */
	assert_true(followed(&t, last, 10000000) < 4); /* by chance: about 0.01 */
	assert_true(followed(&t, last, 19999999) > 20);
	assert_true(followed(&t, last, 36000000000) < 4);
}

static void the_nearest_free_port_is_a_good_one(void **state)
{
	struct port_want w = want("0.0.0.0", 80, 0);
	struct port_table t;
	uint16_t port;

	(void)state;
	fresh(&t);
	assert_int_equal(port_table_nearest_free(&t, &w, &port), 0);
	assert_int_equal(port, 1024); /* the first one this user may have */
	w.flags = PORT_PRIVILEGED;
	assert_int_equal(bind_(&t, want("10.0.0.1", 81, PORT_PRIVILEGED), NULL), 0);
	assert_int_equal(port_table_nearest_free(&t, &w, &port), 0);
	assert_int_equal(port, 82);
	w = want("0.0.0.0", 40000, 0);
	assert_int_equal(port_table_nearest_free(&t, &w, &port), 0);
	assert_int_equal(port, 61000); /* not one that connect() might take */
}

/* --- settings, copying, mending --- */
static void settings_are_checked(void **state)
{
	static const struct {
		struct port_settings s;
		int r;
	} rows[] = {
		{{{32768, 60999}, 0}, 0},  {{{5000, 5000}, 1024}, 0},	    {{{5001, 5000}, 1024}, -EINVAL},
		{{{0, 5000}, 0}, -EINVAL}, {{{1000, 5000}, 1024}, -EINVAL}, {{{1, 65535}, 1}, 0},
	};
	struct port_table t;

	(void)state;
	fresh(&t);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(port_table_set_settings(&t, &rows[i].s), rows[i].r);
}

static void a_copy_has_the_same_claims_and_goes_on_alike(void **state)
{
	struct port_table t, big;
	struct port_ref ref, u;
	struct port_claim c;
	struct port_want w = want("10.0.0.1", 5000, P);

	(void)state;
	fresh(&t);
	assert_int_equal(bind_(&t, w, &ref), 0);
	assert_int_equal(bind_(&t, udp(want("10.0.0.1", 5000, A | P)), NULL), 0);
	assert_int_equal(bind_(&t, udp(want("10.0.0.1", 5000, A)), &u), 0);
	assert_int_equal(port_table_copy(&big, memory2, port_table_size(2 * N), N / 2, &t), -EINVAL);
	assert_int_equal(port_table_copy(&big, memory2, port_table_size(2 * N), 2 * N, &t), 0);
	assert_true(port_table_check(&big));
	assert_int_equal(port_table_get(&big, ref, &c), 0);
	assert_int_equal(c.port, 5000);
	/* what the port remembers, and UDP's order, came along */
	assert_int_equal(bind_(&big, uid(want("10.0.0.1", 5000, P), 0), NULL), 0);
	assert_int_equal(bind_(&big, udp(want("10.0.0.1", 5000, P)), NULL), -EADDRINUSE);
	assert_int_equal(port_table_release(&big, u), 0);
	assert_int_equal(bind_(&big, udp(want("10.0.0.1", 5000, P)), NULL), 0);
}

static void damage_is_found_and_mended(void **state)
{
	size_t size;
	struct port_table t;
	uint32_t found = 0, n;

	(void)state;
	fresh(&t);
	size = t.len_bytes;
	n = t.n_places - 10;
	for (size_t at = 64; at + 64 < size; at += size / 101) {
		struct port_ref ref;

		fresh(&t);
		for (uint16_t p = 5000; p < 5000 + n; p++)
			assert_int_equal(port_table_bind(&t, PORT_REF_NONE,
							 &(struct port_want){.proto = PORT_TCP,
									     .family = PORT_FAMILY_4,
									     .addr = PORT_ADDR_ANY4,
									     .port = p},
							 0, &ref, NULL),
					 0);
		assert_true(port_table_check(&t));
		memset((uint8_t *)memory + at, 0xa5, 64);
		found += !port_table_check(&t);
		port_table_repair(&t, NULL, NULL);
		assert_true(port_table_check(&t));
		assert_true(port_table_n_claims(&t) >= n - 2); /* 64 octets are at most two claims */
	}
	assert_true(found > 50);
}

static bool even_ports(void *ctx, const struct port_claim *c)
{
	(void)ctx;
	return c->port % 2 == 0;
}

static void repair_keeps_what_it_is_told_to(void **state)
{
	struct port_table t;
	struct port_ref refs[4];
	struct port_claim c;

	(void)state;
	fresh(&t);
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(bind_(&t, want("0.0.0.0", (uint16_t)(5000 + i), 0), &refs[i]), 0);
	assert_int_equal(port_table_repair(&t, even_ports, NULL), 2);
	assert_int_equal(port_table_get(&t, refs[0], &c), 0); /* handles stay good */
	assert_int_equal(port_table_get(&t, refs[1], &c), -ESTALE);
	assert_int_equal(port_table_n_claims(&t), 2);
}

static void what_is_no_table_is_refused(void **state)
{
	struct port_table t, u;

	(void)state;
	fresh(&t);
	assert_int_equal(port_table_attach(&u, memory, port_table_size(N)), 0);
	assert_int_equal(u.len_bytes, t.len_bytes);
	assert_true(u.lean == t.lean);
	assert_int_equal(port_table_attach(&u, memory, t.len_bytes), 0);
	assert_int_equal(port_table_attach(&u, memory, t.len_bytes - 1), -EUCLEAN);
	assert_int_equal(port_table_attach(&u, memory, 16), -EUCLEAN);
	*(uint8_t *)memory ^= 1;
	assert_int_equal(port_table_attach(&u, memory, port_table_size(N)), -EUCLEAN);
	assert_int_equal(port_table_init(&t, memory, port_table_size(N) - 1, N, secret), -EINVAL);
	assert_int_equal(port_table_init(&t, memory, port_table_size(N), 0, secret), -EINVAL);
}

/* A socket of the kernel's is put in as it is, even beside one that would have refused it; newcomers are asked as ever. */
static void what_holds_elsewhere_is_put_in_unasked(void **state)
{
	struct port_table t;
	struct port_ref ref, other;
	struct port_claim c, strange;
	struct port_refusal why;
	struct port_want w = want("127.0.0.1", 80, 0);

	(void)state;
	fresh(&t);
	w.flags = PORT_PRIVILEGED;
	assert_int_equal(port_table_bind(&t, PORT_REF_NONE, &w, 1, &ref, NULL), 0);
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	c.addr = PORT_ADDR_ANY4;
	c.state = CLAIM_LISTENING;
	c.user = 7;
	assert_int_equal(port_table_put(&t, &c, &other), 0);
	assert_true(port_table_check(&t));
	assert_int_equal(port_table_n_claims(&t), 2);
	w.addr = addr("127.0.0.2");
	assert_int_equal(port_table_probe(&t, &w, false, &why), -EADDRINUSE);
	assert_true(why.by_valid && why.by.user == 7);
	strange = c;
	strange.port = 0;
	assert_int_equal(port_table_put(&t, &strange, &other), -EINVAL);
	strange = c;
	strange.state = CLAIM_FREE;
	assert_int_equal(port_table_put(&t, &strange, &other), -EINVAL);
	assert_int_equal(port_table_n_claims(&t), 2);
}

/* --- places: fewer than claims --- */
/* What each of these holds is one place, of two claims: so no one of them can become something else where it is. */
struct crowded {
	struct port_table t;
	struct port_ref listener[2], bound[2], child[2], flow[2], caller[2], alone, filler;
};

static struct port_addr here, there;

static void taken(struct crowded *k, struct port_ref *ret, uint16_t port, uint16_t flags)
{
	assert_int_equal(bind_(&k->t, want("10.0.0.1", port, flags), ret), 0);
}

static int to(struct crowded *k, struct port_ref *ref, uint16_t peer_port)
{
	struct port_want w = want("10.0.0.1", 0, 0);

	return port_table_connect(&k->t, ref, &w, &here, &there, peer_port, 0, NULL);
}

static int listen_(struct crowded *k, struct port_ref *ref)
{
	struct port_want w = want("10.0.0.1", 0, 0);

	return port_table_listen(&k->t, ref, &w, 0, NULL);
}

static int accept_(struct crowded *k, uint16_t peer_port, struct port_ref *ret)
{
	struct port_owner nobody = {0};

	return port_table_accept(&k->t, k->listener[0], &here, &there, peer_port, &nobody, 0, ret);
}

static void crowd(struct crowded *k, void *mem)
{
	const struct port_table_form f = {.n_claims = N, .n_places = 12, .lean = form_lean};
	struct port_ref ref;
	uint16_t port = 6000;

	here = addr("10.0.0.1");
	there = addr("10.0.0.9");
	assert_int_equal(port_table_form_init(&k->t, mem, port_table_form_size(&f), &f, secret), 0);
	assert_int_equal(port_table_add_local(&k->t, &here, 128), 0);
	for (int i = 0; i < 2; i++) {
		taken(k, &k->listener[i], 5000, P);
		taken(k, &k->bound[i], 5001, A);
		taken(k, &k->flow[i], 5002, A);
		taken(k, &k->caller[i], 5003, A);
	}
	for (uint16_t i = 0; i < 2; i++) {
		assert_int_equal(listen_(k, &k->listener[i]), 0);
		assert_int_equal(accept_(k, (uint16_t)(1 + i), &k->child[i]), 0);
		assert_int_equal(to(k, &k->flow[i], (uint16_t)(1 + i)), 0);
		taken(k, &ref, 5003, A);
		assert_int_equal(to(k, &ref, (uint16_t)(7 + i)), 0);
		assert_int_equal(port_table_linger(&k->t, ref, 100), 0);
	}
	taken(k, &k->alone, 5004, 0);
	do {
		k->filler = ref;
	} while (bind_(&k->t, want("10.0.0.1", port++, 0), &ref) == 0);
	assert_in_range(port, 6001, 6010);
}

static int bind_one(struct crowded *k)
{
	struct port_ref ref;

	return bind_(&k->t, want("10.0.0.1", 7000, 0), &ref);
}

static int bind_chosen(struct crowded *k)
{
	struct port_ref ref;

	return bind_(&k->t, want("0.0.0.0", 0, 0), &ref);
}

static int bind_udp_like_another(struct crowded *k)
{
	struct port_ref ref;

	return bind_(&k->t, udp(want("10.0.0.1", 7000, A)), &ref);
}

static int listen_unbound(struct crowded *k)
{
	struct port_ref ref = PORT_REF_NONE;

	return listen_(k, &ref);
}

static int listen_one_of_two(struct crowded *k)
{
	return listen_(k, &k->bound[0]);
}

static int unlisten_one_of_two(struct crowded *k)
{
	return port_table_unlisten(&k->t, k->listener[1]);
}

static int connect_unbound(struct crowded *k)
{
	struct port_ref ref = PORT_REF_NONE;

	return to(k, &ref, 80);
}

static int connect_one_of_two(struct crowded *k)
{
	return to(k, &k->bound[1], 80);
}

static int connect_over_time_wait(struct crowded *k)
{
	return to(k, &k->caller[0], 7);
}

static int undo_one_of_two(struct crowded *k)
{
	struct port_owner nobody = {0};

	return port_table_undo(&k->t, k->flow[0], false, &nobody, 0);
}

static int linger_one_of_two(struct crowded *k)
{
	return port_table_linger(&k->t, k->child[1], 100);
}

static int flags_of_one_of_two(struct crowded *k)
{
	return port_table_set_flags(&k->t, k->bound[0], P, P);
}

static int put_one(struct crowded *k)
{
	struct port_claim c;
	struct port_ref ref;

	assert_int_equal(port_table_get(&k->t, k->alone, &c), 0);
	c.port = 7000;
	return port_table_put(&k->t, &c, &ref);
}

/* Their place is there, or they bring their own. */
static int accept_a_third(struct crowded *k)
{
	struct port_ref ref;

	return accept_(k, 3, &ref);
}

static int bind_a_third(struct crowded *k)
{
	struct port_ref ref;

	return bind_(&k->t, want("10.0.0.1", 5001, A), &ref);
}

static int connect_alone(struct crowded *k)
{
	return to(k, &k->alone, 80);
}

static int listen_alone(struct crowded *k)
{
	return listen_(k, &k->alone);
}

static const struct place_case {
	const char *name;
	int (*call)(struct crowded *k);
	bool needs_place;
} place_cases[] = {
	{"bind() to a new port", bind_one, true},
	{"bind() to a port that is chosen", bind_chosen, true},
	{"bind() of UDP", bind_udp_like_another, true},
	{"listen() without bind()", listen_unbound, true},
	{"listen() of one of two at a place", listen_one_of_two, true},
	{"one of two listeners stops", unlisten_one_of_two, true},
	{"connect() without bind()", connect_unbound, true},
	{"connect() of one of two at a place", connect_one_of_two, true},
	{"connect() of one of two, over a TIME-WAIT that is to stay", connect_over_time_wait, true},
	{"one of two connect()s comes to nothing", undo_one_of_two, true},
	{"one of two children goes into TIME-WAIT", linger_one_of_two, true},
	{"one of two at a place changes SO_REUSEPORT", flags_of_one_of_two, true},
	{"a claim that holds elsewhere", put_one, true},
	{"a third child", accept_a_third, false},
	{"a third at a place", bind_a_third, false},
	{"connect() of one that is alone", connect_alone, false},
	{"listen() of one that is alone", listen_alone, false},
};

static uint32_t claims_of(const struct port_table *t, struct port_ref *refs, struct port_claim *claims)
{
	uint32_t n = 0;

	for (uint32_t at = 0; port_table_next(t, &at, &refs[n], &claims[n]);)
		n++;
	return n;
}

static void without_a_place_nothing_changes(void **state)
{
	static struct port_claim before[N], after[N];
	static struct port_ref refs[2][N];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(place_cases); i++) {
		const struct place_case *p = &place_cases[i];
		struct crowded k;
		uint32_t n;
		int r;

		crowd(&k, memory);
		memset(before, 0, sizeof(before));
		memset(after, 0, sizeof(after));
		n = claims_of(&k.t, refs[0], before);
		r = p->call(&k);
		if (r != (p->needs_place ? -ENOBUFS : 0))
			fail_msg("%s: %d", p->name, r);
		assert_true(port_table_check(&k.t));
		if (!p->needs_place)
			continue;
		if (claims_of(&k.t, refs[1], after) != n)
			fail_msg("%s: a claim more or less", p->name);
		assert_memory_equal(refs[0], refs[1], n * sizeof(refs[0][0]));
		assert_memory_equal(before, after, n * sizeof(before[0]));
		assert_int_equal(port_table_release(&k.t, k.filler), 0);
		r = p->call(&k);
		if (r != 0)
			fail_msg("%s: %d with a place free", p->name, r);
		assert_true(port_table_check(&k.t));
		port_table_repair(&k.t, NULL, NULL);
		assert_true(port_table_check(&k.t));
	}
}

/* What the port remembers (D3) is what it was, too: it still lets one with SO_REUSEPORT in, whom only the place is wanting. */
static void without_a_place_to_listen_the_port_forgets_nothing(void **state)
{
	const struct port_table_form f = {.n_claims = N, .n_places = 2, .lean = form_lean};
	struct crowded k;

	(void)state;
	assert_int_equal(port_table_form_init(&k.t, memory, port_table_form_size(&f), &f, secret), 0);
	here = addr("10.0.0.1");
	assert_int_equal(port_table_add_local(&k.t, &here, 128), 0);
	for (int i = 0; i < 2; i++)
		taken(&k, &k.bound[i], 5000, P);
	for (int i = 0; i < 2; i++)
		assert_int_equal(port_table_set_flags(&k.t, k.bound[i], A | P, A), 0);
	taken(&k, &k.filler, 5001, 0);
	assert_int_equal(listen_(&k, &k.bound[0]), -ENOBUFS);
	assert_int_equal(bind_(&k.t, want("10.0.0.1", 5000, P), NULL), -ENOBUFS);
	assert_int_equal(port_table_release(&k.t, k.filler), 0);
	assert_int_equal(listen_(&k, &k.bound[0]), 0);
	assert_int_equal(bind_(&k.t, want("10.0.0.1", 5000, P), NULL), -EADDRINUSE);
}

static void a_full_table_empties_like_any(void **state)
{
	struct port_claim c;
	struct port_ref ref;
	struct crowded k;

	(void)state;
	crowd(&k, memory);
	for (uint32_t at = 0; port_table_next(&k.t, &at, &ref, &c);) {
		assert_int_equal(port_table_release(&k.t, ref), 0);
		assert_true(port_table_check(&k.t));
	}
	assert_int_equal(port_table_n_claims(&k.t), 0);
	for (uint16_t i = 0; i < 12; i++)
		assert_int_equal(bind_(&k.t, want("10.0.0.1", (uint16_t)(7000 + i), 0), NULL), 0);
	assert_int_equal(bind_(&k.t, want("10.0.0.1", 8000, 0), NULL), -ENOBUFS);
}

/* More destinations than groups: those without one are asked port by port, and choosing is as exact. */
static void destinations_may_be_more_than_places(void **state)
{
	const struct port_table_form f = {.n_claims = 4 * N, .n_places = 60, .lean = form_lean};
	struct port_want w = want("10.0.0.1", 0, 0);
	struct port_table t;
	struct port_ref ref;
	struct port_claim c;

	(void)state;
	here = addr("10.0.0.1");
	there = addr("10.0.0.9");
	assert_true(port_table_form_size(&f) <= port_table_size(2 * N));
	assert_int_equal(port_table_form_init(&t, memory, port_table_form_size(&f), &f, secret), 0);
	assert_int_equal(port_table_add_local(&t, &here, 128), 0);
	set_range(&t, 5000, 5009);
	for (uint16_t peer = 1; peer <= 100; peer++) {
		uint32_t seen = 0;

		for (int i = 0; i < 10; i++) {
			ref = PORT_REF_NONE;
			assert_int_equal(port_table_connect(&t, &ref, &w, &here, &there, peer, 0, NULL), 0);
			assert_int_equal(port_table_get(&t, ref, &c), 0);
			seen |= 1u << (c.port - 5000);
		}
		assert_int_equal(seen, 0x3ff);
		ref = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &ref, &w, &here, &there, peer, 0, NULL), -EADDRNOTAVAIL);
		assert_true(port_table_check(&t));
	}
	/* Their group becomes free for others; they go without having been in it. */
	for (uint32_t at = 0, n = 0; port_table_next(&t, &at, &ref, &c); n++) {
		assert_int_equal(port_table_release(&t, ref), 0);
		if (n % 7 == 0)
			assert_true(port_table_check(&t));
	}
	assert_true(port_table_check(&t));
}

/* A flow and a hold that came when no group was left: a page that their fellows have later knows nothing of them. */
static void who_found_no_group_is_in_no_page(void **state)
{
	const struct port_table_form f = {.n_claims = 2048, .n_places = 768, .lean = form_lean}; /* three pages */
	void *mem = aligned_alloc(64, (port_table_form_size(&f) + 63) & ~(size_t)63);
	struct port_want w = want("10.0.0.1", 0, 0);
	struct port_addr second = addr("10.0.0.2");
	struct port_ref refs[2], first[768], held, beside, ref;
	struct port_table t;
	struct port_claim c;
	uint16_t n = 0;

	(void)state;
	here = addr("10.0.0.1");
	there = addr("10.0.0.9");
	assert_int_equal(port_table_form_init(&t, mem, port_table_form_size(&f), &f, secret), 0);
	assert_int_equal(port_table_add_local(&t, &here, 128), 0);
	assert_int_equal(port_table_add_local(&t, &second, 128), 0);
	set_range(&t, 5000, 5099);
	/* one group is the local address's, the others these destinations' */
	for (; n < 767; n++) {
		first[n] = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &first[n], &w, &here, &there, (uint16_t)(1000 + n), 0, NULL),
				 0);
	}
	for (int i = 0; i < 2; i++) {
		refs[i] = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &refs[i], &w, &here, &there, 80, 0, NULL), 0);
	}
	assert_int_equal(bind_(&t, want("10.0.0.2", 6000, A), &held), 0);
	assert_int_equal(port_table_release(&t, first[0]), 0);
	assert_int_equal(port_table_release(&t, first[1]), 0);
	for (int i = 0; i < 98; i++) { /* a group, and a page */
		ref = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &ref, &w, &here, &there, 80, 0, NULL), 0);
	}
	ref = PORT_REF_NONE;
	assert_int_equal(port_table_connect(&t, &ref, &w, &here, &there, 80, 0, NULL), -EADDRNOTAVAIL);
	assert_true(port_table_check(&t));
	assert_int_equal(port_table_get(&t, refs[0], &c), 0);
	assert_int_equal(port_table_release(&t, refs[0]), 0);
	assert_true(port_table_check(&t));
	n = c.port;
	assert_int_equal(port_table_connect(&t, &ref, &w, &here, &there, 80, 0, NULL), 0);
	assert_int_equal(port_table_get(&t, ref, &c), 0);
	assert_int_equal(c.port, n); /* the only one that is free */
	assert_int_equal(bind_(&t, want("10.0.0.2", 6000, A | P), &beside), 0);
	for (uint16_t i = 1; i < 80; i++)
		assert_int_equal(bind_(&t, want("10.0.0.2", (uint16_t)(6000 + i), 0), NULL), 0);
	for (int i = 0; i < 2; i++) { /* the second time there is a page for it to stand in */
		assert_int_equal(port_table_release(&t, beside), 0);
		assert_true(port_table_check(&t));
		assert_int_equal(bind_(&t, want("10.0.0.2", 6000, A | P), &beside), 0);
	}
	assert_int_equal(port_table_release(&t, held), 0);
	assert_true(port_table_check(&t));
	for (uint32_t at = 0; port_table_next(&t, &at, &ref, &c);)
		assert_int_equal(port_table_release(&t, ref), 0);
	assert_true(port_table_check(&t));
	free(mem);
}

/* A group's page begins empty: the ports of those who were there before it are learned, and forgotten with them. */
static void a_page_learns_what_came_before_it(void **state)
{
	static struct port_ref refs[2][100];
	struct port_want w = want("10.0.0.1", 0, 0);
	struct port_table t;
	struct port_claim c;
	struct port_ref ref;

	(void)state;
	fresh(&t);
	set_range(&t, 5000, 5099);
	here = addr("10.0.0.1");
	there = addr("10.0.0.9");
	for (int by_bind = 0; by_bind < 2; by_bind++) {
		for (int i = 0; i < 100; i++) {
			refs[by_bind][i] = PORT_REF_NONE;
			assert_int_equal(by_bind ? port_table_bind(&t, PORT_REF_NONE, &w, 0, &refs[1][i], NULL)
						 : port_table_connect(&t, &refs[0][i], &w, &here, &there, 80, 0, NULL),
					 0);
		}
		ref = PORT_REF_NONE;
		assert_int_equal(by_bind ? port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL)
					 : port_table_connect(&t, &ref, &w, &here, &there, 80, 0, NULL),
				 by_bind ? -EADDRINUSE : -EADDRNOTAVAIL);
		assert_true(port_table_check(&t));
		for (int i = 0; i < 100; i++) {
			uint16_t port;

			assert_int_equal(port_table_get(&t, refs[by_bind][i], &c), 0);
			port = c.port;
			assert_int_equal(port_table_release(&t, refs[by_bind][i]), 0);
			assert_true(port_table_check(&t));
			if (i % 5 != 0)
				continue;
			/* the one that went is the one that is free, as long as it is the first */
			ref = PORT_REF_NONE;
			assert_int_equal(by_bind ? port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL)
						 : port_table_connect(&t, &ref, &w, &here, &there, 80, 0, NULL),
					 0);
			assert_int_equal(port_table_get(&t, ref, &c), 0);
			if (i == 0)
				assert_int_equal(c.port, port);
			assert_int_equal(port_table_release(&t, ref), 0);
		}
		assert_int_equal(port_table_n_claims(&t), 0);
	}
}

static void a_form_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		struct port_table_form f;
		int r;
	} rows[] = {
		{{.n_claims = 8, .n_places = 1}, 0},	   {{.n_claims = 8, .n_places = 8, .lean = true}, 0},
		{{.n_claims = 8, .n_places = 9}, -EINVAL}, {{.n_claims = 0}, -EINVAL},
		{{.n_claims = UINT32_MAX / 2}, -EINVAL},
	};
	struct port_table t, u;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(port_table_form_init(&t, memory, port_table_size(N), &rows[i].f, secret), rows[i].r);
		if (rows[i].r < 0)
			continue;
		assert_int_equal(port_table_attach(&u, memory, port_table_size(N)), 0);
		assert_int_equal(u.n_places, rows[i].f.n_places);
		assert_true(u.lean == rows[i].f.lean);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_come_in_the_kernels_order),
		cmocka_unit_test(a_refusal_names_the_one_in_the_way),
		cmocka_unit_test(sharing_remembered_lets_others_in_unasked),
		cmocka_unit_test(udp_asks_the_newest_only),
		cmocka_unit_test(a_stale_handle_is_refused),
		cmocka_unit_test(listening_is_rechecked),
		cmocka_unit_test(unbound_listen_gets_a_port),
		cmocka_unit_test(a_connection_outlives_its_listener_and_holds_the_port),
		cmocka_unit_test(lingering_ends_in_its_own_order),
		cmocka_unit_test(udp_connects_again_and_not_at_all),
		cmocka_unit_test(tcp_goes_back_to_what_bind_left),
		cmocka_unit_test(a_mapped_wildcard_keeps_the_address_it_was_used_on),
		cmocka_unit_test(port_0_is_no_place),
		cmocka_unit_test(every_port_of_a_range_is_found_and_then_it_is_full),
		cmocka_unit_test(flows_share_a_port_between_destinations_only),
		cmocka_unit_test(a_socket_narrows_its_range),
		cmocka_unit_test(the_next_port_cannot_be_told_from_the_last),
		cmocka_unit_test(the_counters_are_dealt_anew),
		cmocka_unit_test(the_nearest_free_port_is_a_good_one),
		cmocka_unit_test(settings_are_checked),
		cmocka_unit_test(a_copy_has_the_same_claims_and_goes_on_alike),
		cmocka_unit_test(damage_is_found_and_mended),
		cmocka_unit_test(repair_keeps_what_it_is_told_to),
		cmocka_unit_test(what_is_no_table_is_refused),
		cmocka_unit_test(what_holds_elsewhere_is_put_in_unasked),
		cmocka_unit_test(without_a_place_nothing_changes),
		cmocka_unit_test(without_a_place_to_listen_the_port_forgets_nothing),
		cmocka_unit_test(a_full_table_empties_like_any),
		cmocka_unit_test(destinations_may_be_more_than_places),
		cmocka_unit_test(who_found_no_group_is_in_no_page),
		cmocka_unit_test(a_page_learns_what_came_before_it),
		cmocka_unit_test(a_form_that_makes_no_sense_is_refused),
	};
	int r;

	memory = aligned_alloc(64, port_table_size(2 * N));
	memory2 = aligned_alloc(64, port_table_size(2 * N));
	r = FORMS_RUN("port table", tests);
	free(memory);
	free(memory2);
	return r;
}
