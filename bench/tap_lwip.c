/* bench/tap_lwip.c: lwIP as Debian builds it, on a TAP, as a rival of the stack's (bench/tap.py).
 *
 *	tap_lwip DEVICE		10.9.0.2; port 11 reads and forgets, port 19 reads a line "N\n" and sends N octets
 *
 * lwIP's raw interface, in lwIP's own thread: its fastest. It has no offloads. The library's own TAP driver is not used: Debian's (2.1.3)
 * writes frames of 1514 octets into buffers of 616 and dies of it, so frames are read and written here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <netif/ethernet.h>
#include <lwip/etharp.h>

static struct netif device;
static char octets[65536];
static int tap_fd;

static err_t to_tap(struct netif *n, struct pbuf *p)
{
	char frame[1600];
	u16_t len = pbuf_copy_partial(p, frame, sizeof(frame), 0);

	(void)n;
	return write(tap_fd, frame, len) == len ? ERR_OK : ERR_IF;
}

static err_t tap_init(struct netif *n)
{
	n->name[0] = 't';
	n->output = etharp_output;
	n->linkoutput = to_tap;
	n->mtu = 1500;
	n->hwaddr_len = 6;
	memcpy(n->hwaddr, "\2\0\0\11\0\2", 6);
	n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
	return ERR_OK;
}

static void from_tap(void *arg)
{
	char frame[1600];
	ssize_t len;

	(void)arg;
	while ((len = read(tap_fd, frame, sizeof(frame))) > 0) {
		struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);

		if (!p)
			continue;
		pbuf_take(p, frame, (u16_t)len);
		if (device.input(p, &device) != ERR_OK)
			pbuf_free(p);
	}
}

static void tap_attach(const char *name)
{
	struct ifreq ifr = {0};

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
	tap_fd = open("/dev/net/tun", O_RDWR);
	if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &ifr) < 0) {
		perror(name);
		exit(1);
	}
}

/* A source's connection: how much is still to be sent. */
struct source {
	char line[32];
	size_t line_len;
	unsigned long long left;
};

static void feed(struct tcp_pcb *pcb, struct source *s)
{
	while (s->left) {
		size_t n = tcp_sndbuf(pcb);

		if (n > s->left)
			n = (size_t)s->left;
		if (n > 32768)
			n = 32768;
		if (n == 0 || tcp_write(pcb, octets, (u16_t)n, 0) != ERR_OK)
			break;
		s->left -= n;
	}
	tcp_output(pcb);
}

static err_t end(struct tcp_pcb *pcb, void *arg)
{
	tcp_arg(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	free(arg);
	return tcp_close(pcb);
}

static err_t sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct source *s = arg;

	(void)len;
	feed(pcb, s);
	return s->left ? ERR_OK : end(pcb, s);
}

static err_t source_line(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct source *s = arg;

	(void)err;
	if (!p)
		return end(pcb, s);
	s->line_len += pbuf_copy_partial(p, s->line + s->line_len, (u16_t)(sizeof(s->line) - 1 - s->line_len), 0);
	tcp_recved(pcb, p->tot_len);
	pbuf_free(p);
	if (memchr(s->line, '\n', s->line_len)) {
		s->left = strtoull(s->line, NULL, 10);
		tcp_sent(pcb, sent);
		feed(pcb, s);
	}
	return ERR_OK;
}

static err_t source_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct source *s = calloc(1, sizeof(*s));

	(void)arg;
	if (err != ERR_OK || !pcb || !s)
		return ERR_MEM;
	tcp_arg(pcb, s);
	tcp_recv(pcb, source_line);
	return ERR_OK;
}

static err_t forget(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	(void)err;
	if (!p)
		return end(pcb, arg);
	tcp_recved(pcb, p->tot_len);
	pbuf_free(p);
	return ERR_OK;
}

static err_t sink_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)arg;
	if (err != ERR_OK || !pcb)
		return ERR_MEM;
	tcp_recv(pcb, forget);
	return ERR_OK;
}

static void listen_on(u16_t port, tcp_accept_fn accept)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_V4);

	if (!pcb || tcp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK || !(pcb = tcp_listen(pcb)))
		exit(1);
	tcp_accept(pcb, accept);
}

static void begin(void *arg)
{
	ip4_addr_t a, mask, gate;

	(void)arg;
	IP4_ADDR(&a, 10, 9, 0, 2);
	IP4_ADDR(&mask, 255, 255, 255, 0);
	IP4_ADDR(&gate, 10, 9, 0, 1);
	if (!netif_add(&device, &a, &mask, &gate, NULL, tap_init, tcpip_input))
		exit(1);
	netif_set_default(&device);
	netif_set_link_up(&device);
	netif_set_up(&device);
	listen_on(11, sink_accept);
	listen_on(19, source_accept);
	sys_thread_new("tap", from_tap, NULL, 0, 0);
	puts("ready");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char c;

	if (argc != 2)
		return 2;
	tap_attach(argv[1]);
	tcpip_init(begin, NULL);
	while (read(STDIN_FILENO, &c, 1) > 0)
		; /* whoever started us is there */
	_exit(0);
}
