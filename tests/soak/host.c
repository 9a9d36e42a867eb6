/* tests/soak/host.c: stacks, and what must be so of each at any time. */
#include "soak.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

_Noreturn void soak_fail(const char *fmt, ...)
{
	va_list ap;

	printf("FAIL ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void must(const char *what, int r)
{
	EXPECT(r >= 0, "setup: %s: %s", what, strerror(-r));
}

void soak_boot(struct soak_host *h, const char *name, const struct berth_stack_config *config, uint64_t now_ns)
{
	struct rng r;

	*h = (struct soak_host){.config = *config, .book = h->book};
	rng_init_stream(&r, 1, name);
	h->config.struct_size = sizeof(h->config);
	for (size_t i = 0; i < sizeof(h->config.secret); i++)
		h->config.secret[i] = (uint8_t)rng_u64(&r);
	h->len_bytes = berth_stack_size(&h->config);
	EXPECT(h->len_bytes, "setup: %s: the configuration makes no sense", name);
	h->memory =
		mmap(NULL, h->len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	EXPECT(h->memory != MAP_FAILED, "setup: no memory");
	must("berth_stack_init", berth_stack_init(&h->st, h->memory, h->len_bytes, &h->config, now_ns));
}

void soak_free(struct soak_host *h)
{
	munmap(h->memory, h->len_bytes);
}

uint16_t soak_iface(struct soak_host *h, enum berth_link link, const uint8_t mac[6], uint32_t flags)
{
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = (uint8_t)link,
				.flags = flags,
				.mtu_bytes = 1500,
				.name = "soak"};
	uint16_t number = 0;

	memcpy(f.mac, mac, sizeof(f.mac));
	must("berth_iface_add", berth_iface_add(h->st, &f, &number));
	return number;
}

void soak_address(struct soak_host *h, uint16_t iface, const struct berth_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	must("berth_addr_add", berth_addr_add(h->st, iface, a, memcmp(a->ip, mapped, sizeof(mapped)) == 0 ? 24 : 64));
}

berth_sock soak_listen(struct soak_host *h, uint16_t port, unsigned backlog)
{
	struct berth_addr any = {.port = port};
	berth_sock s = 0;

	must("open", berth_sock_open(h->st, BERTH_TCP, BERTH_IPV6, UINT64_MAX, &s));
	must("reuse", berth_sock_set(h->st, s, BERTH_REUSEADDR, 1)); /* also where old connections wait: the children */
	must("bind", berth_sock_bind(h->st, s, &any));
	must("listen", berth_sock_listen(h->st, s, backlog));
	return s;
}

struct berth_addr soak_addr(int family, uint8_t net, uint8_t host, uint16_t port)
{
	struct berth_addr a = berth_addr4(10, net, 0, host, port);

	if (family == 6)
		a = (struct berth_addr){.ip = {0xfd, [3] = net, [15] = host}, .port = port};
	return a;
}

static struct berth_usage usage_of(const struct soak_host *h)
{
	struct berth_usage u = {.struct_size = sizeof(u)};

	must("berth_stack_usage", berth_stack_usage(h->st, &u));
	return u;
}

void soak_settled(struct soak_host *h)
{
	h->at_start = usage_of(h);
}

void soak_look(const struct soak_host *h, const char *where)
{
	struct berth_usage u = usage_of(h);

#define WITHIN(x)                                                                                               \
	EXPECT(u.x.used <= u.x.limit && u.x.peak <= u.x.limit, "%s: memory: %s: %u of %u", where, #x, u.x.peak, \
	       u.x.limit);
	BERTH_USAGE(WITHIN)
#undef WITHIN
	EXPECT(berth_stack_check(h->st), "%s: berth_stack_check()", where);
}

void soak_expect_back(const struct soak_host *h, const char *where)
{
	struct berth_usage u;

	(void)berth_stack_tick(h->st, 0, 1); /* what the last output() gave out is free from now on */
	u = usage_of(h);
#define BACK(x)                                                                                                       \
	EXPECT(u.x.used <= h->at_start.x.used, "%s: memory: %s: %u at the end, %u at the start", where, #x, u.x.used, \
	       h->at_start.x.used);
	BERTH_USAGE(BACK)
#undef BACK
	EXPECT(u.n_ports == h->at_start.n_ports, "%s: ports: %u claims at the end, %u at the start", where, u.n_ports,
	       h->at_start.n_ports);
	EXPECT(u.n_orphans == 0 && u.n_frag_bytes == 0 && h->n_closing == 0,
	       "%s: %u orphans, %u octets of fragments, %llu sockets that did not say they are closed", where,
	       u.n_orphans, u.n_frag_bytes, (unsigned long long)h->n_closing);
	soak_look(h, where);
}

struct berth_counters soak_counters(const struct soak_host *h)
{
	struct berth_counters c = {.struct_size = sizeof(c)};

	must("berth_stack_counters", berth_stack_counters(h->st, &c));
	return c;
}
