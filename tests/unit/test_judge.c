/* tests/unit/test_judge.c: `berth doctor`'s judgement: numbers in, finding out; and how the range is counted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/judge.h"
#include "host/owners.h"

enum which {
	RANGE,
	USED,
	HALF,
	TIME_WAIT,
	TW_REUSE,
	BACKLOG,
	SOMAXCONN,
	OVERFLOWS,
	ORPHANS,
	TCP_MEMORY,
	UNPRIVILEGED,
	CONNTRACK,
	FILES,
	USER_NS,
	NET_NS,
	TAP,
	IO_URING,
	PTRACE,
	INET_DIAG,
	PROC,
	DESCRIPTORS,
	WMEM,
	DGRAM,
	NOEXEC,
	FOLDER,
};

static struct host_settings stock(void)
{
	return (struct host_settings){.ports = {.range = {32768, 60999}, .unprivileged_start = 1024},
				      .has_range = true,
				      .has_unprivileged = true,
				      .max_tw_buckets = 262144,
				      .tw_reuse = 2,
				      .somaxconn = 4096,
				      .max_orphans = 1000};
}

static const struct row {
	const char *name;
	enum which which;
	int64_t n[5];
	enum finding_state state;
	const char *value, *means, *now; /* parts of them; NULL: empty, but for value */
} rows[] = {
	/* first, last, usable */
	{"Linux's own range is good",
	 RANGE,
	 {32768, 60999, 28232},
	 FINDING_GOOD,
	 "28232 ports to give out",
	 NULL,
	 NULL},
	{"a short range is noted",
	 RANGE,
	 {40000, 40999, 1000},
	 FINDING_NOTE,
	 "40000-40999",
	 "28,232",
	 "ip_local_port_range='32768 60999'"},
	{"ends of one parity are noted",
	 RANGE,
	 {20000, 60000, 40001},
	 FINDING_NOTE,
	 "",
	 "Both ends are even",
	 "='20000 60001'"},
	{"odd ends up to the last port", RANGE, {20001, 65535, 45535}, FINDING_NOTE, "", "odd", "='20001 65534'"},
	/* usable, used on one address, used by UDP */
	{"three quarters but one", USED, {1000, 749, 0}, FINDING_GOOD, "at most 749 on one address", NULL, NULL},
	{"three quarters for bind()", USED, {1000, 750, 0}, FINDING_NOTE, "", "75 %", NULL},
	{"nine tenths for bind()", USED, {1000, 900, 0}, FINDING_TROUBLE, "", "EADDRINUSE", NULL},
	{"nine tenths by UDP", USED, {1000, 10, 900}, FINDING_TROUBLE, "UDP 900", "UDP sockets", NULL},
	{"a range of which all is reserved", USED, {0, 0, 0}, FINDING_GOOD, "(0 %)", NULL, NULL},
	/* usable, first half, to one destination, of them of the first half, of them in TIME_WAIT */
	{"nobody connects", HALF, {28232, 14116, 0, 0, 0}, FINDING_GOOD, "no connection goes out", NULL, NULL},
	{"two fifths but one",
	 HALF,
	 {28232, 14116, 11292, 11292, 0},
	 FINDING_GOOD,
	 "11292 of 28232 ports (39 %)",
	 NULL,
	 NULL},
	{"two fifths to one destination",
	 HALF,
	 {28232, 14116, 11293, 11293, 0},
	 FINDING_NOTE,
	 "",
	 "At half",
	 "ip_local_port_range='16384 65535'"},
	{"at the cliff",
	 HALF,
	 {28232, 14116, 14116, 14116, 7},
	 FINDING_TROUBLE,
	 "7 in TIME_WAIT",
	 "all even ports",
	 "'16384 65535'"},
	{"half used, both parities alike: no cliff",
	 HALF,
	 {28232, 14116, 14116, 7058, 0},
	 FINDING_NOTE,
	 "(50 %)",
	 "At half",
	 "'16384 65535'"},
	{"nine tenths to one destination",
	 HALF,
	 {28232, 14116, 25409, 14116, 0},
	 FINDING_TROUBLE,
	 "",
	 "EADDRNOTAVAIL",
	 "'16384 65535'"},
	/* all, on the range, of so many usable, buckets, tcp_tw_reuse */
	{"a quarter but one in TIME_WAIT",
	 TIME_WAIT,
	 {7057, 7057, 28232, 262144, 2},
	 FINDING_GOOD,
	 "(24 %)",
	 NULL,
	 NULL},
	{"a quarter in TIME_WAIT",
	 TIME_WAIT,
	 {7058, 7058, 28232, 262144, 2},
	 FINDING_NOTE,
	 "",
	 "117 a second",
	 "tcp_tw_reuse=1"},
	{"half in TIME_WAIT",
	 TIME_WAIT,
	 {14116, 14116, 28232, 262144, 2},
	 FINDING_TROUBLE,
	 "",
	 "60 s",
	 "tcp_tw_reuse=1"},
	{"half in TIME_WAIT, which may be taken over",
	 TIME_WAIT,
	 {14116, 14116, 28232, 262144, 1},
	 FINDING_NOTE,
	 "",
	 "eases",
	 NULL},
	{"a server's many do not use the range up",
	 TIME_WAIT,
	 {100000, 0, 28232, 262144, 2},
	 FINDING_GOOD,
	 "100000 in TIME_WAIT",
	 NULL,
	 NULL},
	{"the table of them is full",
	 TIME_WAIT,
	 {240000, 0, 28232, 262144, 2},
	 FINDING_NOTE,
	 "",
	 "end at once",
	 "tcp_max_tw_buckets=1048576"},
	{"how many there may be is not shown", TIME_WAIT, {1, 0, 28232, -1, 2}, FINDING_GOOD, "not shown", NULL, NULL},
	/* tcp_tw_reuse, tcp_timestamps */
	{"loopback only is the default", TW_REUSE, {2, 1}, FINDING_GOOD, "only over the loopback", NULL, NULL},
	{"without timestamps it does nothing", TW_REUSE, {1, 0}, FINDING_NOTE, "", "does nothing", "tcp_timestamps=1"},
	{"not shown", TW_REUSE, {-1, 1}, FINDING_UNSEEN, "not shown", NULL, NULL},
	/* waiting, most, full, somaxconn */
	{"a short queue in use", BACKLOG, {3, 4, 0, 4096}, FINDING_GOOD, "3 waiting to be accepted of 4", NULL, NULL},
	{"half a queue", BACKLOG, {64, 128, 0, 4096}, FINDING_NOTE, "", "half full", NULL},
	{"a full queue of its own length",
	 BACKLOG,
	 {129, 128, 1, 4096},
	 FINDING_TROUBLE,
	 "web on 80/tcp",
	 "its configuration",
	 NULL},
	{"a full queue that somaxconn cut",
	 BACKLOG,
	 {129, 128, 1, 128},
	 FINDING_TROUBLE,
	 "1 full",
	 "started again",
	 "somaxconn=4096"},
	{"longer than the default, and full",
	 BACKLOG,
	 {4097, 4096, 1, 4096},
	 FINDING_TROUBLE,
	 "",
	 "",
	 "somaxconn=16384"},
	{"nobody waits", BACKLOG, {-1}, FINDING_GOOD, "nobody waits", NULL, NULL},
	{"somaxconn as since 5.4", SOMAXCONN, {4096, 0}, FINDING_GOOD, "=4096", NULL, NULL},
	{"somaxconn as before", SOMAXCONN, {128, 2}, FINDING_NOTE, "2 listeners have", "dropped", "somaxconn=4096"},
	{"no queue overflowed", OVERFLOWS, {0, 0}, FINDING_GOOD, "ListenOverflows 0", NULL, NULL},
	{"queues overflowed", OVERFLOWS, {5, 6}, FINDING_NOTE, "ListenOverflows 5, ListenDrops 6", "full queue", NULL},
	{"dropped without a full queue", OVERFLOWS, {0, 6}, FINDING_NOTE, "", "no queue was full", NULL},
	{"overflows not told", OVERFLOWS, {-1, -1}, FINDING_UNSEEN, "netstat", NULL, NULL},
	{"few orphans", ORPHANS, {499, 1000}, FINDING_GOOD, "499", NULL, NULL},
	{"many orphans", ORPHANS, {500, 1000}, FINDING_NOTE, "", "resets", "tcp_max_orphans=2000"},
	{"too many orphans", ORPHANS, {900, 1000}, FINDING_TROUBLE, "", "resets", "tcp_max_orphans=2000"},
	{"orphans in another namespace", ORPHANS, {3, -1}, FINDING_UNSEEN, "3 connections", NULL, NULL},
	{"little memory", TCP_MEMORY, {199, 100, 200, 300}, FINDING_GOOD, "199 pages", NULL, NULL},
	{"memory pressure", TCP_MEMORY, {200, 100, 200, 300}, FINDING_NOTE, "", "pressure", "tcp_mem='200 400 600'"},
	{"memory at its end", TCP_MEMORY, {270, 100, 200, 300}, FINDING_TROUBLE, "", "drops data", "tcp_mem="},
	{"memory's limit in another namespace", TCP_MEMORY, {5, -1, -1, -1}, FINDING_UNSEEN, "5 pages", NULL, NULL},
	{"0-1023 are privileged", UNPRIVILEGED, {1024}, FINDING_GOOD, "0-1023", NULL, NULL},
	{"none are privileged", UNPRIVILEGED, {0}, FINDING_GOOD, "every user", NULL, NULL},
	{"more are privileged", UNPRIVILEGED, {8081}, FINDING_NOTE, "0-8080", "refused", "port_start=1024"},
	{"no connection tracking", CONNTRACK, {-1, -1}, FINDING_GOOD, "not in use", NULL, NULL},
	{"three quarters but one tracked", CONNTRACK, {749, 1000}, FINDING_GOOD, "749", NULL, NULL},
	{"many are tracked", CONNTRACK, {750, 1000}, FINDING_NOTE, "", "dropped", "nf_conntrack_max=2000"},
	{"too many are tracked", CONNTRACK, {900, 1000}, FINDING_TROUBLE, "", "dropped", "nf_conntrack_max=2000"},
	{"how many are tracked is not shown", CONNTRACK, {-1, 1000}, FINDING_UNSEEN, "", NULL, NULL},
	{"few files", FILES, {10, 1000}, FINDING_GOOD, "of 1000", NULL, NULL},
	{"files without a limit", FILES, {10, INT64_MAX}, FINDING_GOOD, "without a limit", NULL, NULL},
	{"files at the limit", FILES, {950, 1000}, FINDING_TROUBLE, "", "ENFILE", "fs.file-max=2000"},
	/* errno, setting, unprivileged_userns_clone, apparmor */
	{"a user namespace", USER_NS, {0, 1000, -1, -1}, FINDING_GOOD, "one was made", NULL, NULL},
	{"user namespaces are off",
	 USER_NS,
	 {-ENOSPC, 0, -1, -1},
	 FINDING_NOTE,
	 "No space",
	 "rootless",
	 "max_user_namespaces=15000"},
	{"Debian's switch is off",
	 USER_NS,
	 {-EPERM, 1000, 0, -1},
	 FINDING_NOTE,
	 "",
	 "rootless",
	 "unprivileged_userns_clone=1"},
	{"Ubuntu's AppArmor takes the rights",
	 USER_NS,
	 {-EPERM, 1000, 1, 1},
	 FINDING_NOTE,
	 "",
	 "",
	 "restrict_unprivileged_userns=0"},
	{"refused by something else", USER_NS, {-EPERM, 1000, 1, 0}, FINDING_NOTE, "not permitted", "", NULL},
	{"a network namespace", NET_NS, {0, 0, 1000}, FINDING_GOOD, "in the user namespace", NULL, NULL},
	{"network namespaces are off", NET_NS, {0, -ENOSPC, 0}, FINDING_NOTE, "", "", "max_net_namespaces=15000"},
	{"a TAP device", TAP, {0, 0}, FINDING_GOOD, "could be made", NULL, NULL},
	{"TAP opens, and that is all", TAP, {0, -EPERM}, FINDING_GOOD, "not made", NULL, NULL},
	{"no TAP driver", TAP, {-ENOENT}, FINDING_NOTE, "No such file", "VPNs", "modprobe tun"},
	{"TAP is for others", TAP, {-EACCES}, FINDING_NOTE, "Permission", "VPNs", "chmod"},
	{"io_uring", IO_URING, {0, 0}, FINDING_GOOD, "disabled=0", NULL, NULL},
	{"io_uring is off", IO_URING, {-EPERM, 2}, FINDING_GOOD, "nothing is lost", NULL, NULL},
	{"no Yama", PTRACE, {-1, 0}, FINDING_GOOD, "not there", NULL, NULL},
	{"Yama lets parents look", PTRACE, {1, 0}, FINDING_GOOD, "=1", NULL, NULL},
	{"Yama lets root look", PTRACE, {2, 1}, FINDING_GOOD, "=2", NULL, NULL},
	{"Yama lets nobody but root look", PTRACE, {2, 0}, FINDING_TROUBLE, "=2", "cannot be served", "ptrace_scope=1"},
	{"Yama lets nobody look", PTRACE, {3, 1}, FINDING_TROUBLE, "=3", "started again", NULL},
	{"netlink lists sockets", INET_DIAG, {0, 0}, FINDING_GOOD, "bound and idle", NULL, NULL},
	{"an old kernel lists some", INET_DIAG, {0, 1}, FINDING_NOTE, "", "6.8", NULL},
	{"no module for it", INET_DIAG, {-ENOENT, 0}, FINDING_NOTE, "", "/proc/net", "modprobe -a inet_diag"},
	{"netlink is forbidden", INET_DIAG, {-EPERM, 0}, FINDING_NOTE, "", "/proc/net", NULL},
	{"all processes", PROC, {0, 0, 0}, FINDING_GOOD, "every process", NULL, NULL},
	{"others' processes", PROC, {HOST_UNSEEN_USERS, 7, 0}, FINDING_GOOD, "7 processes", NULL, NULL},
	{"hidden processes", PROC, {HOST_UNSEEN_HIDEPID, 0, 0}, FINDING_NOTE, "hidepid", "no name", "hidepid=0"},
	{"no /proc", PROC, {HOST_UNSEEN_NO_PROC, 0, 0}, FINDING_TROUBLE, "", "No program", "mount"},
	{"few descriptors", DESCRIPTORS, {256, 1024}, FINDING_NOTE, "256", "connections", "ulimit -Hn"},
	{"descriptors", DESCRIPTORS, {1024, 1048576}, FINDING_GOOD, "up to 1048576", NULL, NULL},
	{"descriptors without a limit", DESCRIPTORS, {1024, -1}, FINDING_GOOD, "unlimited", NULL, NULL},
	{"a small wmem_max", WMEM, {212992}, FINDING_NOTE, "212992", "425 KB", "wmem_max=4194304"},
	{"a large wmem_max", WMEM, {4194304}, FINDING_GOOD, "4194304", NULL, NULL},
	{"a short queue of datagrams", DGRAM, {10}, FINDING_NOTE, "=10", "Go program", "qlen=512"},
	{"systemd's queue of datagrams", DGRAM, {512}, FINDING_GOOD, "=512", NULL, NULL},
	{"a library that nobody may load", NOEXEC, {1, 0, 1 << 30}, FINDING_TROUBLE, "", "noexec", "remount,exec"},
	{"a library on a full disk", NOEXEC, {0, 1, 0}, FINDING_GOOD, "", NULL, NULL},
	{"a folder that nobody may execute from", FOLDER, {1, 0, 1 << 30}, FINDING_GOOD, "", NULL, NULL},
	{"a folder that cannot be written", FOLDER, {0, 1, 1 << 30}, FINDING_TROUBLE, "", "read-only", NULL},
	{"a folder without space", FOLDER, {0, 0, 1 << 20}, FINDING_NOTE, "", "1024 KiB", NULL},
};

static void judge_sockets(struct findings *all, const struct row *r)
{
	uint64_t ports[1024] = {0};
	struct host_settings s = stock();
	const int64_t *n = r->n;
	struct range_use u = {0};

	if (r->which == RANGE) {
		s.ports.range = (struct port_range){(uint16_t)n[0], (uint16_t)n[1]};
		judge_range(all, &s, (uint32_t)n[2]);
	} else if (r->which == USED) {
		u = (struct range_use){.usable = (uint32_t)n[0],
				       .addr = PORT_ADDR_LOOP4,
				       .addr_used = (uint32_t)n[1],
				       .used = (uint32_t)n[1],
				       .used_udp = (uint32_t)n[2]};
		judge_range_use(all, &u);
	} else if (r->which == HALF) {
		u = (struct range_use){.usable = (uint32_t)n[0],
				       .first_half = (uint32_t)n[1],
				       .worst = {PORT_ADDR_LOOP4, PORT_ADDR_LOOP4, 5432, (uint32_t)n[2], (uint32_t)n[3],
						 (uint32_t)n[4]}};
		(void)judge_destination(all, &u, &s, ports);
	} else {
		u = (struct range_use){.time_wait = (uint32_t)n[0],
				       .time_wait_client = (uint32_t)n[1],
				       .usable = (uint32_t)n[2]};
		s.max_tw_buckets = (int32_t)n[3];
		s.tw_reuse = (int32_t)n[4];
		judge_time_wait(all, &u, &s);
	}
}

static void judge_row(struct findings *all, const struct row *r)
{
	struct judge_queue q = {80, (uint32_t)r->n[0], (uint32_t)r->n[1], "web"};
	struct host_settings s = stock();
	const int64_t *n = r->n;

	switch (r->which) {
	case RANGE:
	case USED:
	case HALF:
	case TIME_WAIT:
		judge_sockets(all, r);
		break;
	case TW_REUSE:
		s.tw_reuse = (int32_t)n[0];
		judge_tw_reuse(all, &s, (int32_t)n[1]);
		break;
	case BACKLOG:
		judge_backlog(all, n[0] < 0 ? NULL : &q, (uint32_t)n[2], (int32_t)n[3]);
		break;
	case SOMAXCONN:
		judge_somaxconn(all, (int32_t)n[0], (uint32_t)n[1]);
		break;
	case OVERFLOWS:
		judge_overflows(all, n[0], n[1]);
		break;
	case ORPHANS:
		judge_orphans(all, (int32_t)n[0], (int32_t)n[1]);
		break;
	case TCP_MEMORY:
		judge_tcp_memory(all, (int32_t)n[0], n + 1);
		break;
	case UNPRIVILEGED:
		s.ports.unprivileged_start = (uint16_t)n[0];
		judge_unprivileged(all, &s);
		break;
	case CONNTRACK:
		judge_conntrack(all, n[0], n[1]);
		break;
	case FILES:
		judge_machine_files(all, n[0], n[1]);
		break;
	case USER_NS:
		judge_user_namespaces(all, (int)n[0], n[1], n[2], n[3]);
		break;
	case NET_NS:
		judge_net_namespaces(all, (int)n[0], (int)n[1], n[2]);
		break;
	case TAP:
		judge_tap(all, (int)n[0], (int)n[1]);
		break;
	case IO_URING:
		judge_io_uring(all, (int)n[0], n[1]);
		break;
	case PTRACE:
		judge_ptrace(all, n[0], n[1]);
		break;
	case INET_DIAG:
		judge_inet_diag(all, (int)n[0], n[1]);
		break;
	case PROC:
		judge_proc(all, (uint32_t)n[0], (uint32_t)n[1], n[2]);
		break;
	case DESCRIPTORS:
		judge_descriptors(all, (uint64_t)n[0], (uint64_t)n[1], 1048576);
		break;
	case WMEM:
		judge_socket_memory(all, n[0], 212992);
		break;
	case DGRAM:
		judge_dgram_queue(all, n[0]);
		break;
	case NOEXEC:
	case FOLDER:
		judge_place(finding_new(all, FINDING_BERTH, "folder"), "/x", n[0], n[1], (uint64_t)n[2],
			    r->which == NOEXEC);
	}
}

static void holds(const struct row *r, const char *what, const char *text, const char *part)
{
	if (part ? !strstr(text, part) : *text != '\0')
		fail_msg("%s: %s is '%s', wanted '%s'", r->name, what, text, part ? part : "");
}

static struct findings all;

static void numbers_are_judged(void **state)
{
	(void)state;
	for (const struct row *r = rows; r < rows + COUNT_OF(rows); r++) {
		const struct finding *f = &all.rows[0];

		all.n = 0;
		judge_row(&all, r);
		if (f->state != r->state)
			fail_msg("%s: %s, wanted %s", r->name, finding_state_name[f->state],
				 finding_state_name[r->state]);
		holds(r, "value", f->value, r->value);
		holds(r, "means", f->means, r->means);
		holds(r, "now", f->now, r->now);
		/* What mends it now is kept, too, and nothing else is. */
		if (strncmp(f->now, "sysctl", 6) == 0)
			holds(r, "keep", f->keep, "/etc/sysctl.d/90-ports.conf");
		assert_true(f->state != FINDING_GOOD || !*f->now);
	}
}

/* --- services of the range --- */

static void services_are_named_and_what_is_reserved_stays(void **state)
{
	const struct judge_listener l[] = {{5432, PORT_TCP, true, false, "postgres (postgresql.service)"},
					   {40000, PORT_TCP, true, false, "db (db.service)"},
					   {40001, PORT_TCP, true, false, "kept (kept.service)"},
					   {40002, PORT_UDP, true, false, "vpn (vpn.service)"},
					   {50000, PORT_TCP, false, false, "python3"}};
	struct host_settings s = stock();

	(void)state;
	all.n = 0;
	assert_int_equal(host_reserved_parse("8080,40001", s.reserved), 0);
	judge_services(&all, &s, l, COUNT_OF(l), 5, true, NULL);
	assert_int_equal(all.n, 2);
	assert_string_equal(all.rows[0].code, "range-service");
	assert_int_equal(all.rows[0].state, FINDING_TROUBLE);
	assert_string_equal(all.rows[0].value, "db (db.service) on 40000/tcp; vpn (vpn.service) on 40002/udp");
	assert_string_equal(all.rows[0].now, "sysctl -w net.ipv4.ip_local_reserved_ports=8080,40000-40002");
	assert_string_equal(
		all.rows[0].keep,
		"echo 'net.ipv4.ip_local_reserved_ports = 8080,40000-40002' >> /etc/sysctl.d/90-ports.conf");
	assert_string_equal(all.rows[1].code, "range-listener");
	assert_int_equal(all.rows[1].state, FINDING_NOTE);
	assert_string_equal(all.rows[1].now, "sysctl -w net.ipv4.ip_local_reserved_ports=8080,40000-40002,50000");
	assert_false(all.rows[1].root_helps);
}

static void no_line_where_it_would_lose_reserved_ports(void **state)
{
	const struct judge_listener l = {40000, PORT_TCP, true, false, "db (db.service)"},
				    unseen = {50000, PORT_TCP, false, true, "?"};
	struct host_settings s = stock();

	(void)state;
	all.n = 0;
	s.is_reserved_cut = true;
	judge_services(&all, &s, &l, 1, 1, true, NULL);
	assert_int_equal(all.rows[0].state, FINDING_TROUBLE);
	assert_string_equal(all.rows[0].now, "");
	assert_int_equal(all.rows[1].state, FINDING_GOOD);
	/* Every second port: more than a line takes. */
	s.is_reserved_cut = false;
	memset(s.reserved, 0x55, sizeof(s.reserved));
	all.n = 0;
	judge_services(&all, &s, (const struct judge_listener[]){{40001, PORT_TCP, true, false, "db"}}, 1, 1, true,
		       NULL);
	assert_int_equal(all.rows[0].state, FINDING_TROUBLE);
	assert_string_equal(all.rows[0].now, "");
	assert_string_equal(all.rows[0].keep, "");
	/* Whose it is root would see. */
	s = stock();
	all.n = 0;
	judge_services(&all, &s, &unseen, 1, 1, true, NULL);
	assert_true(all.rows[1].root_helps);
}

static void a_wider_range_reserves_what_listens_in_it(void **state)
{
	uint64_t ports[1024] = {[3000 / 64] = UINT64_C(1) << (3000 % 64), [27017 / 64] = UINT64_C(1) << (27017 % 64)};
	struct range_use u = {.usable = 28232, .first_half = 14116, .worst = {.n = 14116, .n_first = 14116}};
	struct host_settings s = stock();

	(void)state;
	all.n = 0;
	assert_true(judge_destination(&all, &u, &s, ports));
	assert_string_equal(
		all.rows[0].now,
		"sysctl -w net.ipv4.ip_local_port_range='16384 65535' net.ipv4.ip_local_reserved_ports=27017");
	/* Nor does a line of services, used after it, undo that. */
	all.n = 0;
	judge_services(&all, &s, (const struct judge_listener[]){{40001, PORT_TCP, true, false, "db"}}, 1, 1, true,
		       ports);
	assert_string_equal(all.rows[0].now, "sysctl -w net.ipv4.ip_local_reserved_ports=27017,40001");
	s.ports.range = (struct port_range){2048, 65535};
	all.n = 0;
	assert_false(judge_destination(&all, &u, &s, ports));
	assert_int_equal(all.rows[0].state, FINDING_TROUBLE);
	assert_string_equal(all.rows[0].now, "");
}

/* --- how the range is counted --- */

static struct host_socket tcp(struct port_addr addr, uint16_t port, enum host_state state)
{
	return (struct host_socket){.proto = HOST_TCP,
				    .family = port_addr_is4(&addr) ? 4 : 6,
				    .addr = addr,
				    .port = port,
				    .state = state};
}

static struct host_socket to(struct host_socket s, struct port_addr peer, uint16_t port)
{
	s.peer = peer;
	s.peer_port = port;
	return s;
}

static void the_range_is_counted_as_the_kernel_does(void **state)
{
	const struct port_addr a = port_addr_v4(10, 0, 0, 1), b = port_addr_v4(10, 0, 0, 2),
			       d = port_addr_v4(192, 0, 2, 1);
	struct host_settings s = stock();
	struct range_use u;
	struct host_socket rows_[32];
	size_t n = 0;

	(void)state;
	s.ports.range = (struct port_range){5000, 5019};
	assert_int_equal(host_reserved_parse("5018-5019", s.reserved), 0);
	rows_[n++] = tcp(PORT_ADDR_ANY4, 5001, HOST_LISTEN);
	rows_[n++] = tcp(PORT_ADDR_ANY6, 5003, HOST_BOUND); /* dual: both families' */
	rows_[n++] = tcp(a, 80, HOST_LISTEN);		    /* not of the range */
	rows_[n++] = tcp(a, 5018, HOST_LISTEN);		    /* reserved */
	rows_[n++] = to(tcp(a, 5000, HOST_ESTABLISHED), d, 443);
	rows_[n++] = to(tcp(a, 5002, HOST_ESTABLISHED), d, 443);
	rows_[n++] = to(tcp(a, 5005, HOST_TIME_WAIT), d, 443);
	rows_[n++] = to(tcp(a, 5000, HOST_ESTABLISHED), d, 444); /* another destination, the same port */
	rows_[n++] = to(tcp(b, 5007, HOST_ESTABLISHED), d, 443); /* another address */
	rows_[n++] = to(tcp(a, 5001, HOST_ESTABLISHED), b, 9);	 /* accepted: no port of its own */
	rows_[n++] = to(tcp(a, 5001, HOST_TIME_WAIT), b, 10);
	rows_[n++] = (struct host_socket){.proto = HOST_UDP, .family = 4, .addr = a, .port = 5009, .state = HOST_BOUND};
	assert_int_equal(range_use_measure(&s, rows_, n, &u), 0);
	assert_int_equal(u.usable, 18);
	assert_int_equal(u.first_half, 9);
	assert_int_equal(u.used, 6); /* 5000 5001 5002 5003 5005 5007 */
	assert_int_equal(u.used_udp, 1);
	assert_true(port_addr_equal(&u.addr, &a));
	assert_int_equal(u.addr_used, 5); /* 5000 5002 5005, and the wildcards' 5001 5003 */
	assert_true(port_addr_equal(&u.worst.local, &a) && port_addr_equal(&u.worst.peer, &d));
	assert_int_equal(u.worst.peer_port, 443);
	assert_int_equal(u.worst.n, 3);
	assert_int_equal(u.worst.n_first, 2);
	assert_int_equal(u.worst.n_time_wait, 1);
	assert_int_equal(u.time_wait, 2);
	assert_int_equal(u.time_wait_client, 1);
	assert_int_equal(range_use_measure(&s, NULL, 0, &u), 0);
	assert_int_equal(u.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_judged),
		cmocka_unit_test(services_are_named_and_what_is_reserved_stays),
		cmocka_unit_test(no_line_where_it_would_lose_reserved_ports),
		cmocka_unit_test(a_wider_range_reserves_what_listens_in_it),
		cmocka_unit_test(the_range_is_counted_as_the_kernel_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
