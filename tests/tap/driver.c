/* tests/tap/driver.c: a stack on a TAP or TUN, and the loop of a program around it (berth/stack.h has the loop).
 *
 *	driver [--tun] [--no-offload] [--dad] [--name NAME] [--mtu N] [--ring OCTETS] [--pcap FILE] [--seed N] [--cpu N] PATTERN_FILE
 *
 *	kernel <--- device ---> [ fault in ] ---> stack <---> programs (apps.c)
 *	                   <--- [ fault out ] <--
 *
 * It runs in the network namespace of whoever starts it, makes a device there, says "ready NAME", and is then told by lines on standard
 * input what to do (command() has the list); it answers by lines. At the end of its input it ends, and with it the device. The stack is
 * 10.9.0.2 and fd09::2; the other side, 10.9.0.1 and fd09::1, is for whoever started it to make.
 */
#include "driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../support/conn_text.h"
#include "link/pcap.h"
#include "stack/stack.h"
#include "stack/tcp.h"

#define BATCH 32
#define ROUNDS 64 /* of events and output before the device is read again */
#define PCAP_BYTES (UINT64_C(64) << 20)

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

_Noreturn static void die(const char *what, int r)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void must(const char *what, int r)
{
	if (r < 0)
		die(what, r);
}

/* --- captures --- */

static void pcap_write(struct driver *d, int n)
{
	if (n > 0 && (uint64_t)n <= d->pcap_left && write(d->pcap_fd, d->pcap_buf, (size_t)n) == n)
		d->pcap_left -= (uint64_t)n;
	else
		d->pcap_left = 0; /* what is there ends with a whole packet */
}

static void pcap_open(struct driver *d, const char *path)
{
	d->pcap_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	d->pcap_buf = malloc(PCAP_BLOCK_MAX);
	if (d->pcap_fd < 0 || !d->pcap_buf)
		die(path, -errno);
	d->pcap_left = PCAP_BYTES;
	pcap_write(d, pcap_section(d->pcap_buf, PCAP_BLOCK_MAX, "berth tests/tap"));
	pcap_write(d, pcap_interface(d->pcap_buf, PCAP_BLOCK_MAX, d->link, d->tap.name));
}

/* What the stack knows of the connection: after output() of what it sent, before input() of what came. */
static const char *comment_of(const struct driver *d, const struct berth_part *parts, unsigned n_parts, bool is_out)
{
	static uint8_t whole[LINK_FRAME_MAX];
	static char text[256];
	struct link_view v;
	uint32_t len = 0;

	for (unsigned i = 0; i < n_parts; i++) {
		if (parts[i].len > sizeof(whole) - len)
			return NULL;
		memcpy(whole + len, parts[i].data, parts[i].len);
		len += parts[i].len;
	}
	if (link_view(whole, len, d->link, &v) < 0)
		return NULL;
	return conn_text(d->st, &v, is_out, text, sizeof(text)) ? text : NULL;
}

static void capture(struct driver *d, const uint8_t *head, uint32_t head_len, const struct berth_part *parts,
		    unsigned n_parts, enum pcap_direction direction)
{
	struct berth_part all[1 + BERTH_TX_PARTS_MAX] = {{head, head_len}};
	struct pcap_packet p = {.at_ns = d->now_ns, .direction = direction, .parts = all, .n_parts = 1 + n_parts};

	if (!d->pcap_left)
		return;
	ASSERT(n_parts <= BERTH_TX_PARTS_MAX);
	for (unsigned i = 0; i < n_parts; i++)
		all[1 + i] = parts[i];
	p.comment = comment_of(d, all, 1 + n_parts, direction == PCAP_OUT);
	pcap_write(d, pcap_put(d->pcap_buf, PCAP_BLOCK_MAX, &p));
}

/* --- frames --- */

/* A frame as a link or the device gave it, in the shape in which one sends. */
static void as_tx(const struct berth_rx *rx, struct berth_tx *ret)
{
	ret->head_len = 0;
	ret->parts[0] = (struct berth_part){rx->head, rx->head_len};
	ret->n_parts = 1;
	ret->len = rx->head_len;
	ret->iface = rx->iface;
	ret->gso = rx->gso;
	ret->flags = rx->flags;
	ret->gso_size = rx->gso_size;
	ret->hdr_len = 0; /* a hint only */
	ret->csum_start = rx->csum_start;
	ret->csum_offset = rx->csum_offset;
	ret->pin = 0;
}

static void to_device(struct driver *d, const struct berth_tx *v, unsigned n)
{
	int r;

	for (unsigned i = 0; i < n; i++)
		capture(d, v[i].head, v[i].head_len, v[i].parts, v[i].n_parts, PCAP_OUT);
	r = tap_write(&d->tap, v, n);
	d->n_write_dropped += n - (r > 0 ? (unsigned)r : 0);
}

static void to_stack(struct driver *d, const struct berth_rx *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		capture(d, v[i].head, v[i].head_len, v[i].parts, v[i].n_parts, PCAP_IN);
	berth_stack_input(d->st, v, n, d->now_ns);
}

/* What the stack has to send. Return: there may be more. */
static bool pump_out(struct driver *d)
{
	static struct berth_tx tx[BATCH];
	unsigned n = berth_stack_output(d->st, tx, BATCH, d->now_ns);

	if (!d->is_faulty)
		to_device(d, tx, n);
	else
		for (unsigned i = 0; i < n; i++)
			fault_put(d->out, &tx[i], d->now_ns);
	return n == BATCH;
}

/* Frames whose time on the bad link is over. */
static void pump_faults(struct driver *d)
{
	struct berth_rx rx[BATCH];
	static struct berth_tx tx;
	unsigned n;

	for (int i = 0; i < ROUNDS && (n = fault_take(d->in, d->iface, rx, BATCH, d->now_ns)) > 0; i++)
		to_stack(d, rx, n);
	for (int i = 0; i < ROUNDS && (n = fault_take(d->out, d->iface, rx, BATCH, d->now_ns)) > 0; i++)
		for (unsigned k = 0; k < n; k++) {
			as_tx(&rx[k], &tx);
			to_device(d, &tx, 1);
		}
}

static void pump_in(struct driver *d)
{
	struct berth_rx rx[TAP_BUFFERS];
	static struct berth_tx tx;
	int n;

	for (int i = 0; i < 8; i++) {
		n = tap_read(&d->tap, d->iface, rx, TAP_BUFFERS);
		if (n <= 0)
			return;
		if (!d->is_faulty)
			to_stack(d, rx, (unsigned)n);
		for (int k = 0; d->is_faulty && k < n; k++) {
			as_tx(&rx[k], &tx);
			fault_put(d->in, &tx, d->now_ns);
		}
		if (n < TAP_BUFFERS)
			return;
	}
}

/* --- commands --- */

bool parse_addr(const char *text, uint16_t port, struct berth_addr *ret)
{
	struct berth_addr a = {.port = port};

	if (inet_pton(AF_INET, text, a.ip + 12) == 1) {
		a.ip[10] = a.ip[11] = 0xff;
	} else if (inet_pton(AF_INET6, text, a.ip) != 1) {
		return false;
	}
	*ret = a;
	return true;
}

static void set_faults(struct driver *d, char *text)
{
	struct fault_config c = {.link = d->link, .wire = true};
	char *save = NULL;

	d->is_faulty = true;
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *value = strchr(w, '=');
		uint64_t v = value ? strtoull(value + 1, NULL, 10) : 0;

		if (strncmp(w, "loss=", 5) == 0)
			c.loss_ppm = (uint32_t)v;
		else if (strncmp(w, "delay_us=", 9) == 0)
			c.delay_ns = v * 1000;
		else if (strncmp(w, "jitter_us=", 10) == 0)
			c.jitter_ns = v * 1000;
		else if (strncmp(w, "reorder=", 8) == 0)
			c.reorder_ppm = (uint32_t)v;
		else if (strncmp(w, "reorder_us=", 11) == 0)
			c.reorder_ns = v * 1000;
		else if (strncmp(w, "dup=", 4) == 0)
			c.dup_ppm = (uint32_t)v;
		else if (strncmp(w, "corrupt=", 8) == 0)
			c.corrupt_ppm = (uint32_t)v;
		else if (strncmp(w, "ce=", 3) == 0)
			c.ce_ppm = (uint32_t)v;
		else if (strcmp(w, "super") == 0)
			c.wire = false;
		else
			printf("note fault: what is %s?\n", w);
	}
	fault_set(d->in, &c);
	fault_set(d->out, &c);
	printf("ok\n");
}

static void say_counters(const struct driver *d)
{
	struct berth_counters c = {.struct_size = sizeof(c)};
	const struct fault_counts *in = fault_counts(d->in), *out = fault_counts(d->out);

	berth_stack_counters(d->st, &c);
	printf("{");
#define SAY(name)   \
	if (c.name) \
		printf("\"%s\":%" PRIu64 ",", #name, c.name);
	BERTH_COUNTERS(SAY)
#undef SAY
	printf("\"accepted\":%" PRIu64 ",\"ended\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"errors\":%" PRIu64,
	       d->n_accepted, d->n_ended, d->n_wrong, d->n_errors);
	printf(",\"write_dropped\":%" PRIu64 ",\"write_failed\":%" PRIu64 ",\"bad_header\":%" PRIu64
	       ",\"resegmented\":%" PRIu64,
	       d->n_write_dropped, d->tap.n_write_failed, d->tap.n_bad_header, d->tap.n_resegmented);
	printf(",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"corrupted\":%" PRIu64
	       ",\"delayed\":%" PRIu64 "}\n",
	       in->n_lost + out->n_lost, in->n_duplicated + out->n_duplicated, in->n_reordered + out->n_reordered,
	       in->n_corrupted + out->n_corrupted, in->n_delayed + out->n_delayed);
}

/* What the stack holds: connections (listeners too), rings, what is in flight, packets. TIME-WAIT may last. */
static void say_held(const struct driver *d)
{
	uint32_t n_apps = 0;

	for (uint32_t i = 0; i < d->n_apps; i++)
		n_apps += d->apps[i].is_used;
	printf("{\"apps\":%u,\"conns\":%u,\"rings\":%u,\"bursts\":%u,\"gaps\":%u,\"syns\":%u,\"pkts\":%u}\n", n_apps,
	       d->st->conns.n_used, d->st->tcp->rings.n_used, d->st->tcp->bursts.n_used, d->st->tcp->gaps.n_used,
	       d->st->tcp->syns.n_used, d->st->pkts.n_used);
}

/* Every connection, closed sockets' too: for a person who wants to know why one stays. */
static void say_conns(const struct driver *d)
{
	for (uint32_t i = 0; i < d->st->conns.n_max; i++) {
		const struct tcp_conn *c;

		if (!slab_used(&d->st->conns, i))
			continue;
		c = tcp_at(d->st, i);
		printf("%u:%s,una=%u,nxt=%u,out=%u ", i, tcp_state_text[c->state], c->una, tcp_nxt(c),
		       c->w ? c->w->n_out : 0);
	}
	printf("\n");
}

static void say_addrs(const struct driver *d)
{
	struct berth_addr_info a = {.struct_size = sizeof(a)};
	uint32_t cursor = 0;
	char text[INET6_ADDRSTRLEN];

	printf("{");
	for (int i = 0; i < 64 && berth_addr_next(d->st, &cursor, &a) == 1; i++)
		printf("%s\"%s\":%u", i ? "," : "", inet_ntop(AF_INET6, a.addr.ip, text, sizeof(text)), a.flags);
	printf("}\n");
}

/* A frame that somebody else on the link sends: octets in hex, to the stack and to the kernel. */
static void give_frame(struct driver *d, const char *hex)
{
	static uint8_t data[2048];
	static struct berth_tx tx;
	struct berth_rx rx = {.head = data, .iface = d->iface};
	unsigned octet;

	for (; rx.head_len < sizeof(data) && sscanf(hex, "%2x", &octet) == 1; hex += 2)
		data[rx.head_len++] = (uint8_t)octet;
	as_tx(&rx, &tx);
	to_device(d, &tx, 1);
	to_stack(d, &rx, 1);
	printf("ok\n");
}

static void command(struct driver *d, char *line)
{
	char id[24], role[16], host[64];
	unsigned port;
	uint64_t n;
	struct berth_addr to;
	int r;

	if (sscanf(line, "connect %23s %15s %63s %u %" SCNu64, id, role, host, &port, &n) == 5) {
		r = parse_addr(host, (uint16_t)port, &to) ? apps_connect(d, id, role, &to, n) : -EINVAL;
		if (r < 0)
			printf("end %s %s 0 0\n", id, strerrorname_np(-r));
	} else if (strcmp(line, "fault off") == 0) {
		fault_flush(d->in);
		fault_flush(d->out);
		d->is_faulty = false;
		printf("ok\n");
	} else if (strncmp(line, "fault ", 6) == 0) {
		set_faults(d, line + 6);
	} else if (strncmp(line, "group ", 6) == 0) {
		groups_command(d, line + 6);
	} else if (strncmp(line, "frame ", 6) == 0) {
		give_frame(d, line + 6);
	} else if (sscanf(line, "mtu %u", &port) == 1) {
		r = berth_iface_set_mtu(d->st, d->iface, port);
		printf("%s\n", r < 0 ? strerrorname_np(-r) : "ok");
	} else if (strcmp(line, "check") == 0) {
		printf("%s\n", berth_stack_check(d->st) && fault_check(d->in) && fault_check(d->out) ? "ok" : "BAD");
	} else if (strcmp(line, "counters") == 0) {
		say_counters(d);
	} else if (strcmp(line, "conns") == 0) {
		say_conns(d);
	} else if (strcmp(line, "addrs") == 0) {
		say_addrs(d);
	} else if (strcmp(line, "held") == 0) {
		say_held(d);
	} else {
		printf("what is: %s\n", line);
	}
}

static void read_commands(struct driver *d)
{
	static char text[65536];
	static size_t used;
	ssize_t n = read(STDIN_FILENO, text + used, sizeof(text) - 1 - used);
	char *line = text, *end;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		d->is_over = true;
		return;
	}
	used += n > 0 ? (size_t)n : 0;
	text[used] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		command(d, line);
		line = end + 1;
	}
	used -= (size_t)(line - text);
	memmove(text, line, used);
}

/* --- the loop --- */

static bool pump_events(struct driver *d)
{
	struct berth_event ev[BATCH];
	unsigned n = berth_stack_events(d->st, ev, BATCH);

	for (unsigned i = 0; i < n; i++)
		apps_event(d, &ev[i]);
	return n > 0;
}

static uint64_t deadline(const struct driver *d)
{
	uint64_t at = berth_stack_deadline(d->st), other = apps_deadline(d);

	if (other < at)
		at = other;
	if (d->is_faulty) {
		other = fault_deadline(d->in);
		at = other < at ? other : at;
		other = fault_deadline(d->out);
		at = other < at ? other : at;
	}
	return at;
}

static void wait_for(struct driver *d, uint64_t at_ns)
{
	struct pollfd p[2] = {{.fd = d->tap.fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t ns = at_ns <= d->now_ns ? 0 : at_ns - d->now_ns;
	struct timespec t;

	if (ns > UINT64_C(1000000000))
		ns = UINT64_C(1000000000);
	t = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
	if (ppoll(p, 2, &t, NULL) < 0 && errno != EINTR)
		die("poll", -errno);
	d->now_ns = clock_ns();
	if (p[0].revents)
		pump_in(d);
	if (p[1].revents)
		read_commands(d);
}

static void loop(struct driver *d)
{
	while (!d->is_over) {
		bool more = true;

		if (berth_stack_deadline(d->st) <= d->now_ns)
			berth_stack_tick(d->st, d->now_ns, 256);
		apps_timers(d);
		if (d->is_faulty)
			pump_faults(d);
		for (int i = 0; more && i < ROUNDS; i++) {
			more = pump_events(d);
			more |= pump_out(d);
		}
		fflush(stdout);
		wait_for(d, more ? d->now_ns : deadline(d));
	}
}

/* --- setting up --- */

static void make_stack(struct driver *d)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .n_conns = 2048,
				       .n_udp = 128,
				       .n_syn = 512,
				       .n_rings = 1024};
	size_t len;

	c.rx_ring_bytes = c.tx_ring_bytes = d->ring_bytes;
	c.udp_ring_bytes = 1 << 20;
	c.frag_bytes = 1 << 20;
	c.n_packets = 1024;
	c.n_groups = 128;
	if (getrandom(c.secret, sizeof(c.secret), 0) != sizeof(c.secret))
		die("getrandom", -errno);
	len = berth_stack_size(&c);
	if (len == 0)
		die("berth_stack_size", -EINVAL);
	d->memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (d->memory == MAP_FAILED)
		die("mmap", -errno);
	d->now_ns = clock_ns();
	must("berth_stack_init", berth_stack_init(&d->st, d->memory, len, &c, d->now_ns));
}

static void make_iface(struct driver *d)
{
	struct berth_iface f = {.struct_size = sizeof(f), .link = (uint8_t)d->link, .mac = {2, 0, 0, 9, 0, 2}};
	struct berth_addr a = berth_addr4(10, 9, 0, 2, 0), any = berth_addr4(0, 0, 0, 0, 0),
			  gate = berth_addr4(10, 9, 0, 1, 0);

	f.mtu_bytes = d->mtu_bytes;
	snprintf(f.name, sizeof(f.name), "%s", d->tap.name);
	if (d->offload)
		f.flags = BERTH_IF_TX_CSUM | BERTH_IF_TSO4 | BERTH_IF_TSO6 | BERTH_IF_TSO_ECN |
			  (d->tap.uso ? (unsigned)BERTH_IF_USO : 0u);
	if (!d->dad)
		f.flags |= BERTH_IF_NO_DAD;
	must("iface", berth_iface_add(d->st, &f, &d->iface));
	must("address", berth_addr_add(d->st, d->iface, &a, 24));
	must("route", berth_route_add(d->st, &any, 0, &gate, d->iface, 0));
	ASSERT(parse_addr("fd09::2", 0, &a) && parse_addr("::", 0, &any) && parse_addr("fd09::1", 0, &gate));
	must("address", berth_addr_add(d->st, d->iface, &a, 64));
	must("route", berth_route_add(d->st, &any, 0, &gate, d->iface, 0));
}

static void load_pattern(struct driver *d, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 1 || st.st_size > PATTERN_MAX)
		die(path, fd < 0 ? -errno : -EINVAL);
	d->pattern_len = (uint32_t)st.st_size;
	d->pattern = mmap(NULL, d->pattern_len, PROT_READ, MAP_SHARED, fd, 0);
	if (d->pattern == MAP_FAILED)
		die(path, -errno);
	close(fd);
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* a wish */
}

int main(int argc, char **argv)
{
	static const struct option options[] =
		{{"tun", no_argument, NULL, 't'},	 {"dad", no_argument, NULL, 'd'},
		 {"no-offload", no_argument, NULL, 'n'}, {"name", required_argument, NULL, 'N'},
		 {"mtu", required_argument, NULL, 'm'},	 {"ring", required_argument, NULL, 'r'},
		 {"pcap", required_argument, NULL, 'p'}, {"seed", required_argument, NULL, 's'},
		 {"cpu", required_argument, NULL, 'c'},	 {0}};
	static struct driver d = {.link = BERTH_LINK_ETHERNET,
				  .mtu_bytes = 1500,
				  .ring_bytes = 256 << 10,
				  .offload = true};
	const char *pcap = NULL, *name = "";
	struct fault_config none;
	int o;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 't')
			d.link = BERTH_LINK_IP;
		else if (o == 'n')
			d.offload = false;
		else if (o == 'd')
			d.dad = true;
		else if (o == 'N')
			name = optarg;
		else if (o == 'm')
			d.mtu_bytes = (uint32_t)strtoul(optarg, NULL, 10);
		else if (o == 'r')
			d.ring_bytes = (uint32_t)strtoul(optarg, NULL, 10);
		else if (o == 'p')
			pcap = optarg;
		else if (o == 's')
			d.seed = strtoull(optarg, NULL, 10);
		else if (o == 'c')
			stay_on(atoi(optarg));
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	load_pattern(&d, argv[optind]);
	must("tap_open", tap_open(name, d.link, d.offload ? TAP_OFFLOAD : 0u, &d.tap));
	none = (struct fault_config){.link = d.link, .wire = true};
	d.in = fault_new(&none, d.seed, "in");
	d.out = fault_new(&none, d.seed, "out");
	if (!d.in || !d.out)
		die("fault_new", -ENOMEM);
	if (pcap)
		pcap_open(&d, pcap);
	make_stack(&d);
	make_iface(&d);
	apps_init(&d);
	(void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	printf("ready %s\n", d.tap.name);
	loop(&d);
	return 0;
}
