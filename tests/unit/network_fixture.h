/* tests/unit/network_fixture.h: a berth directory of a test's own, made before it and removed after it. */
#ifndef NETWORK_FIXTURE_H
#define NETWORK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network/internal.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

static char fixture_dir[64];
static struct network net;

static inline int fixture_setup(void **state)
{
	(void)state;
	strcpy(fixture_dir, "/tmp/berth-test-XXXXXX");
	if (!mkdtemp(fixture_dir))
		return -1;
	return setenv("BERTH_DIR", fixture_dir, 1);
}

static inline int fixture_teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", fixture_dir);
	return system(cmd);
}

static inline void fixture_open(const char *name)
{
	struct network_options o = {.create = true};
	struct network_error e = {0};

	if (network_open(&net, name, &o, &e) < 0)
		fail_msg("open: %s", e.what);
}

static inline struct network_host fixture_host(const char *name)
{
	struct network_host h;

	assert_int_equal(network_host_get(&net, name, true, &h), 0);
	return h;
}

static inline struct port_want fixture_want(int fd, uint16_t port)
{
	struct port_want w = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4, .port = port};

	assert_int_equal(network_owner_of(&net, fd, &w.owner), 0);
	return w;
}

static inline int fixture_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* A real listener. Returns its descriptor. */
static inline int fixture_listen(uint32_t host, uint16_t port, struct port_ref *ret, struct port_claim *ret_claim)
{
	int fd = fixture_socket();
	struct port_want w = fixture_want(fd, port);

	assert_int_equal(network_bind(&net, host, PORT_REF_NONE, &w, ret, NULL), 0);
	assert_int_equal(network_listen(&net, host, ret, &w, NULL), 0);
	assert_int_equal(network_get_slot(&net, host, ret->slot, ret, ret_claim), 0);
	assert_int_equal(network_path_bind(&net, fd, host, *ret, ret_claim), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(network_listen_ready(&net, host, *ret), 0);
	assert_int_equal(network_get_slot(&net, host, ret->slot, ret, ret_claim), 0);
	return fd;
}

#endif
