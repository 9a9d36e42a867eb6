/* src/cli/cmd_wait.c: `berth wait HOST:PORT`: return when somebody listens there; the piece every test suite lacks.
 *
 * Listening is waited for on the network's count of changes (network/change.c): we are woken by the listen() itself, and
 * look again. What is not there yet is waited for, too: a host is a change like others; the network's folder is watched with
 * inotify, or the folder above it. Every sleep ends after a second at the latest, so that nothing that can happen to a
 * file others may remove keeps us asleep for ever: then we see whether the network is still the one we opened.
 *
 * Many development servers try a port before they take it: vite and others listen on it for a moment and close it again. Who
 * returned at that would find nobody. So a listener that has not been there for long counts when its process was seen asleep
 * while it listened: one that means it goes to sleep in its accept() or poll(), one that tries goes on to its close(), and may
 * take long for it because everybody is busy. Asleep while it listened: the same socket is found before and after. And that
 * twice, half a millisecond apart, for a process also sleeps when close() waits for a lock. After OLD_US it counts in any case.
 *
 * The opposite, --gone, has nobody who would wake us: a process that dies says nothing to the network. So each process
 * that has the socket open is watched by a pidfd, whose poll() ends with the process; and because a program may close its
 * listener and live on, or its socket be known to a process that we may not look into, the kernel is asked now and then as
 * well, after 2 ms at first and each 100 ms later.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/folder.h"
#include "cli/proc.h"
#include "cli/place.h"
#include "cli/worlds.h"

enum { OPT_ANY = CLI_LONG + 1, OPT_GONE };
enum { PLACES_MAX = 256, SLEEP_MAX_MS = 1000, PROBE_FIRST_MS = 2, PROBE_MAX_MS = 100, PIDFDS_MAX = 64 };
enum { OLD_US = 200000, SETTLE_US = 500, ASLEEP_ENOUGH = 2 };
#define TIMEOUT_MAX_S 1e9

struct waited {
	struct place place;
	struct place_look now;
	struct port_claim last; /* who had it when we looked */
	bool had, is_gone;
};

struct wait {
	struct cli *cli;
	struct waited *w;
	size_t n;
	bool any, gone, open;
	struct stat table;	   /* of the network we have open */
	uint64_t start_us, end_us; /* NEVER_US: no timeout */
};

static int left_ms(const struct wait *k, int most)
{
	uint64_t now = network_now_us(), left;

	if (k->end_us == NEVER_US)
		return most;
	left = now >= k->end_us ? 0 : (k->end_us - now + 999) / 1000;
	return left < (uint64_t)most ? (int)left : most;
}

static bool time_is_up(const struct wait *k)
{
	return k->end_us != NEVER_US && network_now_us() >= k->end_us;
}

/* --- the network, which may come and go --- */

static bool stat_table(const struct cli *cli, struct stat *ret)
{
	char path[NETWORK_PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/table", cli->net.dir);
	return stat(path, ret) == 0;
}

/* Return: 0, and k->open says whether it is there; an exit code, said. */
static int open_network(struct wait *k)
{
	static const struct network_options only_open;
	struct network_error e = {.what = ""};
	struct stat now;
	int r;

	if (k->open && stat_table(k->cli, &now) && now.st_ino == k->table.st_ino && now.st_dev == k->table.st_dev)
		return 0;
	r = network_open(&k->cli->net, k->cli->network_name, &only_open, &e);
	k->open = r == 0 && stat_table(k->cli, &k->table);
	if (r == 0 || r == -ENOENT)
		return 0;
	return e.what[0] ? cli_fail(k->cli, 0, "%s", e.what)
			 : cli_fail(k->cli, r, "cannot open the network '%s'", k->cli->network_name);
}

/* Sleep until something appears beside where the network will be. */
static int await_network(struct wait *k)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), watch = -1, r;
	char path[NETWORK_PATH_MAX] = "", *slash;
	struct network_error e;
	struct pollfd p;

	(void)!network_base_dir(false, path, &e);
	while (fd >= 0 && path[0] && watch < 0) {
		watch = inotify_add_watch(fd, path,
					  IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB);
		slash = strrchr(path, '/');
		if (watch >= 0 || errno != ENOENT || !slash || slash == path)
			break;
		*slash = '\0';
	}
	r = open_network(k); /* it may have come before we watched */
	if (r == 0 && !k->open) {
		p = (struct pollfd){.fd = watch >= 0 ? fd : -1, .events = POLLIN};
		(void)poll(&p, 1, left_ms(k, SLEEP_MAX_MS));
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* --- looking --- */

/* Look at every port: is it as we wait for it? */
static bool look(struct wait *k)
{
	size_t met = 0;

	for (size_t i = 0; i < k->n; i++) {
		struct waited *w = &k->w[i];
		int r = k->open ? place_look(k->cli, &w->place, &w->now) : 0;

		if (!k->open)
			w->now = (struct place_look){0};
		if (r < 0) /* a stopped process holds the lock, or the file is being mended: another time */
			w->now.reached = k->gone;
		if (w->now.reached || w->now.held) {
			w->last = w->now.claim;
			w->had = true;
			w->is_gone = false;
		} else if (w->now.buried) {
			w->last = w->now.dead;
			w->had = true;
			w->is_gone = true;
		} else {
			w->is_gone = true;
		}
		met += w->now.reached != k->gone;
	}
	return k->any ? met > 0 : met == k->n;
}

/* Is it on a processor, or would it be if one were free? */
static bool is_running(int32_t pid)
{
	char path[32], text[512], *p;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name before it may contain anything */
	return p && strlen(p) > 2 && strchr("RD", p[2]);
}

/* All is as we wait for it: will it stay, or does somebody only try the port? k->w[].now is as look() left it. */
static bool settles(struct wait *k)
{
	struct {
		uint64_t cookie;
		int asleep; /* times it was seen so since this socket listens */
	} seen[PLACES_MAX] = {0};

	for (;;) {
		uint64_t now = network_now_us();
		bool again = false;

		for (size_t i = 0; i < k->n; i++) {
			const struct port_claim *c = &k->w[i].now.claim;

			/* bound after now: in a time namespace of its own */
			if (!k->w[i].now.reached || c->since_us > now || now - c->since_us >= OLD_US)
				continue;
			if (seen[i].cookie != c->owner.cookie) {
				seen[i].cookie = c->owner.cookie;
				seen[i].asleep = 0;
			}
			if (seen[i].asleep >= ASLEEP_ENOUGH)
				continue; /* and it is still there */
			seen[i].asleep = is_running(c->owner.pid) ? 0 : seen[i].asleep + 1;
			again = true;
		}
		if (!again || time_is_up(k))
			return true;
		usleep(SETTLE_US);
		if (!look(k))
			return false;
	}
}

static int wait_listening(struct wait *k)
{
	int r = open_network(k);

	while (r == 0) {
		uint32_t seen = k->open ? network_change_seen(&k->cli->net) : 0;

		if (look(k) && settles(k))
			return CLI_OK;
		if (time_is_up(k))
			return CLI_NO;
		if (!k->open) {
			r = await_network(k);
			continue;
		}
		if (network_change_wait(&k->cli->net, seen, left_ms(k, SLEEP_MAX_MS)) == -EUCLEAN)
			usleep(PROBE_MAX_MS * 1000);
		r = open_network(k);
	}
	return r;
}

/* --- until nobody listens --- */

/* pidfds of the processes that have the sockets we wait for to go. */
static size_t open_pidfds(const struct wait *k, struct pollfd p[PIDFDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		int32_t pids[PROC_PIDS_MAX];
		struct port_holder h;
		uint32_t count;

		if (!k->w[i].now.reached)
			continue;
		count = proc_holder(NULL, NULL, &k->w[i].now.claim, network_now_us(), &h, pids);
		for (uint32_t j = 0; j < count && j < PROC_PIDS_MAX && n < PIDFDS_MAX; j++) {
			int fd = (int)syscall(SYS_pidfd_open, pids[j], 0);

			if (fd >= 0)
				p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
		}
	}
	return n;
}

static void close_all(struct pollfd *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(p[i].fd);
}

static int wait_gone(struct wait *k)
{
	struct pollfd p[PIDFDS_MAX];
	size_t n_fds = 0;
	int code, probe_ms = PROBE_FIRST_MS;
	bool known = false; /* p is of those who have the sockets now */

	for (;;) {
		code = open_network(k);
		if (code != 0 || look(k))
			break;
		code = CLI_NO;
		if (time_is_up(k))
			break;
		if (!known) {
			n_fds = open_pidfds(k, p);
			known = true;
		}
		if (poll(p, n_fds, left_ms(k, probe_ms)) >
		    0) { /* one has ended: its children may have the socket, too */
			close_all(p, n_fds);
			n_fds = 0;
			known = false;
			probe_ms = PROBE_FIRST_MS;
		} else if (probe_ms < PROBE_MAX_MS) {
			probe_ms = 2 * probe_ms < PROBE_MAX_MS ? 2 * probe_ms : PROBE_MAX_MS;
		}
	}
	close_all(p, n_fds);
	return code;
}

/* --- in vain --- */

/* "; node (pid 4711) has it, bound and not listening" */
static void say_why(const struct wait *k, const struct waited *w, char *s, size_t size)
{
	int32_t pids[PROC_PIDS_MAX];
	struct port_holder h;
	char pid[24] = "";

	s[0] = '\0';
	if (!k->open)
		snprintf(s, size, "; there is no network '%s'", k->cli->network_name);
	else if (!w->now.host)
		snprintf(s, size, "; there is no such host in network '%s'", k->cli->network_name);
	if (!w->had)
		return;
	proc_holder(NULL, NULL, &w->last, network_now_us(), &h, pids);
	if (w->is_gone) {
		snprintf(s, size, "; %s (pid %d) had it, and is gone or has closed it", h.program, w->last.owner.pid);
		return;
	}
	if (h.pid > 0)
		snprintf(pid, sizeof(pid), " (pid %d)", h.pid);
	snprintf(s, size, "; %s%s %s", h.program, pid, k->gone ? "has it" : "has it, bound and not listening");
}

static void say_missing(const struct wait *k)
{
	double s = (double)((network_now_us() - k->start_us) / 1000) / 1e3;

	for (size_t i = 0; i < k->n; i++) {
		const struct waited *w = &k->w[i];
		const struct place *t = &w->place;
		char port[16], host[NETWORK_NAME_MAX + PORT_ADDR_STR_MAX], why[300];

		if (w->now.reached != k->gone)
			continue;
		if (t->by_addr)
			port_addr_print(&t->addr, host);
		else if (!k->open || strcmp(t->host, CLI_HOST_AUTO) != 0 || folder_host(k->cli, false, host) != 0)
			snprintf(host, sizeof(host), "%s", t->host);
		say_why(k, w, why, sizeof(why));
		cli_warn(k->cli, "after %.3g s %s %s %s of host %s%s", s, k->gone ? "somebody still" : "nobody",
			 t->proto == PORT_UDP ? "receives on" : "listens on", cli_port(t->port, t->proto, port), host,
			 why);
	}
}

/* --- the command --- */

static bool parse_seconds(const char *text, double *ret)
{
	char *end;

	if ((*text < '0' || *text > '9') && *text != '.')
		return false;
	*ret = strtod(text, &end);
	return *end == '\0' && end != text && strpbrk(text, "xXpPnN") == NULL && *ret <= TIMEOUT_MAX_S;
}

static int run(struct cli *cli)
{
	static struct waited waited[PLACES_MAX];
	struct wait k = {.cli = cli, .w = waited, .start_us = network_now_us(), .end_us = NEVER_US};
	const char *texts[PLACES_MAX];
	bool quiet = false;
	double seconds;
	int c, r;

	while ((c = cli_next(cli)) != CLI_END) {
		switch (c) {
		case 't':
			if (!parse_seconds(cli->value, &seconds))
				return cli_usage(cli, "'%s' is not a number of seconds", cli->value);
			k.end_us = k.start_us + (uint64_t)(seconds * 1e6);
			break;
		case OPT_ANY:
			k.any = true;
			break;
		case OPT_GONE:
			k.gone = true;
			break;
		case 'q':
			quiet = true;
			break;
		case CLI_ARG:
			if (k.n == PLACES_MAX)
				return cli_usage(cli, "more than %d ports at once", PLACES_MAX);
			texts[k.n++] = cli->value;
			break;
		default:
			return cli->status;
		}
	}
	if (k.n == 0)
		return cli_usage(cli, "no port to wait for: berth wait HOST:PORT");
	(void)worlds_be_inside(cli); /* a test suite in a run waits for its own server */
	for (size_t i = 0; i < k.n; i++) {
		r = place_parse(cli, texts[i], &waited[i].place);
		if (r != 0)
			return r;
	}
	r = k.gone ? wait_gone(&k) : wait_listening(&k);
	if (r == CLI_NO && !quiet)
		say_missing(&k);
	return r;
}

static const struct cli_option options[] = {
	{'t', "timeout", "SECONDS", "give up after so long, fractions too; 0 looks once (default: never)"},
	{OPT_ANY, "any", NULL, "one of the ports is enough"},
	{OPT_GONE, "gone", NULL, "wait until nobody listens there any more"},
	{'q', "quiet", NULL, "do not say what is missing when the time is up"},
	{0},
};

const struct cmd cmd_wait = {
	"wait",
	"[options] HOST:PORT[/udp]...",
	"wait until a port listens, or until it does no more",
	"Returns as soon as each port listens (with /udp: is bound), woken by the listen() itself. The host and\n"
	"the network need not exist yet. A port whose program was killed does not count, any address of the host\n"
	"does; HOST may be an address, and without it the port is of the host of -H, within 'berth run' of the run's.\n"
	"\n"
	"Exits with 0 when it is so, with 1 when the time is up, and then says what is missing, one line for\n"
	"each port; 2 when called wrongly, 125 when the network cannot be read.\n"
	"\n"
	"Examples:\n"
	"  berth wait web:80 --timeout 10 && berth run -- curl http://web/\n"
	"  berth wait web:80 db:5432 dns:53/udp             all of them\n"
	"  berth wait --any a:80 b:80 -t 2.5                the first\n"
	"  berth wait --gone web:80                         until it is down\n",
	CMD_NETWORK | CMD_HOST,
	options,
	run,
};
