/* tests/packetdrill/world.c: see world.h. */
#include "world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define START_US UINT64_C(1600000000000000) /* any time will do; it looks like one */
#define STUCK_US UINT64_C(60000000)

static __thread uint64_t own_time_us; /* the second thread's clock: when its call was over */

static int address(const char *text, struct berth_addr *ret)
{
	uint8_t b[16];

	*ret = (struct berth_addr){.port = 0};
	if (inet_pton(AF_INET, text, b) == 1) {
		ret->ip[10] = ret->ip[11] = 0xff;
		memcpy(ret->ip + 12, b, 4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, b) != 1)
		return -1;
	memcpy(ret->ip, b, 16);
	return 0;
}

static bool preset(struct world *w, const char *name, const char *value)
{
	static const struct {
		const char *name;
		enum berth_option option;
	} names[] = {{"ecn", BERTH_ECN},	  {"cookies", BERTH_SYNCOOKIES},    {"timestamps", BERTH_TIMESTAMPS},
		     {"sack", BERTH_SACK},	  {"wscale", BERTH_WINDOW_SCALING}, {"pacing", BERTH_PACING},
		     {"cc", BERTH_CONGESTION},	  {"train", BERTH_TRAIN},	    {"synlinear", BERTH_SYN_LINEAR},
		     {"idle", BERTH_IDLE_RESTART}};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i].name) == 0 && w->n_presets < sizeof(w->presets) / sizeof(w->presets[0])) {
			w->presets[w->n_presets].option = names[i].option;
			w->presets[w->n_presets++].value = strtoull(value, NULL, 10);
			return true;
		}
	return false;
}

static int one_flag(struct world *w, char *flag)
{
	char *value = strchr(flag, '='), *slash;

	if (value == NULL) {
		if (strcmp(flag, "verbose") == 0)
			w->verbose = true;
		else if (strcmp(flag, "nosysctl") == 0)
			w->sysctls = false;
		else if (strcmp(flag, "gso") == 0)
			w->super_frames = true;
		else
			return -1;
		return 0;
	}
	*value++ = '\0';
	slash = strchr(value, '/');
	if (slash != NULL)
		*slash++ = '\0';
	if (preset(w, flag, value))
		return 0;
	if (strcmp(flag, "mtu") == 0) {
		w->mtu_bytes = (unsigned)atoi(value);
		return 0;
	}
	if (strcmp(flag, "patience") == 0) {
		w->patience_us = strtoull(value, NULL, 10) * 1000;
		return 0;
	}
	if (strcmp(flag, "local") == 0) {
		w->prefix4 = slash != NULL ? (unsigned)atoi(slash) : w->prefix4;
		return address(value, &w->local4);
	}
	if (strcmp(flag, "local6") == 0) {
		w->prefix6 = slash != NULL ? (unsigned)atoi(slash) : w->prefix6;
		return address(value, &w->local6);
	}
	if (strcmp(flag, "remote") == 0)
		return address(value, &w->remote4);
	if (strcmp(flag, "remote6") == 0)
		return address(value, &w->remote6);
	return -1;
}

static int read_flags(struct world *w, const char *flags)
{
	char text[512], *save = NULL;

	address("192.168.0.1", &w->local4);
	address("192.0.2.1", &w->remote4);
	address("fd3d:0a0b:17d6::1", &w->local6);
	address("fd3d:fa7b:d17d::1", &w->remote6);
	w->prefix4 = 16;
	w->prefix6 = 48;
	w->mtu_bytes = 1500;
	w->sysctls = true;
	w->patience_us = 10000000;
	snprintf(text, sizeof(text), "%s", flags != NULL ? flags : "");
	for (char *f = strtok_r(text, ",", &save); f != NULL; f = strtok_r(NULL, ",", &save))
		if (one_flag(w, f) != 0) {
			fprintf(stderr, "berth: unknown flag in --so_flags: %s\n", f);
			return -1;
		}
	return 0;
}

static int make_stack(struct world *w)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .n_conns = 256,
				       .n_udp = 64,
				       .rx_ring_bytes = 1 << 23,
				       .tx_ring_bytes = 1 << 22,
				       .n_rings = 64,
				       .n_bursts = 65536,
				       .n_gaps = 64,
				       .n_packets = 2048};
	struct berth_iface i = {.struct_size = sizeof(i),
				.link = BERTH_LINK_IP,
				.flags = BERTH_IF_NO_DAD | BERTH_IF_TSO4 | BERTH_IF_TSO6 | BERTH_IF_TSO_ECN,
				.name = "tun0"};
	struct berth_addr any4 = {.ip = {[10] = 0xff, [11] = 0xff}}, any6 = {.port = 0};
	size_t len;

	for (unsigned k = 0; k < sizeof(c.secret); k++)
		c.secret[k] = (uint8_t)(k * 7 + 1); /* the same run every time */
	len = berth_stack_size(&c);
	if (len == 0)
		return -1;
	/* Zeroed, aligned, and only what is touched is there: rings for 64 connections are 768 MiB. packetdrill has called
	 * mlockall(MCL_FUTURE), which would have all of it at once: pages that nobody may touch are not, and then not locked. */
	w->memory = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->memory == MAP_FAILED) {
		w->memory = NULL;
		return -1;
	}
	(void)munlock(w->memory, len);
	if (mprotect(w->memory, len, PROT_READ | PROT_WRITE) != 0)
		return -1;
	w->memory_len = len;
	i.mtu_bytes = w->mtu_bytes;
	if (berth_stack_init(&w->st, w->memory, len, &c, w->now_us * 1000) != 0)
		return -1;
	if (berth_iface_add(w->st, &i, &w->iface) != 0 || berth_iface_set_up(w->st, w->iface, true) != 0 ||
	    berth_addr_add(w->st, w->iface, &w->local4, w->prefix4) != 0 ||
	    berth_route_add(w->st, &any4, 0, NULL, w->iface, 0) != 0)
		return -1;
	if (w->mtu_bytes >= 1280 && (berth_addr_add(w->st, w->iface, &w->local6, w->prefix6) != 0 ||
				     berth_route_add(w->st, &any6, 0, NULL, w->iface, 0) != 0))
		return -1;
	return 0;
}

int world_init(struct world *w, const char *flags)
{
	memset(w, 0, sizeof(*w));
	w->now_us = START_US;
	w->main_thread = pthread_self();
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->turn, NULL);
	if (read_flags(w, flags) != 0)
		return -1;
	if (make_stack(w) != 0) {
		fprintf(stderr, "berth: the stack could not be made\n");
		return -1;
	}
	return 0;
}

void world_fini(struct world *w)
{
	for (int i = 0; i < WORLD_FDS; i++)
		if (w->fds[i].kind != FD_FREE)
			world_fd_free(&w->fds[i]);
	while (w->out_n > 0) {
		free(w->out[w->out_first].data);
		w->out_first = (w->out_first + 1) % WORLD_PACKETS;
		w->out_n--;
	}
	if (w->memory != NULL)
		munmap(w->memory, w->memory_len);
}

/* --- packets --- */

static void keep_packet(void *arg, const uint8_t *data, uint32_t len)
{
	struct world *w = arg;
	struct packet_out *o = &w->out[(w->out_first + w->out_n) % WORLD_PACKETS];

	if (w->out_n == WORLD_PACKETS) {
		fprintf(stderr, "berth: more than %d packets that nobody takes\n", WORLD_PACKETS);
		return;
	}
	o->data = malloc(len);
	if (o->data == NULL)
		return;
	memcpy(o->data, data, len);
	o->len = len;
	o->at_us = w->now_us;
	w->out_n++;
}

static bool waiter_ready(struct world *w)
{
	struct waiter *k = w->waiter;

	if (k == NULL || k->woken)
		return false;
	if (k->ready(w, k->arg))
		return true;
	if (w->now_us >= k->until_us) {
		k->timed_out = true;
		return true;
	}
	return false;
}

/* What happened to a socket makes its edge triggered watches speak again, as a wakeup does in the kernel. */
static void edges(struct world *w)
{
	struct berth_event ev[16];
	unsigned n = 0;

	while ((n = berth_stack_events(w->st, ev, 16)) > 0)
		for (unsigned e = 0; e < WORLD_FDS; e++)
			for (unsigned k = 0; w->fds[e].kind == FD_EPOLL && k < 16; k++) {
				struct watch *t = &w->fds[e].watches[k];
				const struct fd *f = t->used ? world_fd(w, t->fd) : NULL;

				for (unsigned i = 0; i < n; i++)
					if (f != NULL && f->kind == FD_SOCKET && f->sock == ev[i].sock)
						t->said = 0;
			}
}

void world_settle(struct world *w)
{
	static struct berth_tx tx[16];
	unsigned n;

	do {
		n = berth_stack_output(w->st, tx, 16, w->now_us * 1000);
		for (unsigned i = 0; i < n; i++)
			cut_frame(&tx[i], w->super_frames, keep_packet, w);
	} while (n == 16);
	edges(w);
	if (!pthread_equal(pthread_self(), w->main_thread) || !waiter_ready(w))
		return;
	w->waiter->woken = true;
	pthread_cond_broadcast(&w->turn);
	/* Its turn: time stands still until its call is over, or waits again. */
	while (w->waiter != NULL && w->waiter->woken)
		pthread_cond_wait(&w->turn, &w->lock);
}

bool world_advance(struct world *w, uint64_t at_us, bool until_packet)
{
	for (;;) {
		uint64_t next_ns = berth_stack_deadline(w->st),
			 next_us = next_ns == BERTH_NEVER ? UINT64_MAX : (next_ns + 999) / 1000;

		if (w->waiter != NULL && !w->waiter->woken && w->waiter->until_us < next_us)
			next_us = w->waiter->until_us;
		if (next_us > at_us)
			break;
		if (next_us > w->now_us)
			w->now_us = next_us;
		berth_stack_tick(w->st, w->now_us * 1000, 64);
		world_settle(w);
		if (until_packet && w->out_n > 0)
			return true;
		if (next_us <= w->now_us && berth_stack_deadline(w->st) <= w->now_us * 1000 && w->now_us < at_us)
			w->now_us++; /* nothing came of it: never stand still */
	}
	if (at_us > w->now_us)
		w->now_us = at_us;
	berth_stack_tick(w->st, w->now_us * 1000, 64);
	world_settle(w);
	return until_packet && w->out_n > 0;
}

void world_inject(struct world *w, const void *data, uint32_t len)
{
	struct berth_rx rx = {.head = data, .head_len = len, .iface = w->iface};

	berth_stack_input(w->st, &rx, 1, w->now_us * 1000);
	world_settle(w);
}

uint64_t world_clock(struct world *w)
{
	if (!pthread_equal(pthread_self(), w->main_thread) && own_time_us != 0)
		return own_time_us++;
	if (pthread_equal(pthread_self(), w->main_thread))
		world_advance(w, w->now_us + 1, false);
	return w->now_us;
}

/* --- waiting --- */

bool world_wait(struct world *w, bool (*ready)(struct world *w, void *arg), void *arg, uint64_t timeout_us)
{
	struct waiter *k = &w->waiting;
	uint64_t until_us;

	if (ready(w, arg))
		return true;
	if (timeout_us == 0)
		return false;
	until_us = timeout_us >= UINT64_MAX - w->now_us ? UINT64_MAX : w->now_us + timeout_us;
	if (pthread_equal(pthread_self(), w->main_thread)) {
		uint64_t end = until_us < w->now_us + STUCK_US ? until_us : w->now_us + STUCK_US;

		while (!ready(w, arg) && w->now_us < end) {
			uint64_t next_ns = berth_stack_deadline(w->st);
			uint64_t to = next_ns == BERTH_NEVER || next_ns / 1000 >= end ? end : next_ns / 1000 + 1;

			world_advance(w, to > w->now_us ? to : w->now_us + 1, false);
		}
		return ready(w, arg);
	}
	*k = (struct waiter){.ready = ready, .arg = arg, .until_us = until_us};
	w->waiter = k;
	pthread_cond_broadcast(&w->turn); /* it may be the second time in one call */
	while (!k->woken)
		pthread_cond_wait(&w->turn, &w->lock); /* in the kernel: packetdrill waits for state S */
	own_time_us = w->now_us;
	return !k->timed_out;
}

void world_call_begins(struct world *w)
{
	if (!pthread_equal(pthread_self(), w->main_thread))
		own_time_us = 0;
}

void world_call_done(struct world *w)
{
	if (pthread_equal(pthread_self(), w->main_thread))
		return;
	if (own_time_us == 0)
		own_time_us = w->now_us;
	if (w->waiter != NULL) {
		w->waiter = NULL;
		pthread_cond_broadcast(&w->turn);
	}
}

/* --- descriptors --- */

struct fd *world_fd(struct world *w, int number)
{
	for (int i = 0; i < WORLD_FDS; i++)
		if (w->fds[i].kind != FD_FREE && w->fds[i].number == number)
			return &w->fds[i];
	return NULL;
}

struct fd *world_fd_new(struct world *w, enum fd_kind kind)
{
	for (int i = 0; i < WORLD_FDS; i++)
		if (w->fds[i].kind == FD_FREE) {
			int number = open("/dev/null", O_RDWR | O_CLOEXEC);

			if (number < 0)
				return NULL;
			w->fds[i] = (struct fd){.kind = kind, .number = number};
			return &w->fds[i];
		}
	return NULL;
}

void world_fd_free(struct fd *f)
{
	int number = f->number;

	f->kind = FD_FREE;
	f->number = -1;
	if (number >= 0)
		syscall(SYS_close, number); /* not close(): adapter.c has one of its own */
}
