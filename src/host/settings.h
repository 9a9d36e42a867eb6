/* src/host/settings.h: what the kernel was told about ports, and how many sockets it has. */
#ifndef BERTH_HOST_SETTINGS_H
#define BERTH_HOST_SETTINGS_H

#include "host/root.h"
#include "port/table.h"

enum { HOST_UNSET = -1 }; /* this kernel has no such setting, or does not show it */

/* Of the network namespace that the calling thread is in (netns.h for others), where the kernel keeps them apart. */
struct host_settings {
	struct port_settings ports;	  /* ip_local_port_range, ip_unprivileged_port_start */
	bool has_range, has_unprivileged; /* read; else ports has the kernel's defaults */
	bool is_reserved_cut;		  /* ip_local_reserved_ports was too long, or made no sense */
	uint32_t n_reserved;
	uint64_t reserved[1024]; /* a bit for each port: host_settings_is_reserved() */
	int32_t autobind_reuse, nonlocal_bind, nonlocal_bind6, bindv6only, early_demux;
	int32_t tw_reuse, max_tw_buckets, fin_timeout_s, max_orphans;
	int32_t syncookies, abort_on_overflow, max_syn_backlog, somaxconn;
	int32_t port_step_width;
	int64_t nr_open, file_max; /* descriptors: of a process, of the machine */
};
/* Never fails: what cannot be read is the default, or HOST_UNSET. */
void host_settings_read(const struct host_root *root, struct host_settings *ret);
bool host_settings_is_reserved(const struct host_settings *s, uint16_t port);
/* "80,8000-8010" as the kernel writes it, into a bitmap. Return: 0; -EINVAL, and what came before it is in. */
MUST_CHECK int host_reserved_parse(const char *text, uint64_t bits[1024]);

/* /proc/net/sockstat and sockstat6. */
struct host_counts {
	int32_t tcp_in_use, tcp_orphans, tcp_time_wait, tcp_allocated, tcp6_in_use; /* HOST_UNSET: not told */
	int32_t udp_in_use, udp6_in_use, raw_in_use, raw6_in_use;
	int32_t tcp_memory_pages, udp_memory_pages;
};
void host_counts_read(const struct host_root *root, struct host_counts *ret);

#endif
