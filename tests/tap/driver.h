/* tests/tap/driver.h: one stack on a TAP or TUN, with programs in it that the kernel's side talks to. */
#ifndef TESTS_TAP_DRIVER_H
#define TESTS_TAP_DRIVER_H

#include <berth/stack.h>

#include "base/base.h"
#include "link/fault.h"
#include "link/tap.h"

#define DRIVER_APPS_MAX 4096
#define PATTERN_MAX (1u << 21)

struct driver;
struct app;

/* What a program in the stack does. run: all that can be done now; called after each event, and at app->wake_ns. */
struct role {
	const char *name;
	uint16_t port; /* 0: nobody listens */
	void (*run)(struct app *a);
};

enum { BUF = 16384 };

/* One end of a TCP connection, or a listener. */
struct app {
	struct driver *d;
	const struct role *role;
	berth_sock sock;
	bool is_used, is_listener, is_client, is_connected, is_shut, got_eof;
	const char *wrong; /* what was not as it should be; NULL: nothing yet */
	int step;	   /* the role's own */
	uint32_t generation, next_free;
	uint64_t begun_ns, wake_ns; /* BERTH_NEVER: only events */
	uint64_t want, sent, got;   /* octets of the pattern: to send, sent, received */
	char id[24];		    /* of a client: what the peer's script calls it */
	uint8_t *buf;		    /* BUF octets, for those that need it */
	uint32_t buf_used, buf_at;
};

struct driver {
	struct berth_stack *st;
	void *memory;
	struct tap tap;
	uint16_t iface;
	enum berth_link link;
	uint64_t now_ns;
	bool is_over;
	bool is_faulty; /* frames go through in and out below */
	struct fault *in, *out;
	uint64_t seed;
	uint32_t mtu_bytes, ring_bytes;
	bool offload, dad;
	int pcap_fd;
	uint8_t *pcap_buf;
	uint64_t pcap_left;	/* octets that may still be written */
	const uint8_t *pattern; /* octet i of every stream is pattern[i % pattern_len] */
	uint32_t pattern_len;
	struct app *apps;
	uint32_t n_apps, first_free;
	berth_sock udp_echo;
	uint64_t n_accepted, n_ended, n_wrong, n_errors, n_write_dropped;
};

#define NO_APP UINT32_MAX

/* --- apps.c: the programs, and what they are made of --- */

void apps_init(struct driver *d);
void apps_event(struct driver *d, const struct berth_event *ev);
void apps_timers(struct driver *d);
uint64_t apps_deadline(const struct driver *d);
/* Begin a client: "send", "fetch", "echo" or "half". Return: 0 or a negative errno. */
int apps_connect(struct driver *d, const char *id, const char *role, const struct berth_addr *to, uint64_t want);
/* The end of a program: ok (NULL) or why not. A client says it on standard output. */
void app_end(struct app *a, const char *wrong, bool reset);
/* Write octets of the pattern until want are sent. Return: all are sent; false: later, or the program has ended. */
bool app_send_pattern(struct app *a);
/* Write buf[buf_at .. buf_used). The same. */
bool app_send_buf(struct app *a);
/* Read into buf behind buf_used, at most max octets. Return: octets; 0: end of stream (got_eof is set); -EAGAIN: later, or the program
 * has ended because of an error. */
int64_t app_recv(struct app *a, uint32_t max);
/* Read the pattern, at most max octets, and compare. The same. */
int64_t app_recv_pattern(struct app *a, uint64_t max);
void app_shut(struct app *a);

/* --- iperf.c: a server of iperf3's protocol --- */

extern const struct role iperf_role;
void iperf_ended(struct app *a); /* a program of iperf_role is gone */

/* --- groups.c --- */

void groups_command(struct driver *d, char *text);

/* --- driver.c --- */

bool parse_addr(const char *text, uint16_t port, struct berth_addr *ret);

/* --- udp.c --- */

void udp_echo_open(struct driver *d);
void udp_echo_run(struct driver *d);

#endif
