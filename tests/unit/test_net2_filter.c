/* tests/unit/test_net2_filter.c: what the filter of the second net answers, by a reading of its program.
 *
 * The little machine below runs the instructions as the kernel does, and notes what they look at. So beside the answers it
 * shows the promise that matters most: for a call that no rule names nothing but its number and architecture is looked
 * at, which is what lets the kernel (seccomp_cache_prepare()) keep the answer in a bitmap and never run the program.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "net2/filter.h"
#include "network/pass.h"

#if defined(__x86_64__)
#define OURS AUDIT_ARCH_X86_64
#define OTHER AUDIT_ARCH_I386
#define OTHER_SOCKET 359
#else
#define OURS AUDIT_ARCH_AARCH64
#define OTHER AUDIT_ARCH_ARM
#define OTHER_SOCKET 281
#endif
#define STOP SECCOMP_RET_USER_NOTIF
#define PASS SECCOMP_RET_ALLOW
#define NONE (SECCOMP_RET_ERRNO | ENOSYS)

static struct sock_filter program[FILTER_MAX];
static unsigned n_program;

/* ret_args: an argument was looked at. */
static uint32_t answer(const struct seccomp_data *d, bool *ret_args)
{
	uint32_t a = 0, x = 0;

	*ret_args = false;
	for (unsigned pc = 0; pc < n_program; pc++) {
		const struct sock_filter *f = &program[pc];
		bool yes;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(f->k + 4 <= sizeof(*d) && f->k % 4 == 0);
			memcpy(&a, (const uint8_t *)d + f->k, 4);
			*ret_args |= f->k >= offsetof(struct seccomp_data, instruction_pointer);
			break;
		case BPF_ALU | BPF_ADD | BPF_K:
			a += f->k;
			break;
		case BPF_MISC | BPF_TAX:
			x = a;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JEQ | BPF_X:
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = f->code == (BPF_JMP | BPF_JGE | BPF_K)   ? a >= f->k
			      : f->code == (BPF_JMP | BPF_JEQ | BPF_K) ? a == f->k
								       : a == x;
			pc += yes ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			fail_msg("instruction %u has code %#x", pc, f->code);
		}
	}
	fail_msg("the program has no end");
	return 0;
}

struct row {
	const char *name;
	int nr;
	uint64_t args[6];
	uint32_t want;
	bool ours, other; /* with our value in the sixth register; of the other architecture */
};

static const struct row rows[] = {
	{"an IPv4 socket", SYS_socket, {AF_INET, SOCK_STREAM}, STOP},
	{"an IPv6 socket", SYS_socket, {AF_INET6, SOCK_DGRAM}, STOP},
	{"an AF_UNIX socket", SYS_socket, {AF_UNIX, SOCK_STREAM}, PASS},
	{"a netlink socket", SYS_socket, {AF_NETLINK, SOCK_RAW}, PASS},
	{"the shim's own IPv4 socket", SYS_socket, {AF_INET, SOCK_STREAM}, PASS, .ours = true},
	{"bind", SYS_bind, {3, 0x1000, 16}, STOP},
	{"bind of an IPv6 address", SYS_bind, {3, 0x1000, 28}, STOP},
	{"bind of an AF_UNIX address", SYS_bind, {3, 0x1000, 110}, PASS},
	{"bind of a netlink address", SYS_bind, {3, 0x1000, 12}, PASS},
	{"the shim's bind", SYS_bind, {3, 0x1000, 16}, PASS, .ours = true},
	{"connect", SYS_connect, {3, 0x1000, 16}, STOP},
	{"connect of the name service cache", SYS_connect, {3, 0x1000, 110}, PASS},
	{"the shim's connect", SYS_connect, {3, 0x1000, 16}, PASS, .ours = true},
	{"listen", SYS_listen, {3, 5}, STOP},
	{"the shim's listen", SYS_listen, {3, 5}, PASS, .ours = true},
	{"the shim's listen on descriptor -1", SYS_listen, {UINT64_MAX, 5}, PASS, .ours = true},
	{"accept4", SYS_accept4, {3}, STOP},
	{"the shim's accept4", SYS_accept4, {3}, PASS, .ours = true},
	{"getsockname", SYS_getsockname, {3}, STOP},
	{"getpeername", SYS_getpeername, {3}, STOP},
	{"getsockopt", SYS_getsockopt, {3}, STOP},
	{"the shim's getsockopt", SYS_getsockopt, {3}, PASS, .ours = true},
	{"setsockopt", SYS_setsockopt, {3}, STOP},
	{"a question to the supervisor", SYS_setsockopt, {UINT64_MAX, 0x62727468}, STOP},
	{"shutdown", SYS_shutdown, {3}, STOP},
	{"sendmsg", SYS_sendmsg, {3}, STOP},
	{"recvmsg", SYS_recvmsg, {3}, STOP},
	{"the shim's recvmsg", SYS_recvmsg, {3}, PASS, .ours = true},
	{"sendmmsg", SYS_sendmmsg, {3}, STOP},
	{"recvmmsg", SYS_recvmmsg, {3}, STOP},
	{"send", SYS_sendto, {3, 0x1000, 5}, PASS},
	{"sendto", SYS_sendto, {3, 0x1000, 5, 0, 0x2000, 16}, STOP},
	{"sendto with an address high up", SYS_sendto, {3, 0x1000, 5, 0, UINT64_C(0x7f0000000000), 16}, STOP},
	{"sendto a netlink address", SYS_sendto, {3, 0x1000, 5, 0, 0x2000, 12}, PASS},
	{"recv", SYS_recvfrom, {3, 0x1000, 5}, PASS},
	{"recvfrom", SYS_recvfrom, {3, 0x1000, 5, 0, 0x2000, 0x3000}, STOP},
	{"recvfrom with room high up", SYS_recvfrom, {3, 0x1000, 5, 0, UINT64_C(0x7f0000000000), 12}, STOP},
	{"io_uring_setup", 425, {8}, NONE},
	{"the other architecture's socket", OTHER_SOCKET, {AF_INET}, STOP, .other = true},
	{"its io_uring_setup", 425, {8}, NONE, .other = true},
	{"its getpid", 20, {0}, PASS, .other = true},
#if defined(__x86_64__)
	{"its socketcall", 102, {1}, STOP, .other = true},
	{"x32's socket", 0x40000000 | SYS_socket, {AF_INET}, NONE},
	{"x32's read", 0x40000000, {0}, NONE},
#endif
};

static void one_call(void **state)
{
	const struct row *r = *state;
	struct seccomp_data d = {.nr = r->nr, .arch = r->other ? OTHER : OURS};
	bool args;

	memcpy(d.args, r->args, sizeof(d.args));
	if (r->ours)
		d.args[5] = (uint64_t)pass_value(r->nr, (long)r->args[0]);
	assert_int_equal(answer(&d, &args), r->want);
	if (!r->ours)
		return;
	/* The same value is good for no other descriptor and no other call. */
	d.args[0] = r->nr == SYS_socket ? AF_INET6 : r->args[0] + 1;
	assert_int_equal(answer(&d, &args), STOP);
	d.args[0] = r->args[0];
	d.nr = r->nr == SYS_listen ? SYS_shutdown : SYS_listen;
	assert_int_equal(answer(&d, &args), STOP);
}

/* Half of the value, in either half of the register, is not the value. */
static void half_a_value(void **state)
{
	struct seccomp_data d = {.nr = SYS_listen, .arch = OURS, .args = {3}};
	uint64_t v = (uint64_t)pass_value(SYS_listen, 3);
	bool args;

	(void)state;
	d.args[5] = v & UINT32_MAX;
	assert_int_equal(answer(&d, &args), STOP);
	d.args[5] = v & ~(uint64_t)UINT32_MAX;
	assert_int_equal(answer(&d, &args), STOP);
}

static void all_else_is_not_looked_at(void **state)
{
	unsigned n_named = 0;

	(void)state;
	for (int nr = 0; nr < 1024; nr++) {
		struct seccomp_data d = {.nr = nr, .arch = OURS};
		bool args, named = nr == 425;
		uint32_t a;

		for (size_t i = 0; i < COUNT_OF(rows); i++)
			named |= !rows[i].other && rows[i].nr == nr;
#ifdef SYS_accept
		named |= nr == SYS_accept;
#endif
		a = answer(&d, &args);
		n_named += named;
		if (named)
			continue;
		assert_int_equal(a, PASS);
		assert_false(args);
	}
	assert_int_equal(n_named, 18); /* 17 socket calls and io_uring_setup: a new rule is thought about here */
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(rows) + 2];

	n_program = filter_make(program);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tests[i] = (struct CMUnitTest){rows[i].name, one_call, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	tests[COUNT_OF(rows)] = (struct CMUnitTest)cmocka_unit_test(half_a_value);
	tests[COUNT_OF(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(all_else_is_not_looked_at);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
