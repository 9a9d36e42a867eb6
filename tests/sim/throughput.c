/* tests/sim/throughput.c: how fast, in virtual time: a golden table of buffer x loss x round trip, fairness between flows, and what must
 * hold whatever the table says.
 *
 *	throughput			print the table
 *	throughput GOLDEN		compare with a file: a difference is for a person to look at (docs/stack-tests.md)
 *	throughput --write GOLDEN	write it
 *
 * One sender, one receiver, 1500 octets of MTU, 100 Mbit/s; loss in the direction of the data, by chance. A number is the octets that
 * the receiving program got, over all of the time, in KB/s (1000 octets). Virtual time makes it the same number on every machine.
 */
#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MSS 1448 /* 1500 less IP, TCP and timestamps */
#define LINES_MAX 256

static char lines[LINES_MAX][128];
static unsigned n_lines, n_failed;
static bool told;

_Noreturn void sim_fail(struct sim *s, const char *oracle, const char *fmt, ...)
{
	va_list ap;

	printf("FAIL throughput: %s: ", oracle);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (at %.6f s)\n", (double)s->now_ns / 1e9);
	exit(1);
}

struct row {
	uint32_t buffer, loss_ppm, seconds;
	uint64_t rtt_ns;
	enum berth_congestion cc;
	unsigned n_flows;
	uint64_t rate_bps;
	uint32_t queue_bytes;
};

static struct sim *world(uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));

	ASSERT(s);
	s->name = "throughput";
	s->seed = seed;
	s->trace = told;
	s->now_ns = SIM_S;
	s->observer = observer_new();
	return s;
}

static bool never(struct sim *s)
{
	(void)s;
	return false;
}

/* Octets that arrived of each flow. */
static void run(const struct row *r, uint64_t seed, uint64_t *ret_received)
{
	struct sim *s = world(seed);
	struct fault_config c = {.link = BERTH_LINK_ETHERNET, .wire = true, .delay_ns = r->rtt_ns / 2};
	struct sim_host *h[2];
	struct sim_wire *w;

	for (int i = 0; i < 2; i++) {
		h[i] = sim_host(s);
		h[i]->config.rx_ring_bytes = h[i]->config.tx_ring_bytes = r->buffer;
		h[i]->config.n_bursts = 8192;
		h[i]->config.n_gaps = h[i]->config.n_packets = h[i]->config.n_neighs = h[i]->config.n_time_wait = 0;
		h[i]->config.flags = 0;
		h[i]->pin_ns = 0;
		h[i]->late_ns = 0;
		h[i]->batch = 32;
		h[i]->split_rx = false;
	}
	w = sim_wire(s, h, 2, &c);
	c.rate_bps = r->rate_bps;
	c.queue_bytes = r->queue_bytes;
	c.loss_ppm = r->loss_ppm;
	sim_wire_set(s, w, 1, &c);
	for (int i = 0; i < 2; i++)
		sim_boot(h[i]);
	sim_listen(h[1], 80, 16);
	for (unsigned i = 0; i < r->n_flows; i++) {
		struct sim_flow *f = sim_flow(s, h[0], h[1], w, 4, 80);

		f->start_ns += i * 100 * SIM_MS;
		f->end[SIM_CLIENT].wake_ns = f->start_ns;
		f->end[SIM_CLIENT].manners.bytes = UINT64_C(1) << 40;
		f->may_fail = true;
		if (r->cc == BERTH_CUBIC)
			f->options |= SIM_OPT_CUBIC;
	}
	sim_run_until(s, never, s->now_ns + r->seconds * SIM_S);
	for (unsigned i = 0; i < r->n_flows; i++)
		ret_received[i] = s->flows[i]->end[SIM_SERVER].received;
	if (told) {
		struct berth_counters n = sim_counters(h[0]);

		printf("again %" PRIu64 ", timeouts %" PRIu64 " (for nothing %" PRIu64 "), probes %" PRIu64
		       ", recoveries %" PRIu64 ", undone %" PRIu64 "\n",
		       n.tcp_retrans, n.tcp_rto, n.tcp_spurious_rto, n.tcp_tlp, n.tcp_fast_recovery, n.tcp_undo);
	}
}

/* Each in a process of its own, because a world's memory goes with its process. Two at a time. */
struct job {
	struct row row;
	pid_t pid;
	int fd;
	uint64_t received[8];
};

static void start(struct job *j, uint64_t seed)
{
	int fd[2];

	fflush(stdout);
	if (pipe(fd) < 0 || (j->pid = fork()) < 0) {
		perror("throughput");
		exit(2);
	}
	if (j->pid == 0) {
		close(fd[0]);
		run(&j->row, seed, j->received);
		_exit(write(fd[1], j->received, sizeof(j->received)) == sizeof(j->received) ? 0 : 3);
	}
	close(fd[1]);
	j->fd = fd[0];
}

static void finish(struct job *j)
{
	int status;
	bool good = read(j->fd, j->received, sizeof(j->received)) == sizeof(j->received);

	close(j->fd);
	if (waitpid(j->pid, &status, 0) < 0 || status != 0 || !good) {
		printf("FAIL throughput: a world ended with status %x\n", (unsigned)status);
		exit(1);
	}
}

static void line(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void line(const char *fmt, ...)
{
	va_list ap;

	ASSERT(n_lines < LINES_MAX);
	va_start(ap, fmt);
	vsnprintf(lines[n_lines++], sizeof(lines[0]), fmt, ap);
	va_end(ap);
}

static void must(bool holds, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void must(bool holds, const char *fmt, ...)
{
	va_list ap;

	if (holds)
		return;
	n_failed++;
	printf("FAIL throughput: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* --- one flow: buffer x round trip x loss --- */

static const uint32_t buffers[] = {32 << 10, 256 << 10, 2 << 20};
static const uint64_t rtts_ms[] = {10, 100};
static const uint32_t losses_ppm[] = {0, 1000, 5000, 10000, 20000, 50000, 200000};
static const char *const cc_names[] = {"newreno", "cubic"};
#define N_LOSSES COUNT_OF(losses_ppm)
#define N_JOBS (2 * COUNT_OF(buffers) * COUNT_OF(rtts_ms) * N_LOSSES)

static struct job jobs[N_JOBS];

/* The square root of x * 10^6, in integers: the same on every machine. */
static uint64_t root_e3(uint64_t x)
{
	uint64_t r = 0, v = x * 1000000;

	for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
		if ((r + bit) * (r + bit) <= v)
			r += bit;
	return r;
}

/* Mathis et al. 1997: MSS / RTT * sqrt(3/2) / sqrt(p), octets a second. */
static uint64_t mathis_bps(uint64_t rtt_ms, uint32_t loss_ppm)
{
	/* sqrt(1.5 / p) = sqrt(1500000 / ppm) */
	return MSS * 1000 / rtt_ms * root_e3(1500000 / loss_ppm) / 1000;
}

static uint64_t bps(const struct job *j)
{
	return j->received[0] / j->row.seconds;
}

static void check_row(const struct job *j)
{
	const struct row *r = &j->row;
	uint64_t rtt_ms = r->rtt_ns / SIM_MS, got = bps(j), bound;

	/* What the issue asks for, of the default. (5 %: NewReno's own bound by Mathis is 79.) */
	if (r->loss_ppm < 1000 || r->loss_ppm > 20000 || r->buffer < 2 << 20)
		return;
	bound = mathis_bps(rtt_ms, r->loss_ppm);
	must(got * 10 >= bound * 9,
	     "%s, %" PRIu64 " ms, loss %u ppm: %" PRIu64 " octets/s, less than 0.9 of Mathis' %" PRIu64,
	     cc_names[r->cc], rtt_ms, r->loss_ppm, got, bound);
}

static void one_flow(void)
{
	size_t n = 0;

	for (int cc = 0; cc < 2; cc++)
		for (size_t b = 0; b < COUNT_OF(buffers); b++)
			for (size_t t = 0; t < COUNT_OF(rtts_ms); t++)
				for (size_t l = 0; l < N_LOSSES; l++)
					jobs[n++].row =
						(struct row){.buffer = buffers[b],
							     .loss_ppm = losses_ppm[l],
							     .seconds = losses_ppm[l] ? 60 + 90 * (uint32_t)t : 10,
							     .rtt_ns = rtts_ms[t] * SIM_MS,
							     .cc = (enum berth_congestion)cc,
							     .n_flows = 1,
							     .rate_bps = 12500000,
							     .queue_bytes = 250000};
	start(&jobs[0], 1);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n)
			start(&jobs[i + 1], i + 2);
		finish(&jobs[i]);
		check_row(&jobs[i]);
	}
	line("KB/s of one flow, by the loss of segments in %%");
	line("%-8s %6s %6s %8s %8s %8s %8s %8s %8s %8s", "", "buffer", "RTT", "0", "0.1", "0.5", "1", "2", "5", "20");
	for (size_t i = 0; i < n; i += N_LOSSES) {
		const struct job *j = &jobs[i];

		line("%-8s %5uK %4" PRIu64 "ms %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
		     " %8" PRIu64 " %8" PRIu64,
		     cc_names[j->row.cc], j->row.buffer >> 10, j->row.rtt_ns / SIM_MS, bps(j) / 1000, bps(j + 1) / 1000,
		     bps(j + 2) / 1000, bps(j + 3) / 1000, bps(j + 4) / 1000, bps(j + 5) / 1000, bps(j + 6) / 1000);
	}
}

/* --- what is asked of the default, with small buffers: the mean of some seeds, because chance has a large say at 20 % --- */

#define N_SEEDS 6

static void small_buffers(void)
{
	static const struct {
		uint32_t loss_ppm;
		uint64_t least_bps;
	} rows[] = {{0, 300000}, {50000, 77000}, {200000, 18000}};

	line("%s", "");
	line("32 KiB of buffers, 100 ms, cubic, mean of %d seeds: loss in %%, KB/s", N_SEEDS);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t sum = 0;

		for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
			struct job j = {.row = {.buffer = 32 << 10,
						.loss_ppm = rows[i].loss_ppm,
						.seconds = rows[i].loss_ppm ? 120 : 10,
						.rtt_ns = 100 * SIM_MS,
						.cc = BERTH_CUBIC,
						.n_flows = 1,
						.rate_bps = 12500000,
						.queue_bytes = 250000}};

			start(&j, 2000 + seed);
			finish(&j);
			sum += bps(&j);
		}
		line("%8u %8" PRIu64, rows[i].loss_ppm / 10000, sum / N_SEEDS / 1000);
		must(sum / N_SEEDS >= rows[i].least_bps,
		     "32 KiB, 100 ms, loss %u ppm: %" PRIu64 " octets/s, not %" PRIu64, rows[i].loss_ppm, sum / N_SEEDS,
		     rows[i].least_bps);
	}
}

/* --- several flows through one queue --- */

static void fairness(void)
{
	static const unsigned counts[] = {2, 4, 8};

	line("%s", "");
	line("flows that share 10 Mbit/s and a queue of one bandwidth-delay product, 40 ms: KB/s in all, Jain's index in %%");
	for (int cc = 0; cc < 2; cc++)
		for (size_t i = 0; i < COUNT_OF(counts); i++) {
			struct job j = {.row = {.buffer = 256 << 10,
						.seconds = 60,
						.rtt_ns = 40 * SIM_MS,
						.cc = (enum berth_congestion)cc,
						.n_flows = counts[i],
						.rate_bps = 1250000,
						.queue_bytes = 50000}};
			uint64_t sum = 0, squares = 0, jain;

			start(&j, 1000 + i);
			finish(&j);
			for (unsigned k = 0; k < counts[i]; k++) {
				uint64_t x = j.received[k] / 1000;

				sum += x;
				squares += x * x;
			}
			jain = squares ? sum * sum * 100 / (counts[i] * squares) : 0;
			line("%-8s %u flows %8" PRIu64 " %5" PRIu64, cc_names[cc], counts[i], sum / j.row.seconds,
			     jain);
			must(jain >= 80, "%s, %u flows: Jain's index %" PRIu64 " %%", cc_names[cc], counts[i], jain);
			must(sum / j.row.seconds >= 1000, "%s, %u flows: %" PRIu64 " KB/s of 1250", cc_names[cc],
			     counts[i], sum / j.row.seconds);
		}
}

static void write_golden(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		perror(path);
		exit(2);
	}
	for (unsigned i = 0; i < n_lines; i++)
		fprintf(f, "%s\n", lines[i]);
	fclose(f);
}

static void compare(const char *path)
{
	FILE *f = fopen(path, "r");
	char want[256];

	if (!f) {
		perror(path);
		exit(2);
	}
	for (unsigned i = 0; i < n_lines; i++) {
		if (!fgets(want, sizeof(want), f))
			strcpy(want, "(nothing)\n");
		want[strcspn(want, "\n")] = 0;
		if (strcmp(want, lines[i]) != 0) {
			printf("-%s\n+%s\n", want, lines[i]);
			n_failed++;
		}
	}
	if (fgets(want, sizeof(want), f)) {
		printf("-%s", want);
		n_failed++;
	}
	fclose(f);
}

/* throughput --one CC BUFFER_KIB RTT_MS LOSS_PPM SECONDS SEED: one world, told frame by frame. */
static int one(char **v)
{
	struct row r = {.cc = (enum berth_congestion)(strcmp(v[0], "cubic") == 0),
			.buffer = (uint32_t)strtoul(v[1], NULL, 10) << 10,
			.rtt_ns = strtoul(v[2], NULL, 10) * SIM_MS,
			.loss_ppm = (uint32_t)strtoul(v[3], NULL, 10),
			.seconds = (uint32_t)strtoul(v[4], NULL, 10),
			.n_flows = 1,
			.rate_bps = 12500000,
			.queue_bytes = 250000};
	uint64_t received;

	told = true;
	run(&r, strtoull(v[5], NULL, 0), &received);
	printf("%" PRIu64 " octets\n", received);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "--one") == 0)
		return one(argv + 2);
	one_flow();
	small_buffers();
	fairness();
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		write_golden(argv[2]);
	else if (argc == 2)
		compare(argv[1]);
	else
		for (unsigned i = 0; i < n_lines; i++)
			puts(lines[i]);
	if (n_failed)
		printf("%u differences; if they are meant: throughput --write tests/golden/stack-throughput.txt\n",
		       n_failed);
	return n_failed > 0;
}
