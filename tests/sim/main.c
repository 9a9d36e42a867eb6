/* tests/sim/main.c: runs worlds, each in a process of its own, so that an assertion or an endless loop is one more way to fail.
 *
 *	sim [NAME] [--seed S] [--seeds N] [--first S] [--jobs J] [--seconds T]	N seeds of all tests, or of one; 1 without --seeds
 *	sim NAME --seed S --trace [--pcap FILE]		one world, told frame by frame
 *	sim NAME --seed S --set draw=0 ...		the same with draws given
 *	sim NAME --seed S --shrink			find a smaller world that fails in the same way
 *	sim --digest --seeds N				a line "name seed digest" for each: two builds must print the same
 *	sim --list
 *	... --least N					with --seconds: so many of the seeds run whatever the time, or it failed
 *	... --break S					an oracle is wrong for seed S, so that a failure can be tested (tools.py)
 *
 * Shrinking: each draw in turn is set to its lowest value, then to half of what it was, as long as the same oracle fails. The result is
 * a line to replay.
 */
#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "link/pcap.h"
#include "tests.h"

#define WORLD_SECONDS 60 /* of real time, for one world; a busy machine is slow */
#define TEXT_MAX 2048

#define DECLARE(name, share, least) void sim_test_##name(struct sim *s);
SIM_TESTS(DECLARE)

static const struct test {
	const char *name;
	void (*run)(struct sim *s);
	unsigned share, least;
} tests[] = {
#define ROW(name, share, least) {#name, sim_test_##name, share, least},
	SIM_TESTS(ROW)};

static struct {
	const char *only, *pcap;
	uint64_t seed, first, n_seeds, least, broken_seed;
	unsigned jobs, seconds;
	bool has_broken, has_seconds, has_seed, trace, digest, shrink, list, no_fork, low;
	struct sim_set sets[256];
	unsigned n_sets;
} args = {.first = 1, .jobs = 2};

/* --- one world --- */

static void print_replay(const struct sim *s)
{
	printf("replay: build/tests/sim/sim %s --seed 0x%" PRIx64, s->name, s->seed);
	for (unsigned i = 0; i < s->n_sets; i++)
		printf(" --set %s=%" PRIu64, s->sets[i].name, s->sets[i].value);
	if (args.has_broken)
		printf(" --break 0x%" PRIx64, args.broken_seed);
	puts(s->is_low ? " --low --trace" : " --trace");
}

static int result_fd = -1; /* the parent's pipe */

static void tell(const struct sim *s, const char *kind, const char *text)
{
	char line[TEXT_MAX];
	int n;

	if (result_fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s %016" PRIx64 " %" PRIu64 " %s\n", kind, s->digest, s->n_frames, text);
	if (n < 0 || write(result_fd, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line)) < 0)
		_exit(3);
	/* for the shrinker: what was drawn */
	for (unsigned i = 0; i < s->n_drawn && args.shrink; i++)
		if (s->drawn[i].value) {
			n = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", s->drawn[i].name, s->drawn[i].value);
			if (write(result_fd, line, (size_t)n) < 0)
				_exit(3);
		}
}

_Noreturn void sim_fail(struct sim *s, const char *oracle, const char *fmt, ...)
{
	char text[TEXT_MAX / 2], all[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "%s: %s%s%s (at %.6f s)", oracle, text, s->row ? ", row: " : "",
		 s->row ? s->row : "", (double)s->now_ns / 1e9);
	if (result_fd < 0) {
		printf("FAIL %s: %s\n", s->name, all);
		print_replay(s);
	}
	tell(s, "FAIL", all);
	fflush(stdout);
	if (s->pcap)
		fclose(s->pcap);
	_exit(1);
}

static FILE *open_pcap(const char *path)
{
	uint8_t block[256];
	FILE *f = fopen(path, "wb");
	int n;

	if (!f) {
		fprintf(stderr, "sim: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	n = pcap_section(block, sizeof(block), "berth's simulator");
	if (n < 0 || fwrite(block, 1, (size_t)n, f) != (size_t)n) /* interfaces: wire.c */
		exit(2);
	return f;
}

static void run_world(const struct test *t, uint64_t seed, const struct sim_set *sets, unsigned n_sets)
{
	struct sim *s = calloc(1, sizeof(*s));

	ASSERT(s);
	s->name = t->name;
	s->seed = seed;
	s->trace = args.trace && result_fd < 0;
	s->observer = observer_new();
	ASSERT(s->observer);
	memcpy(s->sets, sets, n_sets * sizeof(sets[0]));
	s->n_sets = n_sets;
	s->is_low = args.low;
	s->is_broken = args.has_broken && seed == args.broken_seed;
	if (args.pcap)
		s->pcap = open_pcap(args.pcap);
	s->now_ns = draw_clock(s);
	t->run(s);
	tell(s, "ok", "");
	if (result_fd < 0)
		printf("ok %s seed 0x%" PRIx64 " digest %016" PRIx64 ", %" PRIu64 " frames, %.3f s\n", t->name, seed,
		       s->digest, s->n_frames, (double)s->now_ns / 1e9);
	if (s->pcap)
		fclose(s->pcap);
	fflush(stdout);
	_exit(0); /* the memory of a world goes with its process */
}

/* --- a world in a process --- */

struct child {
	pid_t pid;
	int fd;
	const struct test *test;
	uint64_t seed;
	size_t n;
	char text[65536];
};

static void start(struct child *c, const struct test *t, uint64_t seed, const struct sim_set *sets, unsigned n_sets)
{
	int fd[2];

	fflush(stdout);
	if (pipe(fd) < 0 || (c->pid = fork()) < 0) {
		perror("sim");
		exit(2);
	}
	if (c->pid == 0) {
		close(fd[0]);
		result_fd = fd[1];
		dup2(fd[1], 2); /* an assertion's words, a sanitizer's */
		alarm(WORLD_SECONDS);
		run_world(t, seed, sets, n_sets);
	}
	close(fd[1]);
	c->fd = fd[0];
	c->test = t;
	c->seed = seed;
	c->n = 0;
}

/* Everything it says, then its end. */
static void finish(struct child *c)
{
	int status;
	ssize_t n;

	while (c->n < sizeof(c->text) - 1 && (n = read(c->fd, c->text + c->n, sizeof(c->text) - 1 - c->n)) > 0)
		c->n += (size_t)n;
	c->text[c->n] = 0;
	close(c->fd);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	if (strncmp(c->text, "ok ", 3) != 0 && strncmp(c->text, "FAIL ", 5) != 0) {
		char why[64];
		size_t len;

		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			snprintf(why, sizeof(why), "FAIL 0 0 endless: it ran for %d s\n", WORLD_SECONDS);
		else
			snprintf(why, sizeof(why), "FAIL 0 0 crash: status %x\n", (unsigned)status);
		len = strlen(why);
		memmove(c->text + len, c->text, sizeof(c->text) - len - 1);
		memcpy(c->text, why, len);
		c->text[sizeof(c->text) - 1] = 0;
	}
}

static bool has_failed(const struct child *c)
{
	return strncmp(c->text, "FAIL ", 5) == 0;
}

/* "FAIL digest frames oracle: words": the oracle's name and its length. */
static const char *oracle_of(const char *text, size_t *ret_len)
{
	for (int i = 0; i < 3 && text; i++) {
		text = strchr(text, ' ');
		text = text ? text + 1 : NULL;
	}
	*ret_len = text ? strcspn(text, ":\n") : 0;
	return text ? text : "";
}

static void print_failure(const struct child *c, const struct sim_set *sets, unsigned n_sets)
{
	struct sim s = {.name = c->test->name, .seed = c->seed, .n_sets = n_sets, .is_low = args.low};
	size_t len;
	const char *words = oracle_of(c->text, &len);

	memcpy(s.sets, sets, n_sets * sizeof(sets[0]));
	printf("FAIL %s: %.*s\n", c->test->name, (int)strcspn(words, "\n"), words);
	if (len && (strncmp(words, "crash", 5) == 0)) {
		const char *more = strchr(words, '\n');

		if (more)
			printf("%.3000s\n", more + 1);
	}
	print_replay(&s);
}

/* --- shrinking --- */

static bool same_failure(const struct child *a, const struct child *b)
{
	size_t la, lb;
	const char *pa = oracle_of(a->text, &la), *pb = oracle_of(b->text, &lb);

	return has_failed(a) && has_failed(b) && la == lb && memcmp(pa, pb, la) == 0;
}

/* The draws that are not lowest, from a child's words: names and values. */
static unsigned draws_of(const struct child *c, struct sim_set *ret, unsigned max)
{
	const char *line = strchr(c->text, '\n');
	unsigned n = 0;

	while (line && n < max && sscanf(line + 1, "%47s %" SCNu64, ret[n].name, &ret[n].value) == 2) {
		n++;
		line = strchr(line + 1, '\n');
	}
	return n;
}

static void set_draw(struct sim_set *sets, unsigned *n, const char *name, uint64_t value)
{
	for (unsigned i = 0; i < *n; i++)
		if (strcmp(sets[i].name, name) == 0) {
			sets[i].value = value;
			return;
		}
	ASSERT(*n < 256);
	memcpy(sets[*n].name, name, sizeof(sets[*n].name));
	sets[(*n)++].value = value;
}

static int shrink(const struct test *t, uint64_t seed)
{
	static struct child first, best, now;
	static struct sim_set draws[1024], sets[256], trial[256];
	unsigned n_draws, n_sets = 0, n_trial, tries = 0;
	bool smaller = true;

	start(&first, t, seed, sets, 0);
	finish(&first);
	if (!has_failed(&first)) {
		printf("%s seed 0x%" PRIx64 " does not fail\n", t->name, seed);
		return 0;
	}
	best = first;
	while (smaller && tries < 600) {
		smaller = false;
		n_draws = draws_of(&best, draws, COUNT_OF(draws));
		for (unsigned i = 0; i < n_draws && tries < 600 && n_sets < 250; i++)
			for (uint64_t v = 0; v < draws[i].value; v += (draws[i].value - v + 1) / 2) {
				memcpy(trial, sets, sizeof(trial));
				n_trial = n_sets;
				set_draw(trial, &n_trial, draws[i].name, v);
				start(&now, t, seed, trial, n_trial);
				finish(&now);
				tries++;
				if (same_failure(&first, &now)) {
					memcpy(sets, trial, sizeof(sets));
					n_sets = n_trial;
					best = now;
					smaller = true;
					break;
				}
				if (v > 0 && draws[i].value - v < 2)
					break;
			}
	}
	printf("after %u worlds:\n", tries);
	n_draws = draws_of(&best, draws, 256); /* what is not lowest says it all */
	args.low = true;
	print_failure(&best, draws, n_draws);
	return 1;
}

/* --- many worlds --- */

/* World number i: which test, which seed. Each test's fixed number of seeds comes first, then n are shared out. */
static bool world(uint64_t i, uint64_t n, const struct test **ret, uint64_t *ret_seed)
{
	uint64_t share = 0, total = 0;

	for (size_t k = 0; k < COUNT_OF(tests); k++) {
		if (args.only && strcmp(args.only, tests[k].name) != 0)
			continue;
		uint64_t mine = args.only ? n : tests[k].least;

		if (i < mine) {
			*ret = &tests[k];
			*ret_seed = args.has_seed ? args.seed + i : args.first + i;
			return true;
		}
		i -= mine;
		total += tests[k].share;
	}
	if (args.only || i >= n)
		return false;
	for (size_t k = 0; k < COUNT_OF(tests); k++) {
		share += tests[k].share;
		if (tests[k].share && i * 389 % 1000 * total / 1000 < share) {
			*ret = &tests[k];
			*ret_seed = args.first + i;
			return true;
		}
	}
	return false;
}

static unsigned report(const struct child *c)
{
	size_t len;

	if (has_failed(c)) {
		print_failure(c, args.sets, args.n_sets);
		return 1;
	}
	oracle_of(c->text, &len);
	if (args.digest)
		printf("%s 0x%" PRIx64 " %.16s\n", c->test->name, c->seed, c->text + 3);
	return 0;
}

/* Worlds that run whatever the time: the fixed ones, and --least of those that are drawn. */
static uint64_t least_worlds(void)
{
	uint64_t n = args.least;

	for (size_t k = 0; k < COUNT_OF(tests) && !args.only; k++)
		n += tests[k].least;
	return n;
}

static int run_many(void)
{
	static struct child children[16];
	struct timespec begun, now;
	unsigned n_failed = 0;
	uint64_t next = 0, n = args.n_seeds ? args.n_seeds : 1, n_run = 0, least = least_worlds();
	bool more = true;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	/* results are taken in the order of starting, so that the output is the same each time */
	while (more || n_run < next) {
		const struct test *t;
		uint64_t seed;

		while (more && next - n_run < args.jobs) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (!world(next, n, &t, &seed) ||
			    (args.has_seconds && next >= least && now.tv_sec - begun.tv_sec >= (time_t)args.seconds)) {
				more = false;
				break;
			}
			start(&children[next % COUNT_OF(children)], t, seed, args.sets, args.n_sets);
			next++;
		}
		if (n_run < next) {
			struct child *c = &children[n_run++ % COUNT_OF(children)];

			finish(c);
			n_failed += report(c);
			if (n_failed >= 20)
				more = false;
		}
	}
	if (!args.digest)
		printf("%" PRIu64 " worlds, %u failed\n", n_run, n_failed);
	if (args.least && n_run < least) {
		printf("FAIL: fewer than %" PRIu64 "\n", least);
		return 1;
	}
	return n_failed > 0;
}

/* --- arguments --- */

static void add_set(const char *text)
{
	const char *eq = strchr(text, '=');
	struct sim_set *v = &args.sets[args.n_sets];

	if (!eq || (size_t)(eq - text) >= sizeof(v->name) || args.n_sets == COUNT_OF(args.sets)) {
		fprintf(stderr, "sim: --set NAME=VALUE\n");
		exit(2);
	}
	memcpy(v->name, text, (size_t)(eq - text));
	v->value = strtoull(eq + 1, NULL, 0);
	args.n_sets++;
}

static bool take_flag(const char *a)
{
	const struct {
		const char *name;
		bool *to;
	} flags[] = {{"--trace", &args.trace}, {"--digest", &args.digest},   {"--shrink", &args.shrink},
		     {"--list", &args.list},   {"--no-fork", &args.no_fork}, {"--low", &args.low}};

	for (size_t i = 0; i < COUNT_OF(flags); i++)
		if (strcmp(a, flags[i].name) == 0)
			return *flags[i].to = true;
	return false;
}

static void take_value(const char *a, const char *v)
{
	if (!v) {
		fprintf(stderr, "sim: %s what?\n", a);
		exit(2);
	}
	if (strcmp(a, "--seed") == 0) {
		args.seed = strtoull(v, NULL, 0);
		args.has_seed = true;
	} else if (strcmp(a, "--seeds") == 0) {
		args.n_seeds = strtoull(v, NULL, 0);
	} else if (strcmp(a, "--least") == 0) {
		args.least = strtoull(v, NULL, 0);
	} else if (strcmp(a, "--break") == 0) {
		args.broken_seed = strtoull(v, NULL, 0);
		args.has_broken = true;
	} else if (strcmp(a, "--first") == 0) {
		args.first = strtoull(v, NULL, 0);
	} else if (strcmp(a, "--jobs") == 0) {
		args.jobs = (unsigned)strtoul(v, NULL, 0);
		args.jobs = args.jobs < 1 ? 1 : args.jobs > 16 ? 16 : args.jobs;
	} else if (strcmp(a, "--seconds") == 0) {
		args.seconds = (unsigned)strtoul(v, NULL, 0);
		args.has_seconds = true;
	} else if (strcmp(a, "--pcap") == 0) {
		args.pcap = v;
	} else if (strcmp(a, "--set") == 0) {
		add_set(v);
	} else {
		fprintf(stderr, "sim: what is %s? (tests/sim/README.md)\n", a);
		exit(2);
	}
}

static const struct test *named(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(tests); i++)
		if (name && strcmp(tests[i].name, name) == 0)
			return &tests[i];
	fprintf(stderr, "sim: no test is called %s; --list prints them\n", name ? name : "nothing");
	exit(2);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			args.only = named(argv[i])->name;
		else if (!take_flag(argv[i])) {
			take_value(argv[i], i + 1 < argc ? argv[i + 1] : NULL);
			i++;
		}
	}
	if (args.list) {
		for (size_t i = 0; i < COUNT_OF(tests); i++)
			puts(tests[i].name);
		return 0;
	}
	if (args.shrink)
		return shrink(named(args.only), args.seed);
	if (args.has_seed && !args.n_seeds && (args.trace || args.pcap || args.no_fork))
		run_world(named(args.only), args.seed, args.sets, args.n_sets);
	return run_many();
}
