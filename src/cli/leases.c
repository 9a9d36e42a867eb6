/* src/cli/leases.c: `berth free --list` and `--drop`: the processes that hold ports, found and asked.
 *
 * They are found by their names in /proc/net/unix, which has this network namespace's only. Names are anybody's to take, so
 * what is believed of a process is what the kernel says of it (SO_PEERCRED): it must be the user its name says. One that is
 * stopped does not answer within two seconds, and that is said.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/free.h"

#define PATIENCE_S 2
#define ANSWER_MAX (sizeof(struct lease_answer) + FREE_MAX * sizeof(struct lease_port))

struct leases {
	char (*names)[sizeof(((struct sockaddr_un *)0)->sun_path)];
	size_t n;
};

/* --- finding --- */

/* Root sees everybody's of this world: the user's number is left out of what is compared. */
static bool is_lease(const char *name, const char *prefix, uid_t *ret_uid)
{
	unsigned uid;
	int n = 0;

	if (sscanf(name, "berth-free-%u-%n", &uid, &n) != 1 || n == 0)
		return false;
	*ret_uid = uid;
	if (geteuid() != 0)
		return strncmp(name, prefix, strlen(prefix)) == 0;
	(void)sscanf(prefix, "berth-free-%*u-%n", &n);
	prefix += n;
	(void)sscanf(name, "berth-free-%*u-%n", &n);
	return strncmp(name + n, prefix, strlen(prefix)) == 0;
}

static int find(struct cli *cli, struct leases *ret)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512], prefix[LEASE_NAME_MAX], *name;
	uid_t uid;
	int r = 0;

	*ret = (struct leases){0};
	if (!f)
		return cli_fail(cli, -errno, "cannot read /proc/net/unix, where leases are found");
	lease_name_prefix(geteuid(), prefix);
	while (r == 0 && fgets(line, sizeof(line), f)) {
		void *more;

		name = strstr(line, " @berth-free-");
		if (!name)
			continue;
		name += 2;
		name[strcspn(name, "\n")] = '\0';
		if (!is_lease(name, prefix, &uid) || strlen(name) + 1 >= sizeof(ret->names[0]))
			continue;
		if (ret->n && strcmp(ret->names[ret->n - 1], name) == 0)
			continue; /* a connection that waits for it has the name, too */
		more = realloc(ret->names, (ret->n + 1) * sizeof(ret->names[0]));
		if (!more) {
			r = cli_fail(cli, -ENOMEM, "cannot list leases");
			break;
		}
		ret->names = more;
		strcpy(ret->names[ret->n++], name);
	}
	fclose(f);
	return r;
}

/* --- asking --- */

/* Return: octets of the answer, and who gave it; 0: it is gone, or none of ours; -EAGAIN: it does not answer. */
static ssize_t ask(const char *name, const struct lease_request *q, struct lease_answer *ret, pid_t *ret_pid)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct ucred who;
	socklen_t len = sizeof(who);
	unsigned uid = 0;
	ssize_t n = -1;

	if (fd < 0)
		return 0;
	memcpy(a.sun_path + 1, name, strlen(name));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)sscanf(name, "berth-free-%u-", &uid);
	if (connect(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) <
	    0)
		n = errno == EAGAIN ? -EAGAIN : 0;
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.uid != uid)
		n = 0;
	if (n == 0 || n == -EAGAIN) {
		close(fd);
		return n;
	}
	*ret_pid = who.pid;
	n = send(fd, q, sizeof(*q), MSG_NOSIGNAL);
	if (n >= 0)
		n = recv(fd, ret, ANSWER_MAX, 0);
	if (n < 0)
		n = errno == EAGAIN ? -EAGAIN : 0;
	close(fd);
	if (n > 0 && (n < (ssize_t)sizeof(*ret) || ret->magic != LEASE_MAGIC ||
		      (q->op == LEASE_LIST && (size_t)n < sizeof(*ret) + (size_t)ret->n * sizeof(struct lease_port))))
		return 0;
	ret->by[sizeof(ret->by) - 1] = '\0';
	return n;
}

/* --- showing --- */

static int by_port(const void *a, const void *b)
{
	const struct lease_row *x = a, *y = b;

	return x->port.port != y->port.port ? (x->port.port > y->port.port ? 1 : -1) : x->pid - y->pid;
}

static const char *left(uint64_t ms, char s[24])
{
	uint64_t sec = (ms + 999) / 1000;

	if (ms == UINT64_MAX)
		return "-";
	if (sec < 120)
		snprintf(s, 24, "%lu s", (unsigned long)sec);
	else if (sec < 7200)
		snprintf(s, 24, "%lu min", (unsigned long)(sec / 60));
	else
		snprintf(s, 24, "%lu h", (unsigned long)(sec / 3600));
	return s;
}

static const char *protos(unsigned p)
{
	return p == BERTH_PORT_TCP ? "tcp" : p == BERTH_PORT_UDP ? "udp" : "tcp+udp";
}

static int print(struct cli *cli, struct lease_row *rows, size_t n)
{
	json_t *root;

	if (!cli->json) {
		printf("%s%-14s %-8s %-24s HELD BY%s\n", cli->colour_out ? "\033[1m" : "", "PORT", "LEFT", "FOR",
		       cli->colour_out ? "\033[0m" : "");
		for (size_t i = 0; i < n; i++) {
			char port[24], time[24], with[48] = "";

			snprintf(port, sizeof(port), "%u/%s", rows[i].port.port, protos(rows[i].port.protos));
			cli_clean(rows[i].lease.by);
			if (rows[i].lease.with)
				snprintf(with, sizeof(with), "%s, with pid %d", rows[i].lease.by, rows[i].lease.with);
			else
				snprintf(with, sizeof(with), "%s", rows[i].lease.by);
			printf("%-14s %-8s %-24s pid %d\n", port, left(rows[i].lease.left_ms, time), with, rows[i].pid);
		}
		return CLI_OK;
	}
	root = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(root,
				      json_pack("{s:i, s:b, s:b, s:o, s:o, s:o, s:i}", "port", rows[i].port.port, "tcp",
						(rows[i].port.protos & BERTH_PORT_TCP) != 0, "udp",
						(rows[i].port.protos & BERTH_PORT_UDP) != 0, "left_s",
						rows[i].lease.left_ms == UINT64_MAX
							? json_null()
							: json_real((double)rows[i].lease.left_ms / 1000),
						"with",
						rows[i].lease.with ? json_integer(rows[i].lease.with) : json_null(),
						"for", cli_json_text(rows[i].lease.by), "pid", (int)rows[i].pid));
	return cli_json(cli, root);
}

static void say_stopped(struct cli *cli, const char *name)
{
	int pid = 0;

	(void)sscanf(name, "berth-free-%*u-%*[^-]-%d", &pid);
	cli_warn(cli, "process %d, which holds ports, does not answer: is it stopped? (kill -CONT %d; kill %d)", pid,
		 pid, pid);
}

int leases_read(struct cli *cli, bool quiet, struct lease_row **ret, size_t *ret_n)
{
	const struct lease_request q = {.magic = LEASE_MAGIC, .op = LEASE_LIST};
	struct lease_answer *a = malloc(ANSWER_MAX);
	struct lease_row *rows = NULL;
	struct leases all;
	size_t n = 0;
	int r = a ? find(cli, &all) : cli_fail(cli, -ENOMEM, "cannot list leases");

	if (r != 0) {
		free(a);
		return r;
	}
	for (size_t i = 0; i < all.n; i++) {
		const struct lease_port *p = (const struct lease_port *)(a + 1);
		pid_t pid;
		ssize_t len = ask(all.names[i], &q, a, &pid);
		struct lease_row *more;

		if (len == -EAGAIN && !quiet)
			say_stopped(cli, all.names[i]);
		if (len <= 0)
			continue;
		more = realloc(rows, (n + a->n + 1) * sizeof(*rows));
		if (!more)
			continue;
		rows = more;
		for (uint32_t k = 0; k < a->n; k++)
			rows[n++] = (struct lease_row){p[k], *a, pid};
	}
	if (n)
		qsort(rows, n, sizeof(*rows), by_port);
	free(a);
	free(all.names);
	*ret = rows;
	*ret_n = n;
	return 0;
}

int leases_list(struct cli *cli)
{
	struct lease_row *rows;
	size_t n;
	int r = leases_read(cli, false, &rows, &n);

	if (r == 0) {
		r = print(cli, rows, n);
		free(rows);
	}
	return r;
}

/* --- dropping --- */

static int read_what(struct cli *cli, const char *what, struct lease_request *ret)
{
	struct port_endpoint e;
	int r;

	*ret = (struct lease_request){.magic = LEASE_MAGIC,
				      .op = LEASE_DROP,
				      .protos = BERTH_PORT_TCP | BERTH_PORT_UDP};
	if (strcmp(what, "all") == 0)
		return 0;
	r = cli_endpoint(cli, what, &e);
	if (r != 0)
		return r;
	if (e.has_addr || e.host[0] || !e.ports.first || e.ports.first != e.ports.last)
		return cli_usage(cli, "one port is dropped, as 61023 or 61023/udp, or 'all', not '%s'", what);
	ret->port = e.ports.first;
	if (e.has_proto)
		ret->protos = e.proto == PORT_UDP ? BERTH_PORT_UDP : BERTH_PORT_TCP;
	return 0;
}

int leases_drop(struct cli *cli, const char *what)
{
	struct lease_request q;
	struct lease_answer *a = malloc(ANSWER_MAX);
	struct leases all = {0};
	unsigned n_dropped = 0, n_stopped = 0;
	int r = a ? read_what(cli, what, &q) : cli_fail(cli, -ENOMEM, "cannot ask for leases");

	if (r == 0)
		r = find(cli, &all);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		pid_t pid;
		ssize_t len;
		uid_t uid;

		/* Root may see everybody's; without a port it means its own. */
		if (!q.port && sscanf(all.names[i], "berth-free-%u-", &uid) == 1 && uid != geteuid())
			continue;
		len = ask(all.names[i], &q, a, &pid);
		if (len == -EAGAIN) {
			say_stopped(cli, all.names[i]);
			n_stopped++;
		}
		n_dropped += len > 0 ? a->n : 0;
	}
	free(a);
	free(all.names);
	if (r != 0)
		return r;
	if (n_dropped)
		return n_stopped && !q.port ? CLI_FAILED : CLI_OK;
	if (n_stopped)
		return CLI_FAILED;
	cli_warn(cli, q.port ? "no lease holds %s; 'berth free --list' lists what there is" : "there is no lease",
		 what);
	return CLI_NO;
}
