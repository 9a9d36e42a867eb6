/* src/cli/judge.h: from a measured number to a finding. Pure: no file, no clock, no socket; tests/unit/test_judge.c.
 *
 * A number of -1 (HOST_UNSET) is one that this kernel does not have, or does not show here. Thresholds and why they are so:
 * docs/doctor.md.
 */
#ifndef BERTH_CLI_JUDGE_H
#define BERTH_CLI_JUDGE_H

#include "cli/finding.h"
#include "cli/range_use.h"

/* --- the machine's ports (judge_ports.c) --- */

/* A socket that waits for callers on a port of the range. */
struct judge_listener {
	uint16_t port;
	enum port_proto proto;
	bool is_service; /* of a unit or a container, which is started again on the same port */
	bool is_unseen;	 /* nobody knows whose it is */
	char who[96];	 /* "postgres (postgresql.service)" */
};
/* range-service: those of services; range-listener: the others. n_all: how many ports are listened on at all. also: ports that
 * another finding's line reserves, so that each line that is used replaces none with fewer; NULL: none. */
void judge_services(struct findings *all, const struct host_settings *s, const struct judge_listener *l, size_t n,
		    size_t n_all, bool root_helps, const uint64_t also[1024]);
void judge_range(struct findings *all, const struct host_settings *s, uint32_t usable);
void judge_range_use(struct findings *all, const struct range_use *u);
/* s and ports (a bit for each that is listened on) are for the line that widens the range; then ports are those that it
 * reserves. Returns whether there is such a line. */
bool judge_destination(struct findings *all, const struct range_use *u, const struct host_settings *s,
		       uint64_t ports[1024]);
void judge_time_wait(struct findings *all, const struct range_use *u, const struct host_settings *s);
void judge_tw_reuse(struct findings *all, const struct host_settings *s, int32_t timestamps);
/* A listener's queue of callers that are not accepted yet. */
struct judge_queue {
	uint16_t port;
	uint32_t waiting, most;
	char who[96];
};
/* worst: the fullest; NULL: nobody waits. n_full: how many are full at this moment. */
void judge_backlog(struct findings *all, const struct judge_queue *worst, uint32_t n_full, int32_t somaxconn);
/* n_cut: listeners whose queue is as long as it allows. */
void judge_somaxconn(struct findings *all, int32_t somaxconn, uint32_t n_cut);
/* Since the machine (or the network namespace) started; -1: not told. */
void judge_overflows(struct findings *all, int64_t overflows, int64_t drops);
void judge_orphans(struct findings *all, int32_t orphans, int32_t most);
/* In pages: low, pressure, high. */
void judge_tcp_memory(struct findings *all, int32_t pages, const int64_t limits[3]);
void judge_unprivileged(struct findings *all, const struct host_settings *s);
void judge_conntrack(struct findings *all, int64_t count, int64_t most);
void judge_machine_files(struct findings *all, int64_t open, int64_t most);

/* --- what berth stands on (judge_berth.c) --- */

/* r: 0, or the negative errno of the try. A setting is -1 where there is none. */
void judge_user_namespaces(struct findings *all, int r, int64_t most, int64_t clone, int64_t apparmor);
void judge_net_namespaces(struct findings *all, int user_r, int r, int64_t most);
void judge_tap(struct findings *all, int r, int made);
void judge_io_uring(struct findings *all, int r, int64_t disabled);
void judge_ptrace(struct findings *all, int64_t scope, bool is_root);
/* inet_diag; err: how netlink refused; no_bound: bound and idle TCP sockets are not told of. */
void judge_inet_diag(struct findings *all, int err, bool no_bound);
/* unseen: HOST_UNSEEN_... of host/owners.h. */
void judge_proc(struct findings *all, uint32_t unseen, uint32_t n_denied, bool is_root);
void judge_apparmor(struct findings *all, int64_t is_on, const char *profile);
void judge_descriptors(struct findings *all, uint64_t soft, uint64_t hard, int64_t nr_open);
void judge_memlock(struct findings *all, uint64_t soft);
void judge_socket_memory(struct findings *all, int64_t wmem, int64_t rmem);
void judge_dgram_queue(struct findings *all, int64_t most);
/* Of a finding that is good so far: the file system that its path is on. wants_exec: libraries are loaded from there; else sockets and
 * tables are made there. */
void judge_place(struct finding *f, const char *path, bool is_noexec, bool is_readonly, uint64_t free_bytes,
		 bool wants_exec);

#endif
