/* tests/packetdrill/sysctl.c: the settings a script made with sysctl(8) in its network namespace, for sockets made from now on.
 *
 * Scripts that were written for Linux set them before they begin; a stack of its own honours those that mean something to it. They
 * are read anew each time (a few microseconds), because packetdrill runs a script's commands after it has loaded this library.
 * --so_flags=nosysctl leaves it out. */
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool read_setting(const char *name, char text[64])
{
	char path[128];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, 63);
	syscall(SYS_close, fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* What the program has asked for itself stays. */
static void set(struct world *w, struct fd *f, enum berth_option o, uint64_t value)
{
	if (!(f->chosen >> o & 1))
		(void)berth_sock_set(w->st, f->sock, o, value);
}

static void number(struct world *w, struct fd *f, const char *name, enum berth_option o)
{
	char text[64];

	if (read_setting(name, text))
		set(w, f, o, strtoull(text, NULL, 10));
}

static void settings(struct world *w, struct fd *f)
{
	char text[64];

	number(w, f, "tcp_timestamps", BERTH_TIMESTAMPS);
	number(w, f, "tcp_sack", BERTH_SACK);
	number(w, f, "tcp_mtu_probing", BERTH_MTU_PROBING);
	number(w, f, "tcp_window_scaling", BERTH_WINDOW_SCALING);
	number(w, f, "tcp_syn_retries", BERTH_SYNCNT);
	number(w, f, "tcp_syn_linear_timeouts", BERTH_SYN_LINEAR);
	number(w, f, "tcp_slow_start_after_idle", BERTH_IDLE_RESTART);
	number(w, f, "tcp_min_tso_segs", BERTH_TRAIN);
	number(w, f, "tcp_keepalive_time", BERTH_KEEPIDLE_S);
	number(w, f, "tcp_keepalive_intvl", BERTH_KEEPINTVL_S);
	number(w, f, "tcp_keepalive_probes", BERTH_KEEPCNT);
	number(w, f, "tcp_fin_timeout", BERTH_LINGER2_S);
	number(w, f, "tcp_syncookies", BERTH_SYNCOOKIES);
	if (read_setting("tcp_ecn", text)) {
		/* 0 no, 1 ask and answer, 2 answer only; 3 and more: AccECN, which we have not */
		uint64_t v = strtoull(text, NULL, 10);

		set(w, f, BERTH_ECN, v <= 2 ? v : v == 3 ? 1 : 2);
	}
	if (read_setting("tcp_congestion_control", text))
		set(w, f, BERTH_CONGESTION, strncmp(text, "reno", 4) == 0 ? BERTH_NEWRENO : BERTH_CUBIC);
}

unsigned sysctl_fastopen(const struct world *w)
{
	char text[64];

	return w->sysctls && read_setting("tcp_fastopen", text) ? (unsigned)strtoul(text, NULL, 0)
								: FASTOPEN_CLIENT | FASTOPEN_SERVER;
}

int sysctl_buffer(const struct world *w, const char *name, int else_bytes)
{
	char text[64];
	int n;

	return w->sysctls && read_setting(name, text) && sscanf(text, "%*d %d", &n) == 1 && n > 0 ? n : else_bytes;
}

void sysctl_apply(struct world *w, struct fd *f)
{
	/* What no file says: Linux's defaults, and what scripts begin with. */
	set(w, f, BERTH_MTU_PROBING, 0);
	set(w, f, BERTH_TRAIN, 2);
	set(w, f, BERTH_IDLE_RESTART, 0);
	if (w->sysctls)
		settings(w, f);
	for (unsigned i = 0; i < w->n_presets; i++)
		set(w, f, w->presets[i].option, w->presets[i].value);
}
