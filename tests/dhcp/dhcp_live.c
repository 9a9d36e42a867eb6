/* tests/dhcp/dhcp_live.c: the DHCP client and SLAAC over berth's own stack and a TAP, against dnsmasq on Linux.
 *
 * In a network namespace of its own: a TAP with 10.77.0.1 and fd77::1 on the kernel's side, dnsmasq that gives 10.77.0.50 to .60 and advertises
 * fd77::/64, our stack on the other side. Shown: a lease is got, its address answers the kernel's ping, it is given back and the server has noted it;
 * and by the advertisements an address of fd77::/64 is made that answers, too. Exit code 77 where there is no root, TAP or dnsmasq.
 *
 * Nothing is timed: each step is waited for, a minute at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <berth/dhcp.h>

#include "link/tap.h"
#include "stack/stack.h"

#define SECOND_NS UINT64_C(1000000000)
#define PATIENCE_NS (60 * SECOND_NS)

static struct tap tap;
static struct berth_stack *st;
static struct berth_dhcp *client;
static berth_sock sock;
static uint16_t iface;
static pid_t server = -1;
static char folder[] = "/tmp/berth-dhcp-XXXXXX";
static int n_bound, n_lost;
static struct berth_dhcp_lease lease;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void clean_up(void)
{
	char command[128];

	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		fprintf(stderr, "%s is still there\n", folder);
}

_Noreturn static void end(int code, const char *why)
{
	clean_up();
	printf("%s\n", why);
	exit(code);
}

#define WANT(e)                             \
	do {                                \
		if (!(e))                   \
			end(1, "FAIL " #e); \
	} while (0)

static int run(const char *command)
{
	int r = system(command);

	return r < 0 ? -1 : WEXITSTATUS(r);
}

/* --- the world --- */

static void start_server(void)
{
	char leases[64];
	const char *argv[] = {"dnsmasq",
			      "--keep-in-foreground",
			      "--port=0",
			      "--interface=tap0",
			      "--bind-interfaces",
			      "--user=root",
			      "--pid-file=",
			      "--conf-file=/dev/null",
			      "--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,2m",
			      "--dhcp-option=option:domain-name,lan.example",
			      "--dhcp-authoritative",
			      "--no-ping",
			      "--enable-ra",
			      "--dhcp-range=fd77::,ra-only,64,10m",
			      leases,
			      NULL};

	snprintf(leases, sizeof(leases), "--dhcp-leasefile=%s/leases", folder);
	server = fork();
	if (server == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
}

static void make_world(void)
{
	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0)
		end(77, "SKIP needs root and /dev/net/tun");
	if (run("command -v dnsmasq >/dev/null && command -v ip >/dev/null && command -v ping >/dev/null") != 0)
		end(77, "SKIP needs dnsmasq, ip and ping");
	if (unshare(CLONE_NEWNET) != 0 || run("ip link set lo up && ip tuntap add dev tap0 mode tap") != 0)
		end(77, "SKIP needs a network namespace");
	WANT(mkdtemp(folder));
	WANT(run("ip link set tap0 up && ip addr add 10.77.0.1/24 dev tap0 && ip -6 addr add fd77::1/64 dev tap0 nodad") ==
	     0);
	WANT(tap_open("tap0", BERTH_LINK_ETHERNET, TAP_OFFLOAD, &tap) == 0);
	start_server();
}

static void make_stack(void)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .n_conns = 8,
				       .n_udp = 8,
				       .secret = "a live test has no secrets at al"};
	struct berth_iface f = {.struct_size = sizeof(f),
				.link = BERTH_LINK_ETHERNET,
				.mac = {2, 0, 0, 0, 0, 0x99},
				.mtu_bytes = 1500,
				.name = "tap"};
	struct berth_dhcp_config d = {.struct_size = sizeof(d),
				      .secret = "not random here",
				      .hostname = "boat",
				      .mac = {2, 0, 0, 0, 0, 0x99}};
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 68);
	size_t size = (berth_stack_size(&c) + 63) & ~(size_t)63;
	void *memory = aligned_alloc(64, size);

	WANT(memory);
	memset(memory, 0, size);
	f.flags = BERTH_IF_ROUTER_ADV;
	WANT(berth_stack_init(&st, memory, size, &c, now()) == 0 && berth_iface_add(st, &f, &iface) == 0);
	WANT(berth_sock_open(st, BERTH_UDP, BERTH_IPV4, 0, &sock) == 0);
	WANT(berth_sock_set(st, sock, BERTH_BROADCAST, 1) == 0 &&
	     berth_sock_set(st, sock, BERTH_BIND_IFACE, iface + 1u) == 0);
	WANT(berth_sock_bind(st, sock, &any) == 0);
	memory = calloc(1, berth_dhcp_size());
	WANT(memory && berth_dhcp_init(&client, memory, berth_dhcp_size(), &d, now()) == 0);
}

/* --- what a program with a DHCP client does, once round --- */

static struct berth_addr addr4(uint32_t a, uint16_t port)
{
	return berth_addr4((uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a, port);
}

static void dhcp_messages(void)
{
	static uint8_t data[1500];
	struct berth_dgram in = {.data = data, .len = sizeof(data)};
	struct berth_dhcp_tx tx;

	if (berth_sock_udp_recv(st, sock, &in, 1) == 1)
		berth_dhcp_input(client, data, in.len < sizeof(data) ? in.len : sizeof(data), now());
	while (berth_dhcp_output(client, &tx, now())) {
		struct berth_dgram out = {.data = tx.data, .len = tx.len, .peer = addr4(tx.dst, 67), .iface = iface};

		WANT(berth_sock_udp_send(st, sock, &out, 1) == 1);
	}
}

static void dhcp_events(void)
{
	struct berth_dhcp_event ev;

	while (berth_dhcp_event(client, &ev)) {
		struct berth_addr a = addr4(ev.lease.addr, 0);

		if (ev.what == BERTH_DHCP_BOUND) {
			n_bound++;
			lease = ev.lease;
			WANT(berth_addr_add(st, iface, &a, ev.lease.prefix_bits) == 0);
		} else if (ev.what == BERTH_DHCP_LOST) {
			n_lost++;
			WANT(berth_addr_remove(st, iface, &a) == 0);
		}
	}
}

static void one_round(void)
{
	struct berth_tx tx[16];
	struct berth_rx rx[16];
	struct pollfd p = {.fd = tap.fd, .events = POLLIN};
	unsigned n;
	int got;

	dhcp_messages();
	while ((n = berth_stack_output(st, tx, 16, now())) > 0)
		(void)tap_write(&tap, tx, n);
	dhcp_events(); /* after what was to be said from the address that may go now */
	(void)poll(&p, 1, 10);
	got = tap_read(&tap, iface, rx, 16);
	berth_stack_input(st, rx, got > 0 ? (unsigned)got : 0, now());
	berth_stack_tick(st, now(), 256);
}

/* Until it is so. */
static void await(bool (*so)(void), const char *what)
{
	uint64_t until = now() + PATIENCE_NS;

	while (!so()) {
		if (now() > until)
			end(1, what);
		one_round();
	}
	printf("ok %s\n", what);
}

static bool bound(void)
{
	return n_bound == 1;
}

/* A ping of the kernel's, as a process beside us, until one is answered. */
static pid_t ping = -1;
static char ping_dst[64];
static bool answered(void)
{
	int status;

	if (ping > 0 && waitpid(ping, &status, WNOHANG) == ping) {
		ping = -1;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return true;
	}
	if (ping < 0) {
		ping = fork();
		if (ping == 0) {
			int null = open("/dev/null", O_WRONLY);

			dup2(null, 1);
			dup2(null, 2);
			execlp("ping", "ping", "-c", "1", "-W", "2", ping_dst, (char *)NULL);
			_exit(127);
		}
	}
	return false;
}

static bool has_address6(void)
{
	struct berth_addr_info i = {.struct_size = sizeof(i)};
	uint32_t cursor = 0;

	while (berth_addr_next(st, &cursor, &i)) {
		const uint8_t *b = i.addr.ip;
		int at = 0;

		if (b[0] != 0xfd || b[1] != 0x77 || (i.flags & BERTH_ADDR_TENTATIVE))
			continue;
		for (int k = 0; k < 16; k++)
			at += sprintf(ping_dst + at, "%02x%s", b[k], k % 2 && k < 15 ? ":" : "");
		return true;
	}
	return false;
}

/* dnsmasq's file of leases; does it speak of our address? */
static bool noted(void)
{
	char command[160];

	snprintf(command, sizeof(command), "grep -q '10.77.0.%u boat' %s/leases 2>/dev/null", lease.addr & 0xff,
		 folder);
	return run(command) == 0;
}

static bool given_back(void)
{
	return n_lost == 1 && !noted();
}

int main(void)
{
	make_world();
	make_stack();
	berth_dhcp_start(client, now());
	await(bound, "dnsmasq gives an address");
	WANT(lease.addr >= 0x0a4d0032 && lease.addr <= 0x0a4d003c && lease.prefix_bits == 24 &&
	     lease.server == 0x0a4d0001);
	WANT(strcmp(lease.domain, "lan.example") == 0 && lease.ends_ns - lease.begun_ns == 120 * SECOND_NS);
	WANT(noted());
	snprintf(ping_dst, sizeof(ping_dst), "10.77.0.%u", lease.addr & 0xff);
	await(answered, "the address answers");
	await(has_address6, "an address by the router's advertisement");
	await(answered, "that answers, too");
	berth_dhcp_release(client, now());
	await(given_back, "the address is given back");
	WANT(berth_stack_check(st));
	tap_close(&tap);
	end(0, "ok all");
}
