/* tests/unit/test_network_ports.c: the living keep their ports, the dead do not, and tables grow and heal. */
#include "network_fixture.h"
#include "port/internal.h"

static void the_living_are_in_the_way_and_named(void **state)
{
	struct port_refusal no;
	struct port_claim c;
	struct port_ref ref, other;
	struct port_want w;
	int fd, fd2;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	fixture_host("b");
	fd = fixture_listen(0, 80, &ref, &c);
	fd2 = fixture_socket();
	w = fixture_want(fd2, 80);
	assert_int_equal(network_probe(&net, 0, &w, true, &no), -EADDRINUSE);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), -EADDRINUSE);
	assert_true(no.by_valid);
	assert_int_equal(no.by.owner.pid, getpid());
	assert_int_equal(network_dead(&net, 0, ref), -EBUSY);
	assert_int_equal(network_bind(&net, 1, PORT_REF_NONE, &w, &other, &no), 0); /* another host */
	assert_int_equal(network_release(&net, 1, other), 0);
	close(fd); /* nobody says so */
	assert_int_equal(network_probe(&net, 0, &w, true, &no), 0);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), 0);
	assert_int_equal(network_dead(&net, 0, ref), 0);
	close(fd2);
}

static void a_connect_finds_the_listener_that_is_ready(void **state)
{
	struct network_host a, b;
	struct port_refusal no;
	struct port_claim c, got;
	struct port_ref ref, flow = PORT_REF_NONE, found;
	struct port_want w;
	struct port_tuple t;
	int fd, client;

	(void)state;
	fixture_open("net");
	a = fixture_host("a");
	b = fixture_host("b");
	t = (struct port_tuple){.proto = PORT_TCP,
				.local = a.addr4,
				.remote = b.addr4,
				.local_port = 80,
				.remote_port = 40000};
	assert_int_equal(network_find_listener(&net, 0, &t, &found, &got), -ECONNREFUSED);
	fd = fixture_listen(0, 80, &ref, &c);
	assert_int_equal(network_find_listener(&net, 0, &t, &found, &got), 0);
	assert_int_equal(found.slot, ref.slot);
	client = fixture_socket();
	w = fixture_want(client, 0);
	assert_int_equal(network_connect(&net, 1, &flow, &w, &b.addr4, &a.addr4, 80, &no), 0);
	assert_int_equal(network_get_slot(&net, 1, flow.slot, &flow, &got), 0);
	assert_int_equal(got.state, CLAIM_CONNECTED);
	assert_in_range(got.port, 32768, 60999);
	assert_int_equal(network_path_connect(&net, client, 0, found, &c), 0);
	assert_int_equal(network_unlisten(&net, 0, ref), 0);
	assert_int_equal(network_find_listener(&net, 0, &t, &found, &got), -ECONNREFUSED);
	close(client);
	close(fd);
}

static uint32_t room(uint32_t host, uint32_t *ret_claims)
{
	struct network_lock l;
	uint32_t n;

	assert_int_equal(network_lock(&net, host, &l), 0);
	assert_true(port_table_check(&l.table));
	n = l.table.n_max;
	*ret_claims = port_table_n_claims(&l.table);
	network_unlock(&l);
	return n;
}

static void a_table_of_the_living_grows(void **state)
{
	enum { N = 500 };
	static int fds[N];
	uint32_t claims;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	for (int i = 0; i < N; i++) {
		struct port_ref ref;
		struct port_want w;

		fds[i] = fixture_socket();
		w = fixture_want(fds[i], (uint16_t)(i + 1));
		assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, NULL), 0);
	}
	assert_true(room(0, &claims) >= N);
	assert_int_equal(claims, N);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), N);
	(void)room(0, &claims);
	assert_int_equal(claims, 0);
}

static void the_dead_do_not_make_it_grow_for_ever(void **state)
{
	struct network_host a;
	uint32_t claims, before = 0;

	(void)state;
	fixture_open("net");
	a = fixture_host("a");
	for (int i = 0; i < 40000; i++) { /* more than there are ports to one peer */
		int fd = fixture_socket();
		struct port_want w = fixture_want(fd, 0);
		struct port_ref ref = PORT_REF_NONE;

		if (network_connect(&net, 0, &ref, &w, &a.addr4, &a.addr4, 80, NULL) < 0)
			fail_msg("connect %d", i);
		close(fd);
		if (i == 20000)
			before = room(0, &claims);
	}
	assert_int_equal(room(0, &claims), before);
}

static void a_damaged_table_is_rebuilt_from_the_living(void **state)
{
	struct network_host a;
	struct port_refusal no;
	struct port_claim c, got;
	struct port_ref ref, other, found;
	struct port_want w;
	struct port_tuple t;
	struct map_host *h;
	int fd, fd2, client;

	(void)state;
	fixture_open("net");
	a = fixture_host("a");
	fd = fixture_listen(0, 80, &ref, &c);
	h = map_host(&net, 0);
	memset(map_base(&net) + h->table_off, 0xa5, h->table_len_bytes);
	fd2 = fixture_socket();
	w = fixture_want(fd2, 80);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), -EADDRINUSE);
	t = (struct port_tuple){.proto = PORT_TCP,
				.local = a.addr4,
				.remote = a.addr4,
				.local_port = 80,
				.remote_port = 4};
	assert_int_equal(network_find_listener(&net, 0, &t, &found, &got), 0);
	client = fixture_socket();
	assert_int_equal(network_path_connect(&net, client, 0, found, &got), 0); /* its path moved with it */
	close(fd);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), 0);
	close(fd2);
	close(client);
}

static void a_table_whose_form_was_scribbled_over_is_rebuilt(void **state)
{
	(void)state;
	for (int lean = 0; lean < 2; lean++) {
		struct port_refusal no;
		struct port_claim c;
		struct port_ref ref, other;
		struct port_want w;
		struct map_host *h;
		struct header *t;
		uint64_t len;
		int fd, fd2;

		fixture_open("net");
		fixture_host("a");
		fd = fixture_listen(0, 80, &ref, &c);
		h = map_host(&net, 0);
		len = h->table_len_bytes;
		t = (void *)(map_base(&net) + h->table_off + sizeof(struct map_region));
		assert_int_equal(t->n_places, t->n_max);
		if (lean)
			t->lean = 1;
		else
			t->n_places = 1;
		fd2 = fixture_socket();
		w = fixture_want(fd2, 80);
		assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), -EADDRINUSE);
		assert_true(no.by_valid);
		w = fixture_want(fd2, 81);
		assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), 0);
		assert_true(map_host(&net, 0)->table_len_bytes <= 2 * len); /* not grown to all there may be */
		close(fd);
		close(fd2);
	}
}

static void two_hosts_never_share_a_region(void **state)
{
	struct map_host *a, *b;
	struct network_lock l;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	fixture_host("b");
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(network_lock(&net, i, &l), 0);
		network_unlock(&l);
	}
	a = map_host(&net, 0);
	b = map_host(&net, 1);
	b->table_off = a->table_off; /* somebody scribbled */
	assert_int_equal(network_lock(&net, 1, &l), 0);
	network_unlock(&l);
	assert_true(map_host(&net, 0)->table_off != map_host(&net, 1)->table_off);
}

static void low_ports_are_a_matter_of_the_network(void **state)
{
	struct network_options o = {.create = true, .privileged_deny = true};
	struct port_refusal no;
	struct port_ref ref;
	struct port_want w;
	int fd;

	(void)state;
	assert_int_equal(network_open(&net, "strict", &o, NULL), 0);
	fixture_host("a");
	fd = fixture_socket();
	w = fixture_want(fd, 80);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, &no), -EACCES);
	w.flags = PORT_PRIVILEGED;
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, &no), 0);
	close(fd);
}

static void a_sweep_leaves_no_path(void **state)
{
	struct port_claim c;
	struct port_ref ref;
	char path[NETWORK_PATH_MAX + 128], leaf[PATH_LEAF_MAX];
	struct stat st;
	int fd;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	fd = fixture_listen(0, 80, &ref, &c);
	path_leaf(&net, 0, ref, &c, leaf);
	snprintf(path, sizeof(path), "%s/s/%s", net.dir, leaf);
	assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(network_release(&net, 0, ref), 0);
	close(fd);
	assert_int_equal(network_sweep(&net, NETWORK_HOSTS_MAX), 0);
	assert_int_equal(stat(path, &st), -1);
}

/* ready: its flags do not say that it can be reached, either, when they were scribbled over. */
static void a_scribbled_listener_keeps_its_port(bool ready)
{
	struct port_owner nonsense = {.inode = 12345678, .cookie = 87654321, .netns = 1};
	struct network_lock l;
	struct port_refusal no;
	struct port_claim c;
	struct port_ref ref, other;
	struct port_want w;
	int fd, fd2;

	fixture_open("net");
	fixture_host("a");
	fd = fixture_listen(0, 80, &ref, &c);
	nonsense.netns = net.netns;
	assert_int_equal(network_lock(&net, 0, &l), 0);
	assert_int_equal(port_table_set_owner(&l.table, ref, &nonsense), 0); /* its sum stays the old one */
	assert_int_equal(port_table_set_flags(&l.table, ref, PORT_LISTEN_READY, ready ? PORT_LISTEN_READY : 0), 0);
	network_unlock(&l);
	assert_true(network_sweep(&net, NETWORK_HOSTS_MAX) >= 0);
	fd2 = fixture_socket();
	w = fixture_want(fd2, 80);
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &other, &no), -EADDRINUSE);
	close(fd2);
	close(fd);
}

static void a_listener_whose_owner_was_scribbled_over_keeps_its_port(void **state)
{
	(void)state;
	a_scribbled_listener_keeps_its_port(true);
	a_scribbled_listener_keeps_its_port(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_living_are_in_the_way_and_named),
		TEST(a_connect_finds_the_listener_that_is_ready),
		TEST(a_table_of_the_living_grows),
		TEST(the_dead_do_not_make_it_grow_for_ever),
		TEST(a_damaged_table_is_rebuilt_from_the_living),
		TEST(a_table_whose_form_was_scribbled_over_is_rebuilt),
		TEST(two_hosts_never_share_a_region),
		TEST(low_ports_are_a_matter_of_the_network),
		TEST(a_sweep_leaves_no_path),
		TEST(a_listener_whose_owner_was_scribbled_over_keeps_its_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
