/* examples/dhcp/dhcp_ask.c IFACE: which address would a DHCP server give this interface? Asks, prints the lease, and gives it back.
 *
 *	cc dhcp_ask.c $(pkg-config --cflags --libs berth-dhcp)
 *	sudo ./a.out eth0
 *
 * Linux's UDP socket carries the messages; nothing is configured. Exit code 1: nobody answered within a minute.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <berth/dhcp.h>

#define SECOND_NS UINT64_C(1000000000)

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static const char *text(uint32_t addr)
{
	struct in_addr a = {.s_addr = htonl(addr)};

	return inet_ntoa(a);
}

/* A socket of port 68 on that interface alone, and the interface's MAC; -1. */
static int open_socket(const char *name, uint8_t mac[6])
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(68)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return -1;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return fd;
}

/* Whatever the client has to say. To all: the address is not set, so a server could not be reached by itself. */
static void send_all(struct berth_dhcp *d, int fd)
{
	struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(67), .sin_addr.s_addr = INADDR_BROADCAST};
	struct berth_dhcp_tx tx;

	while (berth_dhcp_output(d, &tx, now()))
		if (sendto(fd, tx.data, tx.len, 0, (struct sockaddr *)&all, sizeof(all)) < 0)
			perror("sendto");
}

static void print(const struct berth_dhcp_lease *l)
{
	printf("address %s/%u\n", text(l->addr), l->prefix_bits);
	printf("server %s\n", text(l->server));
	for (unsigned i = 0; i < l->n_routers; i++)
		printf("router %s\n", text(l->routers[i]));
	for (unsigned i = 0; i < l->n_routes; i++) {
		printf("route %s/%u", text(l->routes[i].net), l->routes[i].prefix_bits);
		printf(" via %s\n", text(l->routes[i].gateway));
	}
	for (unsigned i = 0; i < l->n_dns; i++)
		printf("name server %s\n", text(l->dns[i]));
	if (l->domain[0])
		printf("domain %s\n", l->domain);
	if (l->ends_ns != UINT64_MAX)
		printf("seconds %llu\n", (unsigned long long)((l->ends_ns - l->begun_ns) / SECOND_NS));
}

/* Waits for the next message or deadline. */
static void wait_once(struct berth_dhcp *d, int fd, uint64_t until_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t at = berth_dhcp_deadline(d), t = now();
	uint8_t data[1500];
	ssize_t n;

	at = at < until_ns ? at : until_ns;
	if (poll(&p, 1, at > t ? (int)((at - t) / 1000000 + 1) : 0) <= 0) {
		berth_dhcp_tick(d, now());
		return;
	}
	n = recv(fd, data, sizeof(data), 0);
	if (n > 0)
		berth_dhcp_input(d, data, (size_t)n, now());
}

int main(int argc, char **argv)
{
	struct berth_dhcp_config c = {.struct_size = sizeof(c)};
	uint64_t end = now() + 60 * SECOND_NS;
	struct berth_dhcp_event ev;
	struct berth_dhcp *d;
	int fd, found = 0;
	void *mem;

	if (argc != 2) {
		fprintf(stderr, "usage: %s IFACE\n", argv[0]);
		return 2;
	}
	fd = open_socket(argv[1], c.mac);
	mem = calloc(1, berth_dhcp_size());
	if (fd < 0 || mem == NULL || getrandom(c.secret, sizeof(c.secret), 0) != sizeof(c.secret) ||
	    berth_dhcp_init(&d, mem, berth_dhcp_size(), &c, now()) < 0) {
		perror(argv[1]);
		return 2;
	}
	berth_dhcp_start(d, now());
	while (!found && now() < end) {
		send_all(d, fd);
		if (berth_dhcp_event(d, &ev) && ev.what == BERTH_DHCP_BOUND)
			found = 1;
		else
			wait_once(d, fd, end);
	}
	if (found) {
		print(&ev.lease);
		berth_dhcp_release(d, now());
		send_all(d, fd);
	}
	close(fd);
	free(mem);
	return !found;
}
