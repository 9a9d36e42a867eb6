/* tests/unit/test_host_diag.c: what NETLINK_SOCK_DIAG answers, from canned messages: rows, torn answers, nonsense. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "host/diag.h"

/* --- canned messages --- */

struct canned {
	_Alignas(struct nlmsghdr) uint8_t b[4096];
	size_t n;
};

/* A kernel that answers every question with the same list of datagrams, or differently from the k-th question on. */
struct kernel {
	const struct canned *say[8];   /* datagrams; NULL ends */
	int fail[8];		       /* instead of say[i]: this errno */
	const struct canned *after[8]; /* from question number n_torn on */
	int n_torn, n_asked, at;
	uint32_t seq;
	uint8_t asked[256];
	bool lies_about_seq;
};

static struct nlmsghdr *put(struct canned *c, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(c->b + c->n);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_MULTI | flags;
	return nlh;
}

static void done(struct canned *c, struct nlmsghdr *nlh)
{
	c->n += NLMSG_ALIGN(nlh->nlmsg_len);
}

static struct inet_diag_msg *put_row(struct nlmsghdr *nlh, int family, uint8_t state, uint16_t port, uint64_t cookie)
{
	struct inet_diag_msg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->idiag_family = (uint8_t)family;
	m->idiag_state = state;
	m->id.idiag_sport = htons(port);
	m->id.idiag_cookie[0] = (uint32_t)cookie;
	m->id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
	return m;
}

static struct canned row(uint8_t state, uint16_t port, uint64_t cookie, uint16_t flags)
{
	struct canned c = {.n = 0};
	struct nlmsghdr *nlh = put(&c, SOCK_DIAG_BY_FAMILY, flags);

	put_row(nlh, AF_INET, state, port, cookie)->idiag_inode = 77;
	done(&c, nlh);
	return c;
}

static struct canned end(int err)
{
	struct canned c = {.n = 0};
	struct nlmsghdr *nlh = put(&c, NLMSG_DONE, 0);

	*(int *)mnl_nlmsg_put_extra_header(nlh, sizeof(int)) = err;
	done(&c, nlh);
	return c;
}

static ssize_t to_kernel(void *ctx, const void *buf, size_t n)
{
	struct kernel *k = ctx;

	assert_true(n <= sizeof(k->asked));
	memcpy(k->asked, buf, n);
	k->seq = ((const struct nlmsghdr *)buf)->nlmsg_seq;
	k->n_asked++;
	k->at = 0;
	return (ssize_t)n;
}

static ssize_t from_kernel(void *ctx, void *buf, size_t room)
{
	struct kernel *k = ctx;
	bool after = k->n_torn && k->n_asked > k->n_torn;
	const struct canned *c = after ? k->after[k->at] : k->say[k->at];
	int left;

	if (!after && k->fail[k->at])
		return -k->fail[k->at];
	assert_non_null(c); /* asked on after the end */
	assert_true(c->n <= room);
	memcpy(buf, c->b, c->n);
	left = (int)c->n;
	for (struct nlmsghdr *nlh = buf; host_diag_is_whole(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		nlh->nlmsg_seq = k->seq + (k->lies_about_seq && k->at == 0);
	k->at++;
	return (ssize_t)c->n;
}

/* --- what the caller keeps --- */

struct kept {
	uint16_t ports[16];
	int n, n_again, stop_at;
};

static int keep(void *ctx, const struct host_socket *s, const struct host_tcp_info *info)
{
	struct kept *k = ctx;

	(void)info;
	assert_true(k->n < 16);
	k->ports[k->n++] = s->port;
	return k->n == k->stop_at ? 42 : 0;
}

static void again(void *ctx)
{
	struct kept *k = ctx;

	k->n = 0;
	k->n_again++;
}

static int dump(struct kernel *k, struct kept *kept, struct host_notes *notes, uint32_t states, int *ret_stop)
{
	struct host_diag_wire w = {.send = to_kernel, .receive = from_kernel, .ctx = k};
	const struct host_diag_ask ask = {.proto = HOST_TCP, .family = PORT_FAMILY_4, .states = states};
	const struct host_sink sink = {.each = keep, .again = again, .ctx = kept};

	*notes = (struct host_notes){0};
	return host_diag_dump(&w, &ask, &sink, notes, ret_stop);
}

/* --- the question --- */

static void a_question_names_states_and_ports(void **state)
{
	_Alignas(struct nlmsghdr) uint8_t buf[256] = {0};
	const struct nlmsghdr *nlh = (void *)buf;
	struct host_diag_ask ask = {.proto = HOST_TCP,
				    .family = PORT_FAMILY_6,
				    .states = 1u << HOST_BOUND | 1u << HOST_LISTEN | 1u << HOST_SYN_RECV,
				    .ports = {80, 90}};
	const struct inet_diag_req_v2 *req = mnl_nlmsg_get_payload(nlh);
	const struct inet_diag_bc_op *op;
	size_t n;
	const struct nlattr *a;

	(void)state;
	n = host_diag_question(&ask, 5, buf);
	assert_int_equal(n, nlh->nlmsg_len);
	assert_int_equal(nlh->nlmsg_seq, 5);
	assert_int_equal(req->sdiag_family, AF_INET6);
	assert_int_equal(req->sdiag_protocol, IPPROTO_TCP);
	assert_int_equal(req->idiag_ext, 0);
	/* BOUND is the kernel's 13 for TCP and CLOSE for the others; SYN_RECV has two names, too */
	assert_int_equal(req->idiag_states, 1u << 13 | 1u << 10 | 1u << 3 | 1u << 12);
	a = mnl_nlmsg_get_payload_offset(nlh, sizeof(*req));
	assert_int_equal(mnl_attr_get_type(a), INET_DIAG_REQ_BYTECODE);
	assert_int_equal(mnl_attr_get_payload_len(a), 16);
	op = mnl_attr_get_payload(a);
	assert_int_equal(op[0].code, INET_DIAG_BC_S_GE);
	assert_int_equal(op[1].no, 80);
	assert_int_equal(op[0].yes, 8);
	assert_int_equal(op[0].no, 20); /* past the end: no */
	assert_int_equal(op[2].code, INET_DIAG_BC_S_LE);
	assert_int_equal(op[3].no, 90);
	assert_int_equal(op[2].no, 12);

	ask.ports = (struct port_range){0, 0};
	ask.info = true;
	assert_int_equal(host_diag_question(&ask, 6, buf), NLMSG_HDRLEN + sizeof(*req));
	assert_true(req->idiag_ext != 0);
}

static void both_families_are_one_question(void **state)
{
	_Alignas(struct nlmsghdr) uint8_t buf[256] = {0};
	const struct nlmsghdr *nlh = (void *)buf;
	struct host_diag_ask ask = {.proto = HOST_TCP, .states = 1u << HOST_LISTEN, .ports = {80, 80}};
	const struct inet_diag_req *req = mnl_nlmsg_get_payload(nlh);

	(void)state;
	assert_int_equal(host_diag_question(&ask, 5, buf), NLMSG_HDRLEN + sizeof(*req) + MNL_ATTR_HDRLEN + 16);
	assert_int_equal(nlh->nlmsg_type, TCPDIAG_GETSOCK);
	assert_int_equal(req->idiag_states, 1u << 10);
	assert_int_equal(req->idiag_ext, 0);
}

/* --- one row --- */

static void a_row_has_what_the_kernel_told(void **state)
{
	struct canned c = {.n = 0};
	struct nlmsghdr *nlh = put(&c, SOCK_DIAG_BY_FAMILY, 0), *nest_at;
	struct inet_diag_msg *m = put_row(nlh, AF_INET6, 10, 8080, UINT64_C(0x500000007));
	uint32_t memory[9] = {10, 20, 30, 40, 50, 60, 70, 80, 90};
	struct tcp_info t = {.tcpi_rtt = 1234, .tcpi_snd_cwnd = 10, .tcpi_total_retrans = 3};
	struct host_tcp_info info;
	struct host_socket s;
	struct nlattr *nest;

	(void)state;
	m->idiag_uid = 1000;
	m->idiag_inode = 99;
	m->idiag_rqueue = 2;
	m->idiag_wqueue = 128;
	m->id.idiag_if = 4;
	mnl_attr_put_u8(nlh, INET_DIAG_SKV6ONLY, 1);
	mnl_attr_put_u8(nlh, INET_DIAG_SHUTDOWN, 2);
	mnl_attr_put_u32(nlh, INET_DIAG_MARK, 7);
	mnl_attr_put_u64(nlh, 21, 4711);
	mnl_attr_put(nlh, 22, 2, "\x04\x01");
	mnl_attr_put(nlh, INET_DIAG_SKMEMINFO, sizeof(memory), memory);
	mnl_attr_put(nlh, INET_DIAG_INFO, 180, &t); /* shorter than ours */
	mnl_attr_put_strz(nlh, INET_DIAG_CONG, "cubic");
	nest_at = nlh;
	nest = mnl_attr_nest_start(nest_at, INET_DIAG_ULP_INFO);
	mnl_attr_put_strz(nlh, 1, "mptcp");
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_put_u32(nlh, 999, 1); /* of a kernel to come */
	done(&c, nlh);

	assert_int_equal(host_diag_parse(nlh, HOST_TCP, &s, &info), 0);
	assert_int_equal(s.port, 8080);
	assert_int_equal(s.family, PORT_FAMILY_6);
	assert_int_equal(s.state, HOST_LISTEN);
	assert_int_equal(s.uid, 1000);
	assert_int_equal(s.inode, 99);
	assert_int_equal(s.cookie, UINT64_C(0x500000007));
	assert_int_equal(s.rqueue, 2);
	assert_int_equal(s.wqueue, 128);
	assert_int_equal(s.dev, 4);
	assert_int_equal(s.mark, 7);
	assert_int_equal(s.cgroup_id, 4711);
	assert_int_equal(s.is, HOST_IS_V6ONLY | HOST_IS_SHUT_WR | HOST_IS_FREEBIND | HOST_IS_LATE_PORT | HOST_IS_MPTCP);
	assert_int_equal(s.have, HOST_HAS_UID | HOST_HAS_COOKIE | HOST_HAS_CGROUP | HOST_HAS_MARK | HOST_HAS_V6ONLY |
					 HOST_HAS_MEMORY | HOST_HAS_OPTIONS | HOST_HAS_INFO | HOST_HAS_QUEUES |
					 HOST_HAS_BACKLOG);
	assert_int_equal(s.rmem, 10);
	assert_int_equal(s.rcvbuf, 20);
	assert_int_equal(s.sndbuf, 40);
	assert_int_equal(s.wmem, 60);
	assert_int_equal(s.drops, 90);
	assert_int_equal(info.rtt_us, 1234);
	assert_int_equal(info.cwnd, 10);
	assert_int_equal(info.retransmitted, 3);
	assert_string_equal(info.congestion, "cubic");
}

static const struct state_case {
	const char *name;
	uint8_t proto, kernel, want;
	bool has_uid;
} state_cases[] = {
	{"TCP that is bound and idle", HOST_TCP, 7, HOST_BOUND, true},
	{"the number of the filter's bit", HOST_TCP, 13, HOST_BOUND, true},
	{"UDP that is bound", HOST_UDP, 7, HOST_BOUND, true},
	{"UDP that is connected", HOST_UDP, 1, HOST_ESTABLISHED, true},
	{"a request for a connection", HOST_TCP, 12, HOST_SYN_RECV, false},
	{"the same by its older name", HOST_TCP, 3, HOST_SYN_RECV, false},
	{"TIME_WAIT belongs to nobody", HOST_TCP, 6, HOST_TIME_WAIT, false},
};

static void states_have_one_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(state_cases); i++) {
		const struct state_case *c = &state_cases[i];
		struct canned m = row(c->kernel, 1, 2, 0);
		struct host_tcp_info info;
		struct host_socket s;

		print_message("# %s\n", c->name);
		assert_int_equal(host_diag_parse((void *)m.b, c->proto, &s, &info), 0);
		assert_int_equal(s.state, c->want);
		assert_int_equal((s.have & HOST_HAS_UID) != 0, c->has_uid);
	}
}

static void nonsense_is_no_row(void **state)
{
	struct canned good = row(10, 1, 2, 0), bad;
	struct nlmsghdr *nlh = (void *)bad.b;
	struct host_tcp_info info;
	struct host_socket s;

	(void)state;
	bad = good;
	nlh->nlmsg_len -= 8; /* not a whole head */
	assert_int_equal(host_diag_parse(nlh, HOST_TCP, &s, &info), -EBADMSG);
	bad = good;
	nlh->nlmsg_type = NLMSG_NOOP;
	assert_int_equal(host_diag_parse(nlh, HOST_TCP, &s, &info), -EBADMSG);
	bad = good;
	((struct inet_diag_msg *)mnl_nlmsg_get_payload(nlh))->idiag_family = AF_UNIX;
	assert_int_equal(host_diag_parse(nlh, HOST_TCP, &s, &info), -EBADMSG);
	bad = good;
	((struct inet_diag_msg *)mnl_nlmsg_get_payload(nlh))->idiag_state = 200;
	assert_int_equal(host_diag_parse(nlh, HOST_TCP, &s, &info), -EBADMSG);
}

/* Attributes that are too short, or whose length leads out of the message. */
static void short_attributes_are_left_out(void **state)
{
	static const uint16_t types[] =
		{INET_DIAG_SHUTDOWN,  INET_DIAG_SKV6ONLY, INET_DIAG_MARK,    21, 22, INET_DIAG_INFO,
		 INET_DIAG_SKMEMINFO, INET_DIAG_CONG,	  INET_DIAG_ULP_INFO};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(types); i++)
		for (int lies = 0; lies < 2; lies++) {
			struct canned c = {.n = 0};
			struct nlmsghdr *nlh = put(&c, SOCK_DIAG_BY_FAMILY, 0);
			struct host_tcp_info info;
			struct host_socket s;
			struct nlattr *a;

			put_row(nlh, AF_INET, 10, 1, 2);
			a = mnl_nlmsg_get_payload_tail(nlh);
			mnl_attr_put(nlh, types[i], 0, "");
			if (lies)
				a->nla_len = 4000;
			assert_int_equal(host_diag_parse(nlh, HOST_TCP, &s, &info), 0);
			assert_int_equal(s.is, 0);
			assert_int_equal(s.have &
						 (HOST_HAS_MARK | HOST_HAS_CGROUP | HOST_HAS_OPTIONS | HOST_HAS_V6ONLY),
					 0);
		}
}

/* --- whole answers --- */

static void an_answer_is_all_its_datagrams(void **state)
{
	struct canned a = row(10, 80, 1, 0), b = row(7, 81, 2, 0), e = end(0);
	struct kernel k = {.say = {&a, &b, &e}};
	struct kept kept = {0};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
	assert_int_equal(kept.n, 2);
	assert_int_equal(kept.ports[0], 80);
	assert_int_equal(kept.ports[1], 81);
	assert_int_equal(notes.n_bad + notes.n_repeats + notes.torn, 0);
}

static void what_was_not_asked_for_is_left_out(void **state)
{
	struct canned a = row(10, 80, 1, 0), b = row(7, 81, 2, 0), e = end(0);
	struct kernel k = {.say = {&a, &b, &e}};
	struct kept kept = {0};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, 1u << HOST_BOUND, &stop), 0);
	assert_int_equal(kept.n, 1);
	assert_int_equal(kept.ports[0], 81);
}

static void a_torn_answer_is_asked_for_again(void **state)
{
	struct canned a = row(10, 80, 1, NLM_F_DUMP_INTR), b = row(10, 90, 1, 0), e = end(0);
	struct kernel k = {.say = {&a, &e}, .after = {&b, &e}, .n_torn = 2};
	struct kept kept = {0};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
	assert_int_equal(k.n_asked, 3);
	assert_int_equal(kept.n_again, 2);
	assert_int_equal(kept.n, 1);
	assert_int_equal(kept.ports[0], 90);
	assert_int_equal(notes.n_repeats, 2);
	assert_false(notes.torn);
}

static void an_overrun_is_asked_for_again(void **state)
{
	struct canned a = row(10, 80, 1, 0), b = row(10, 90, 1, 0), e = end(0);
	struct kernel k = {.say = {&a}, .fail = {0, ENOBUFS}, .after = {&b, &e}, .n_torn = 1};
	struct kept kept = {0};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
	assert_int_equal(k.n_asked, 2);
	assert_int_equal(kept.n, 1);
	assert_int_equal(kept.ports[0], 90);
}

static void an_answer_that_stays_torn_is_kept_and_marked(void **state)
{
	struct canned a = row(10, 80, 1, NLM_F_DUMP_INTR), e = end(0);
	struct kernel k = {.say = {&a, &e}};
	struct kept kept = {0};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
	assert_int_equal(k.n_asked, HOST_DIAG_REPEATS + 1);
	assert_int_equal(kept.n, 1);
	assert_true(notes.torn);
}

static void a_kernel_without_the_protocol_says_so(void **state)
{
	struct canned e = end(-ENOENT), error = {.n = 0};
	struct kernel k = {.say = {&e}};
	struct kept kept = {0};
	struct host_notes notes;
	struct nlmsghdr *nlh = put(&error, NLMSG_ERROR, 0);
	struct nlmsgerr *err = mnl_nlmsg_put_extra_header(nlh, sizeof(*err));
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), -ENOENT);
	err->error = -EOPNOTSUPP;
	done(&error, nlh);
	k = (struct kernel){.say = {&error}};
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), -EOPNOTSUPP);
	k = (struct kernel){.fail = {EPERM}};
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), -EPERM);
}

static void the_caller_may_stop(void **state)
{
	struct canned a = row(10, 80, 1, 0), e = end(0);
	struct kernel k = {.say = {&a, &a, &a, &e}};
	struct kept kept = {.stop_at = 2};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
	assert_int_equal(stop, 42);
	assert_int_equal(kept.n, 2);
}

/* A length that is negative as an int: libmnl 1.0.4 would take it (found by fuzz_host). */
static void a_length_that_leads_out_ends_the_datagram(void **state)
{
	static const uint32_t lengths[] = {0, 15, 100000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct canned a = row(10, 80, 1, 0), b = row(10, 81, 1, 0), e = end(0);
		struct kernel k = {.say = {&a, &e}};
		struct kept kept = {0};
		struct host_notes notes;
		int stop;

		memcpy(a.b + a.n, b.b, b.n);
		((struct nlmsghdr *)(a.b + a.n))->nlmsg_len = lengths[i];
		a.n += b.n;
		assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
		assert_int_equal(kept.n, 1);
	}
}

static void answers_to_others_and_nonsense_are_skipped(void **state)
{
	struct canned stale = row(10, 70, 1, 0), bad = row(200, 71, 1, 0), a = row(10, 80, 1, 0), e = end(0);
	struct kernel k = {.say = {&stale, &bad, &a, &e}, .lies_about_seq = true};
	struct kept kept = {0};
	struct host_notes notes;
	int stop;

	(void)state;
	assert_int_equal(dump(&k, &kept, &notes, ~0u, &stop), 0);
	assert_int_equal(kept.n, 1);
	assert_int_equal(kept.ports[0], 80);
	assert_int_equal(notes.n_bad, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_names_states_and_ports),
		cmocka_unit_test(both_families_are_one_question),
		cmocka_unit_test(a_row_has_what_the_kernel_told),
		cmocka_unit_test(states_have_one_name),
		cmocka_unit_test(nonsense_is_no_row),
		cmocka_unit_test(short_attributes_are_left_out),
		cmocka_unit_test(an_answer_is_all_its_datagrams),
		cmocka_unit_test(what_was_not_asked_for_is_left_out),
		cmocka_unit_test(a_torn_answer_is_asked_for_again),
		cmocka_unit_test(an_overrun_is_asked_for_again),
		cmocka_unit_test(an_answer_that_stays_torn_is_kept_and_marked),
		cmocka_unit_test(a_kernel_without_the_protocol_says_so),
		cmocka_unit_test(the_caller_may_stop),
		cmocka_unit_test(a_length_that_leads_out_ends_the_datagram),
		cmocka_unit_test(answers_to_others_and_nonsense_are_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
