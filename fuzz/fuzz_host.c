/* fuzz/fuzz_host.c: what host/ reads may be anything: netlink messages, lines of /proc/net, paths of cgroups, reserved ports.
 *
 * The first octet says as what the others are read. Checked besides the sanitizers: text ends within its array, a row
 * is one that the rest of berth takes, an answer is asked for again a bounded number of times.
 */
#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "host/cgroup.h"
#include "host/diag.h"
#include "host/settings.h"
#include "host/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void check_row(const struct host_socket *s)
{
	struct port_claim c;

	ASSERT(s->state > 0 && s->state < HOST_NSTATES && s->state != HOST_CLOSE && s->state != HOST_NEW_SYN_RECV);
	ASSERT(s->proto < HOST_NPROTOS && (s->family == PORT_FAMILY_4 || s->family == PORT_FAMILY_6));
	ASSERT(s->timer <= HOST_TIMER_PROBE);
	ASSERT(host_socket_claim(s, 0, &c) == (s->proto != HOST_RAW));
}

/* --- netlink: the input is every datagram's, cut where its octets say --- */

struct kernel {
	const uint8_t *data;
	size_t len, at;
	uint32_t seq;
	int n_asked, n_rows;
};

static ssize_t ask(void *ctx, const void *buf, size_t n)
{
	struct kernel *k = ctx;

	ASSERT(n <= 256 && mnl_nlmsg_ok(buf, (int)n));
	k->seq = ((const struct nlmsghdr *)buf)->nlmsg_seq;
	k->at = 0;
	ASSERT(++k->n_asked <= HOST_DIAG_REPEATS + 1);
	return (ssize_t)n;
}

static ssize_t answer(void *ctx, void *buf, size_t room)
{
	struct kernel *k = ctx;
	size_t n = k->len - k->at;
	struct nlmsghdr *nlh;
	int left;

	if (n == 0) {
		nlh = mnl_nlmsg_put_header(buf);
		nlh->nlmsg_type = NLMSG_DONE;
		nlh->nlmsg_seq = k->seq;
		return (ssize_t)nlh->nlmsg_len;
	}
	if (k->data[k->at] == 0xee) { /* the kernel was faster than we */
		k->at = k->len;
		return -ENOBUFS;
	}
	n = n > 200 ? 200 : n;
	n = n > room ? room : n;
	memcpy(buf, k->data + k->at, n);
	k->at += n;
	left = (int)n;
	for (nlh = buf; host_diag_is_whole(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		nlh->nlmsg_seq = k->seq;
	return (ssize_t)n;
}

static int each(void *ctx, const struct host_socket *s, const struct host_tcp_info *info)
{
	struct kernel *k = ctx;

	check_row(s);
	ASSERT(!info || memchr(info->congestion, 0, sizeof(info->congestion)));
	return ++k->n_rows > 10000 ? 1 : 0;
}

static void again(void *ctx)
{
	((struct kernel *)ctx)->n_rows = 0;
}

static void as_netlink(const uint8_t *data, size_t len)
{
	struct kernel k = {.data = data, .len = len};
	struct host_diag_wire w = {.send = ask, .receive = answer, .ctx = &k};
	const struct host_diag_ask question = {.proto = HOST_TCP, .states = ~0u, .info = true};
	const struct host_sink sink = {.each = each, .again = again, .ctx = &k};
	struct host_notes notes = {0};
	int stop, r = host_diag_dump(&w, &question, &sink, &notes, &stop);

	ASSERT(r <= 0 && r > -4096);
}

/* --- text --- */

static void check_place(const struct host_place *p)
{
	ASSERT(memchr(p->unit, 0, sizeof(p->unit)) && memchr(p->slice, 0, sizeof(p->slice)));
	ASSERT(memchr(p->container, 0, sizeof(p->container)) && memchr(p->pod, 0, sizeof(p->pod)));
	ASSERT((p->manager == HOST_MANAGER_NONE) == !p->unit[0]);
	ASSERT(p->runtime < HOST_NRUNTIMES);
	ASSERT(!p->container[0] || p->runtime != HOST_RUNTIME_NONE);
}

static void as_text(unsigned kind, const char *text)
{
	char path[HOST_CGROUP_PATH_MAX], name[80];
	static uint64_t bits[1024];
	struct host_socket s;
	struct host_place p;

	switch (kind) {
	case 1:
		if (host_text_parse(text, HOST_TCP, PORT_FAMILY_4, &s) == 0)
			check_row(&s);
		if (host_text_parse(text, HOST_UDP, PORT_FAMILY_6, &s) == 0)
			check_row(&s);
		break;
	case 2:
		host_place_parse(text, &p);
		check_place(&p);
		ASSERT(strlen(host_place_short(&p, name)) < sizeof(name));
		break;
	case 3:
		if (host_cgroup_choose(text, path, &p) == 0) {
			check_place(&p);
			ASSERT(memchr(path, 0, sizeof(path)));
		}
		break;
	default:
		memset(bits, 0, sizeof(bits));
		(void)!host_reserved_parse(text, bits);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	char text[4096];

	if (len_bytes < 1 || len_bytes > sizeof(text))
		return 0;
	if (data[0] % 5 == 0) {
		as_netlink(data + 1, len_bytes - 1);
		return 0;
	}
	memcpy(text, data + 1, len_bytes - 1);
	text[len_bytes - 1] = '\0';
	as_text(data[0] % 5, text);
	return 0;
}
