/* src/cli/cmd_run.c: `berth run`: a program on a host of its own.
 *
 * The network and the host are made when they are missing, the program gets four variables
 * (LD_PRELOAD, BERTH_NETWORK_DIR, BERTH_HOST, BERTH_RUN) and runs as our child (relay.c). While it
 * runs we only read what the shim writes down about refusals, and explain each kind once. When it has
 * ended, what it left is swept.
 *
 * Nothing may slip onto the machine's real network unnoticed, so a program that the shim will not
 * reach is refused before it runs, with the reason, unless --allow-outside says that this is meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/apparmor.h"
#include "cli/conf.h"
#include "cli/elf.h"
#include "cli/explain.h"
#include "cli/publisher.h"
#include "cli/relay.h"
#include "cli/run.h"
#include "cli/shim_file.h"

enum { OPT_SUBNET = CLI_LONG + 1, OPT_PRIVILEGED, OPT_ALLOW_OUTSIDE, OPT_VERBOSE };
enum { SEEN_MAX = 512, NO_PROXY_HOSTS_MAX = 256 };

struct told {
	char comm[16];
	uint32_t host;
	uint16_t port;
	uint8_t proto, call;
	enum port_reason reason;
	struct port_policy_refusal policy;
};

#define SPECS_MAX 64

struct run {
	struct cli *cli;
	struct publisher publisher;
	uint32_t number;
	uint64_t cursor;
	const struct net2 *net2;
	bool quiet, verbose;
	struct told seen[SEEN_MAX];
	uint32_t n_seen;
};

/* --- explanations --- */

static bool seen_before(struct run *run, const struct network_event *e, enum port_reason reason)
{
	struct told t;

	memset(&t, 0, sizeof(t)); /* compared whole, padding too */
	memcpy(t.comm, e->comm, sizeof(t.comm));
	t.host = e->host;
	t.port = e->want.port;
	t.proto = (uint8_t)e->want.proto;
	t.call = e->call;
	t.reason = reason;
	if (reason == PORT_REASON_POLICY_DENIED)
		t.policy = e->refusal.policy;
	for (uint32_t i = 0; i < run->n_seen; i++)
		if (memcmp(&run->seen[i], &t, sizeof(t)) == 0)
			return true;
	if (run->n_seen == SEEN_MAX)
		return true;
	memcpy(&run->seen[run->n_seen++], &t, sizeof(t));
	if (run->n_seen == SEEN_MAX)
		cli_warn(run->cli, "many different refusals: further ones are not explained");
	return false;
}

/* "python3 (pid 4711) was refused 80/tcp on host web: EADDRINUSE" */
static void headline(struct cli *cli, FILE *out, const struct network_event *e)
{
	char comm[sizeof(e->comm) + 1], endpoint[PORT_ENDPOINT_STR_MAX], port[16];
	const char *name = e->refusal.err < 0 ? strerrorname_np(-e->refusal.err) : NULL;
	struct network_host host;

	snprintf(comm, sizeof(comm), "%.*s", (int)sizeof(e->comm), e->comm);
	cli_clean(comm);
	if (network_host_at(&cli->net, e->host, &host) < 0)
		snprintf(host.name, sizeof(host.name), "?");
	if (e->want.port == 0)
		snprintf(port, sizeof(port), "a %s port", port_proto_name[e->want.proto]);
	else
		cli_port(e->want.port, e->want.proto, port);
	fprintf(out, "berth: %s (pid %d) ", comm, e->pid);
	switch (e->call) {
	case 'c':
	case 'p':
		fprintf(out, "cannot %s %s from host %s",
			e->call == 'p' && e->want.proto == PORT_UDP ? "send to" : "connect to",
			port_endpoint_print(&e->want.addr, e->want.port, endpoint), host.name);
		break;
	case 'l':
		fprintf(out, "may not listen on %s on host %s", port, host.name);
		break;
	case 'k':
		fprintf(out, "waited in vain for the port table of host %s", host.name);
		break;
	default:
		fprintf(out, "was refused %s on host %s", port, host.name);
	}
	fprintf(out, ": %s\n", name ? name : "an error");
}

/* In one write: the program is complaining on the same terminal at this moment. */
static void tell(struct run *run, const struct network_event *e)
{
	struct port_explanation x;
	struct port_holder holder;
	size_t len_bytes, done = 0;
	uint16_t near;
	char *text = NULL;
	FILE *out;

	if (seen_before(run, e, port_explain_reason(&e->want, &e->refusal)))
		return;
	explain_refusal(run->cli, e->host, &e->want, &e->refusal, &x, &holder, &near);
	out = open_memstream(&text, &len_bytes);
	if (!out)
		return;
	headline(run->cli, out, e);
	explain_lines(out, &x, explain_columns(stderr));
	if (fclose(out) == 0)
		while (done < len_bytes) {
			ssize_t n = write(STDERR_FILENO, text + done, len_bytes - done);

			if (n <= 0)
				break;
			done += (size_t)n;
		}
	free(text);
}

static void news(void *ctx)
{
	struct run *run = ctx;
	struct network_event e;

	/* Bounded: a program that is refused faster than we read must not keep us from its end. */
	for (int i = 0; i < 4096 && network_event_take(&run->cli->net, run->number, &run->cursor, &e) == 0; i++)
		if (!run->quiet && (unsigned)e.want.proto < PORT_NPROTOS)
			tell(run, &e);
}

static void say_line(void *ctx, bool always, const char *text)
{
	const struct run *run = ctx;
	char clean[400];

	snprintf(clean, sizeof(clean), "%s", text);
	if (run->verbose || (always && !run->quiet))
		cli_warn(run->cli, "%s", cli_clean(clean));
}

static void started(void *ctx, int32_t pid)
{
	const struct run *run = ctx;
	char profile[APPARMOR_NAME_MAX];

	if (run->quiet || !apparmor_holds(pid, profile))
		return;
	cli_warn(
		run->cli,
		"the AppArmor profile '%s' holds the command: where it is refused a file that berth needs, it is not in "
		"the network ('aa-complain %s' lets it, and writes down what it used)",
		cli_clean(profile), profile);
}

static int publisher_news(void *ctx)
{
	struct run *run = ctx;

	if (publisher_hear(run->cli, &run->publisher, false))
		return run->publisher.news;
	cli_warn(run->cli, "the publisher of this run was ended: its ports are published no more");
	return -1;
}

static void no_net(void *ctx, int err)
{
	struct run *run = ctx;

	if (!run->quiet && !run->net2->needed)
		cli_warn(run->cli, "no second net (%s): what calls the kernel past libc uses the machine's own network",
			 err == EBUSY ? "another supervisor watches this tree" : strerror(err));
}

/* --- the program's environment --- */

static bool put_env(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool put_env(const char *name, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return false;
	n = setenv(name, s, 1);
	free(s);
	return n == 0;
}

/* Ours first; a nested run does not load it twice, and a shim of another place would be a second one. */
static bool put_preload(const char *shim)
{
	static const char file[] = "/libberth.so";
	const char *old = getenv("LD_PRELOAD");
	char *rest = old ? strdup(old) : NULL, *save = NULL, *all = NULL;
	bool ok;

	for (char *p = rest ? strtok_r(rest, " :", &save) : NULL; p; p = strtok_r(NULL, " :", &save)) {
		size_t len = strlen(p);
		char *more;

		if (len >= sizeof(file) - 1 && strcmp(p + len - (sizeof(file) - 1), file) == 0)
			continue;
		if (asprintf(&more, "%s:%s", all ? all : "", p) < 0)
			continue;
		free(all);
		all = more;
	}
	ok = put_env("LD_PRELOAD", "%s%s", shim, all ? all : "");
	free(all);
	free(rest);
	return ok;
}

/* A proxy outside cannot reach our hosts: their names and addresses are to be asked directly. */
static bool put_no_proxy(struct cli *cli)
{
	const char *old = getenv("no_proxy") ? getenv("no_proxy") : getenv("NO_PROXY");
	static char list[32768]; /* not on a stack that may be 64 KiB */
	char a[PORT_ADDR_STR_MAX];
	struct network_info info;
	uint32_t n = network_n_hosts(&cli->net);
	size_t at;

	network_get_info(&cli->net, &info);
	at = (size_t)snprintf(list, sizeof(list), "localhost,127.0.0.1,::1,.berth,%s/%u",
			      port_addr_print(&info.net4, a), info.prefix4_bits >= 96 ? info.prefix4_bits - 96 : 0);
	at += (size_t)snprintf(list + at, sizeof(list) - at, ",%s/%u", port_addr_print(&info.net6, a),
			       info.prefix6_bits);
	for (uint32_t i = 0; i < n && i < NO_PROXY_HOSTS_MAX && at < sizeof(list) - 200; i++) {
		struct network_host h;

		if (network_host_at(&cli->net, i, &h) == 0)
			at += (size_t)snprintf(list + at, sizeof(list) - at, ",%s,%s", h.name,
					       port_addr_print(&h.addr4, a));
	}
	if (old && strstr(old, list)) /* a nested run of the same network */
		return true;
	return put_env("no_proxy", "%s%s%s", old ? old : "", old && *old ? "," : "", list) &&
	       put_env("NO_PROXY", "%s", getenv("no_proxy"));
}

/* --- what will run --- */

static const char *const why_not_preloaded[] = {
	[ELF_OK] = NULL,
	[ELF_STATIC] = "is statically linked",
	[ELF_MUSL] = "is linked with musl, and berth's library is for glibc",
	[ELF_FOREIGN] = "is for another architecture",
	[ELF_GO] = "is a Go program, which calls the kernel past libc",
	[ELF_SECURE] = "runs with more rights than you have (setuid, setgid or capabilities)",
};

/* Commands that only ask a service to do the work: what runs then is not our child. */
static const char *const elsewhere[] = {"docker",  "podman", "nerdctl", "systemctl", "systemd-run",
					"service", "snap",   "flatpak", "kubectl",   "machinectl",
					"at",	   "batch",  "crontab"};

/* What cannot be served at all is refused, by name and reason; what will be served otherwise than the person
 * may think is told. */
static int check_reach(struct cli *cli, const char *path, struct net2 *net2, bool quiet, bool verbose)
{
	const char *base = strrchr(path, '/'), *why;
	char file[PATH_MAX];
	enum elf_reach reach = elf_reach_of(path, file, sizeof(file));

	base = base ? base + 1 : path;
	for (size_t i = 0; i < COUNT_OF(elsewhere) && !quiet; i++)
		if (strcmp(base, elsewhere[i]) == 0)
			cli_warn(
				cli,
				"%s asks a service elsewhere to do the work: what that starts is not in berth's network",
				base);
	if (reach == ELF_OK)
		return 0;
	cli_clean(file);
	why = why_not_preloaded[reach];
	net2->needed = !net2->allow_outside && !net2->inside;
	if (reach == ELF_FOREIGN || net2->without) {
		if (!net2->allow_outside)
			return cli_fail(
				cli, 0,
				"%s %s%s; it would use the machine's own network (--allow-outside runs it all the same)",
				file, why,
				net2->without
					? ", and this kernel has no seccomp user notification (Linux 5.14) to serve it by"
					: "");
		if (!quiet)
			cli_warn(cli, "%s %s: it uses the machine's own network", file, why);
		return 0;
	}
	if (reach == ELF_SECURE && geteuid() != 0 && !quiet)
		cli_warn(cli, "%s %s: under berth it runs without them (no_new_privs), unless you are root", file, why);
	else if (verbose)
		cli_warn(cli, "%s %s: served by the second net", file, why);
	return 0;
}

static int find_program(struct cli *cli, const char *name, char path[PATH_MAX])
{
	char shown[256];
	int r = elf_find_command(name, path, PATH_MAX);

	snprintf(shown, sizeof(shown), "%s", name);
	cli_clean(shown);
	if (r == -ENOENT) {
		cli_warn(cli, "%s: no such command", shown);
		return CLI_NOT_FOUND;
	}
	if (r < 0) {
		cli_warn(cli, "%s: %s", shown, r == -EACCES ? "found, but it cannot be executed" : strerror(-r));
		return CLI_NOT_EXECUTABLE;
	}
	return 0;
}

/* A network that exists keeps what it was made with; asking for something else is a mistake. */
static int check_made_so(struct cli *cli, const struct network_options *o, bool privileged_given)
{
	struct network_info info;

	network_get_info(&cli->net, &info);
	if (privileged_given && info.privileged_deny != o->privileged_deny)
		return cli_fail(
			cli, 0,
			"network '%s' was made with --privileged-ports=%s; remove it ('berth net rm %s') to change that",
			cli->network_name, info.privileged_deny ? "deny" : "allow", cli->network_name);
	if (o->subnet) {
		char a[PORT_ADDR_STR_MAX], have[PORT_ADDR_STR_MAX + 8];

		snprintf(have, sizeof(have), "%s/%u", port_addr_print(&info.net4, a), info.prefix4_bits - 96);
		if (strcmp(have, o->subnet) != 0)
			return cli_fail(cli, 0,
					"network '%s' has the subnet %s; remove it ('berth net rm %s') to change that",
					cli->network_name, have, cli->network_name);
	}
	return 0;
}

/* The host has a program, for who asks that (network_publish_hold_host()), and the publisher a run. */
static void hold(struct cli *cli, struct net2 *net2, const struct publisher *publisher)
{
	int file = network_publish_open(&cli->net, true);

	if (file >= 0 && file <= 2) {
		int low = file;

		file = fcntl(low, F_DUPFD_CLOEXEC, 3);
		close(low);
	}
	if (file >= 0 && network_publish_hold_host(file, net2->host->index) == 0)
		net2->held[0] = file;
	net2->held[1] = publisher->life > 0 ? publisher->life : 0;
}

static void let_go(struct run *run, struct net2 *net2, bool last)
{
	if (net2->held[0] > 0)
		close(net2->held[0]);
	publisher_end(run->cli, &run->publisher, last);
}

static int run_it(struct cli *cli, const char *path, char **argv, struct net2 *net2, const struct publisher *publisher,
		  bool quiet, bool verbose)
{
	static struct run run; /* seen[] is big */
	struct relay relay = {.news = news,
			      .ctx = &run,
			      .net2 = net2,
			      .no_net = no_net,
			      .say = say_line,
			      .started = started,
			      .other = publisher->news,
			      .other_news = publisher_news};
	struct relay_end end;
	int number = network_run_open(&cli->net), r;

	if (number < 0 && number != -ENOSPC)
		return cli_fail(cli, number, "no room for another run in network '%s'", cli->network_name);
	run = (struct run){.cli = cli,
			   .publisher = *publisher,
			   .number = (uint32_t)number,
			   .net2 = net2,
			   .quiet = quiet,
			   .verbose = verbose};
	net2->has_run = number >= 0;
	net2->run = run.number;
	relay.word = network_event_word(&cli->net, run.number);
	if (number < 0) { /* more runs at once than there are records: all works but the explanations */
		static uint32_t never;

		cli_warn(cli, "very many runs in network '%s': refusals of this one will not be explained",
			 cli->network_name);
		relay.word = &never;
		unsetenv("BERTH_RUN");
	} else if (!put_env("BERTH_RUN", "%d", number)) {
		network_run_close(&cli->net, run.number);
		return cli_fail(cli, -ENOMEM, "cannot set the environment");
	}
	if (net2->without && !net2->needed)
		no_net(&run, ENOSYS);
	fflush(NULL);
	hold(cli, net2, publisher);
	r = relay_run(path, argv, &relay, &end);
	let_go(&run, net2, r < 0 || end.last || !end.executed);
	/* What the command left goes with it, if it did not take long to look at everybody. */
	(void)network_sweep(&cli->net, network_sweep_due(&cli->net) ? NETWORK_HOSTS_MAX : net2->host->index);
	network_run_close(&cli->net, run.number);
	if (r < 0)
		return cli_fail(cli, r, "cannot start %s", argv[0]);
	if (!end.executed && !end.exec_errno)
		return cli_fail(
			cli, -end.net_errno,
			"%s cannot be served: the second net cannot be put on (--allow-outside runs it without)",
			argv[0]);
	if (!end.executed) {
		cli_warn(cli, "%s: %s", argv[0],
			 end.exec_errno == ENOENT ? "its interpreter or loader does not exist"
						  : strerror(end.exec_errno));
		return CLI_NOT_EXECUTABLE;
	}
	return relay_exit_code(end.status);
}

int run_command(struct cli *cli, const struct run_how *how, char **argv)
{
	static struct port_policy_chain policy;
	struct net2 net2 = {.net = &cli->net, .policy = &policy, .allow_outside = how->allow_outside};
	static char shim[PATH_MAX], what[PATH_MAX + 128], path[PATH_MAX];
	struct publisher_order publish = how->publish;
	struct publisher publisher = {.news = -1, .life = -1};
	struct network_host host;
	int r;

	r = policy_check(cli, &how->policy);
	if (r != 0)
		return r;
	net2.inside = net2_inside();
	net2.without = !net2.inside && net2_possible() < 0;
	r = find_program(cli, argv[0], path);
	if (r == 0)
		r = check_reach(cli, path, &net2, how->quiet, how->verbose);
	if (r != 0)
		return r;
	r = shim_file_find(shim, sizeof(shim), what, sizeof(what));
	if (r < 0)
		return cli_fail(cli, 0, "%s", what);
	r = cli_network(cli, &how->o, NULL);
	if (r == 0)
		r = check_made_so(cli, &how->o, how->privileged_given);
	if (r == 0)
		r = cli_host(cli, how->o.create, &host, NULL);
	if (r == 0 && how->check_host)
		r = how->check_host(cli, &host);
	if (r == 0)
		r = policy_of_run(cli, &how->policy, &policy);
	if (r != 0)
		return r;
	if (!put_preload(shim) || !put_env("BERTH_NETWORK_DIR", "%s", cli->net.dir) ||
	    !put_env("BERTH_HOST", "%s", host.name) || !put_no_proxy(cli) || conf_set_environment(cli->conf) < 0)
		return cli_fail(cli, -ENOMEM, "cannot set the environment");
	net2.host = publish.host = &host;
	if (publish.n_specs || publish.all)
		r = publisher_start(cli, &publish, &publisher);
	return r ? r : run_it(cli, path, argv, &net2, &publisher, how->quiet, how->verbose);
}

static int run(struct cli *cli)
{
	static struct publish_spec specs[SPECS_MAX];
	struct run_how how = {.o.create = true, .publish = {.specs = specs, .with_run = true}};
	struct port_parse_error where;
	char **argv;
	int c;

	while ((c = cli_next(cli)) != CLI_END) {
		if (policy_option(cli, &how.policy, c))
			continue;
		switch (c) {
		case 'p':
			if (how.publish.n_specs == SPECS_MAX)
				return cli_usage(cli, "at most %d -p at a time; a range is one", SPECS_MAX);
			if (publish_spec_parse(cli->value, &specs[how.publish.n_specs++], &where) < 0)
				return cli_usage_at(cli, cli->value, &where);
			break;
		case 'P':
			how.publish.all = true;
			break;
		case 'q':
			how.quiet = true;
			break;
		case OPT_SUBNET:
			how.o.subnet = cli->value;
			break;
		case OPT_ALLOW_OUTSIDE:
			how.allow_outside = true;
			break;
		case OPT_VERBOSE:
			how.verbose = true;
			break;
		case OPT_PRIVILEGED:
			if (strcmp(cli->value, "deny") != 0 && strcmp(cli->value, "allow") != 0)
				return cli_usage(cli, "--privileged-ports is 'allow' or 'deny', not '%s'", cli->value);
			how.privileged_given = true;
			how.o.privileged_deny = strcmp(cli->value, "deny") == 0;
			break;
		default:
			return cli->status;
		}
	}
	argv = cli_rest(cli);
	if (!argv[0])
		return cli_usage(cli, "no command to run: berth run [-H HOST] -- COMMAND");
	return run_command(cli, &how, argv);
}

static const struct cli_option options[] = {
	{'p', "publish", "[ADDR:]OUTER[:INNER]",
	 "publish the program's port INNER on the machine's port OUTER; with +splice behind it octets are carried"},
	{'P', "publish-all", NULL, "publish whatever it listens on, and UDP ports that it binds"},
	{OPT_SUBNET, "subnet", "NET/BITS", "IPv4 subnet of the network, when it is made"},
	{OPT_PRIVILEGED, "privileged-ports", "allow|deny",
	 "may ports below 1024 be had, when it is made (default: allow)"},
	{'q', "quiet", NULL, "do not explain refusals"},
	{OPT_VERBOSE, "verbose", NULL, "also say which programs go past libc and are served by the second net"},
	POLICY_OPTIONS,
	{OPT_ALLOW_OUTSIDE, "allow-outside", NULL, "run also what berth cannot serve; it uses the real network"},
	{0},
};

const struct cmd cmd_run = {
	"run",
	"[options] [--] COMMAND [ARGUMENT...]",
	"run a program on a host of its own, with all its ports",
	"The network and the host are made when they are missing; a host keeps its address. Programs on the\n"
	"same host share its ports and its loopback; hosts reach each other by name. When a program is refused\n"
	"a port, the reason is written to standard error, once.\n"
	"\n"
	"Host 'auto' is the one named after the folder's work tree. A berth.conf in the folder or above says what\n"
	"the options do not: network, host, ports, variables (docs/conf.md).\n"
	"\n"
	"Exits as COMMAND does (by the same signal, too); 125 when berth itself failed, 126 when COMMAND\n"
	"cannot be executed, 127 when it is not found, 2 when berth was called wrongly.\n"
	"\n"
	"Examples:\n"
	"  berth run -- python3 -m http.server 80     on host 'local', network 'default'\n"
	"  berth run -H web -- nginx -g 'daemon off;' another host: port 80 is free there\n"
	"  berth run -- curl http://web/              reaches it by name\n"
	"  berth run -H web -p 8080:80 -- nginx -g 'daemon off;'   and the browser does\n"
	"  berth run -H auto -p 0:3000 -- npm run dev one host for each work tree\n"
	"  berth run --isolated -- make test          nothing outside is reached\n"
	"  berth run --allow gateway:5432 -- ./app    but the machine's PostgreSQL\n"
	"  berth run -n test --privileged-ports=deny -- ./server 80   port 80 is refused\n",
	CMD_NETWORK | CMD_HOST | CMD_STOP,
	options,
	run,
};
