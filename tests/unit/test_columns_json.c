/* tests/unit/test_columns_json.c: rows as JSON say what the rows say, and look as the library would print them.
 *
 * What is written is read by jansson, compared with the row, and printed by jansson again: not an octet may differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cli/columns.h"
#include "cli/conf.h"

/* --- the rows there are, in place of doors.c and rows.c --- */

static const struct row *given;
static const struct host_tcp_info *given_info;
static const struct host_socket *given_sockets; /* of the machine, beside them; NULL: they are networks' */

void doors_get(struct doors *d, size_t i, struct door *ret)
{
	assert_true(i < d->n);
	*ret = (struct door){.row = given[i],
			     .proto = given[i].claim.proto == PORT_UDP ? "udp" : "tcp",
			     .state = given[i].claim.peer_port ? "connected" : "listening",
			     .network = given_sockets ? "" : "lab",
			     .is_machine = given_sockets != NULL,
			     .socket = given_sockets ? &given_sockets[i] : NULL,
			     .info = given_info,
			     .held = given[i].n_pids ? HOST_HELD_BY_PROCESS : HOST_HELD_UNSEEN,
			     .has_uid = true};
}

bool rows_is_dual(const struct port_claim *c)
{
	return c->dev == 1;
}

const char *rows_delivery(const struct port_claim *c)
{
	return c->peer_port ? NULL : "path";
}

char *rows_address(const struct port_claim *c, char s[ROWS_ADDRESS_MAX])
{
	return port_addr_print(&c->addr, s);
}

/* A berth.conf has no say here. */
bool conf_same_subject(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

int conf_read(struct cli *cli, const struct conf **ret)
{
	(void)cli;
	*ret = NULL;
	return -1;
}

static char *printed(const struct row *r, size_t n, const struct columns *columns, bool lines)
{
	struct doors doors = {.n = n};
	struct cli cli = {0};
	int keep = dup(1);
	FILE *f = tmpfile();
	char *text;
	long len;

	given = r;
	fflush(stdout);
	assert_true(f && keep >= 0 && dup2(fileno(f), 1) == 1);
	assert_int_equal(columns_print_json(&cli, &doors, columns, lines), CLI_OK);
	fflush(stdout);
	dup2(keep, 1);
	close(keep);
	len = lseek(fileno(f), 0, SEEK_END);
	text = calloc(1, (size_t)len + 1);
	assert_int_equal(pread(fileno(f), text, (size_t)len, 0), len);
	fclose(f);
	return text;
}

static struct columns all_columns(void)
{
	struct columns c = {.n = columns_n};

	for (size_t i = 0; i < columns_n; i++)
		c.c[i] = &columns_all[i];
	return c;
}

static char *written(const struct row *r, size_t n)
{
	struct columns all = all_columns();

	return printed(r, n, &all, false);
}

/* Read, and printed again. */
static json_t *same_as_library(const char *text)
{
	json_error_t e;
	json_t *j = json_loads(text, 0, &e);
	char *again;

	if (!j)
		fail_msg("%s at line %d", e.text, e.line);
	again = json_dumps(j, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
	assert_int_equal(strlen(text), strlen(again) + 1);
	assert_memory_equal(text, again, strlen(again));
	free(again);
	return j;
}

static struct row plain(void)
{
	struct row r = {.host = "web", .n_pids = 1, .pids = {42}, .service = "http"};
	const uint8_t addr[4] = {127, 0, 0, 1};

	r.claim = (struct port_claim){.port = 80, .uid = 1000, .addr = port_addr_from4(addr), .proto = PORT_TCP};
	r.holder = (struct port_holder){.program = "nginx",
					.command = "nginx -g daemon",
					.user = "me",
					.pid = 42,
					.age_us = 12345678};
	return r;
}

static const char *text_of(const json_t *row, const char *key)
{
	return json_string_value(json_object_get(row, key));
}

static void an_empty_list(void **state)
{
	char *s = written(NULL, 0);

	(void)state;
	assert_string_equal(s, "[]\n");
	free(s);
}

static void every_key_of_a_row(void **state)
{
	struct row r[2] = {plain(), plain()};
	json_t *j, *a, *b;
	char *s;

	(void)state;
	r[0].claim.flags = PORT_REUSEADDR;
	r[1].claim.flags = PORT_REUSEPORT | PORT_V6ONLY;
	r[1].claim.dev = 1;
	r[1].claim.peer = r[1].claim.addr;
	r[1].claim.peer_port = 4000;
	r[1].claim.proto = PORT_UDP;
	r[1].service[0] = '\0';
	r[1].holder.pid = 0;
	r[1].holder.age_us = NEVER_US;
	r[1].n_pids = 0;
	s = written(r, 2);
	j = same_as_library(s);
	a = json_array_get(j, 0);
	b = json_array_get(j, 1);
	assert_int_equal(json_integer_value(json_object_get(a, "port")), 80);
	assert_string_equal(text_of(a, "service"), "http");
	assert_string_equal(text_of(a, "proto"), "tcp");
	assert_string_equal(json_string_value(json_array_get(json_object_get(a, "addresses"), 0)), "127.0.0.1");
	assert_string_equal(text_of(a, "state"), "listening");
	assert_true(json_is_null(json_object_get(a, "peer")));
	assert_string_equal(text_of(a, "host"), "web");
	assert_string_equal(text_of(a, "program"), "nginx");
	assert_int_equal(json_integer_value(json_object_get(a, "pid")), 42);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(a, "pids"), 0)), 42);
	assert_string_equal(text_of(a, "command"), "nginx -g daemon");
	assert_string_equal(text_of(a, "user"), "me");
	assert_int_equal(json_integer_value(json_object_get(a, "uid")), 1000);
	assert_non_null(strstr(s, "\"age_s\": 12.345,"));
	assert_true(json_is_true(json_object_get(a, "reuseaddr")));
	assert_true(json_is_false(json_object_get(a, "reuseport")));
	assert_true(json_is_false(json_object_get(a, "v6only")));
	assert_int_equal(json_object_size(a), columns_n);
	assert_string_equal(text_of(a, "world"), "network");
	assert_string_equal(text_of(a, "network"), "lab");
	assert_true(json_is_null(json_object_get(a, "receive_queue")));
	assert_string_equal(text_of(a, "delivery"), "path");
	assert_true(json_is_null(json_object_get(b, "delivery")));

	assert_true(json_is_null(json_object_get(b, "service")));
	assert_string_equal(text_of(b, "proto"), "udp");
	assert_int_equal(json_array_size(json_object_get(b, "addresses")), 2);
	assert_string_equal(text_of(b, "peer"), "127.0.0.1:4000");
	assert_true(json_is_null(json_object_get(b, "pid")));
	assert_int_equal(json_array_size(json_object_get(b, "pids")), 0);
	assert_true(json_is_null(json_object_get(b, "age_s")));
	assert_true(json_is_true(json_object_get(b, "reuseport")));
	assert_true(json_is_true(json_object_get(b, "v6only")));
	json_decref(j);
	free(s);
}

static void whatever_the_octets_are(void **state)
{
	static const char *const pairs[][2] = {
		{"a \"b\" \\c/", "a \"b\" \\c/"},
		{"\b\f\n\r\t\x01\x1f\x7f", "\b\f\n\r\t\x01\x1f\x7f"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf", "\xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"},
		{"\xff\xc3(\xed\xa0\x80\xc0\x80",
		 "\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
		 "\xbd\xef\xbf\xbd"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct row r = plain();
		json_t *j;
		char *s;

		snprintf(r.holder.command, sizeof(r.holder.command), "%s", pairs[i][0]);
		s = written(&r, 1);
		for (const char *c = s; *c; c++)
			assert_true((unsigned char)*c < 0x80);
		j = same_as_library(s);
		assert_string_equal(text_of(json_array_get(j, 0), "command"), pairs[i][1]);
		json_decref(j);
		free(s);
	}
}

static void the_machine_knows_other_things(void **state)
{
	const struct host_socket s = {.have = HOST_HAS_QUEUES | HOST_HAS_V6ONLY, .rqueue = 3, .wqueue = 128};
	struct row r = plain();
	json_t *j, *a;
	char *text;

	(void)state;
	r.host = "";
	r.claim.flags = PORT_V6ONLY;
	r.claim.owner.inode = 777;
	given_sockets = &s;
	text = written(&r, 1);
	given_sockets = NULL;
	j = same_as_library(text);
	a = json_array_get(j, 0);
	assert_string_equal(text_of(a, "world"), "machine");
	assert_true(json_is_null(json_object_get(a, "host")));
	assert_true(json_is_null(json_object_get(a, "network")));
	assert_true(json_is_null(json_object_get(a, "age_s")));
	assert_true(json_is_null(json_object_get(a, "reuseaddr")));
	assert_true(json_is_true(json_object_get(a, "v6only")));
	assert_non_null(strstr(text, "\"process_age_s\": 12.345,"));
	assert_int_equal(json_integer_value(json_object_get(a, "receive_queue")), 3);
	assert_int_equal(json_integer_value(json_object_get(a, "send_queue")), 128);
	assert_int_equal(json_integer_value(json_object_get(a, "inode")), 777);
	assert_true(json_is_null(json_object_get(a, "cookie")));
	assert_string_equal(text_of(a, "holder"), "process");
	json_decref(j);
	free(text);
}

/* Memory, timers, congestion: what the row has, and null where it does not. */
static void on_wish(void **state)
{
	const struct host_tcp_info info = {.congestion = "cubic",
					   .rtt_us = 1234,
					   .cwnd = 10,
					   .last_sent_ms = 2500,
					   .bytes_acked = UINT64_C(1) << 40};
	const struct host_socket busy = {.have = HOST_HAS_MEMORY | HOST_HAS_INFO,
					 .state = HOST_ESTABLISHED,
					 .rmem = 7,
					 .rcvbuf = 131072,
					 .drops = 3,
					 .timer = HOST_TIMER_RETRANSMIT,
					 .timer_ms = 250,
					 .retransmits = 4};
	const struct host_socket idle = {.state = HOST_LISTEN, .have = HOST_HAS_INFO};
	struct columns c = {.n = columns_info_n};
	struct row r = plain();
	json_t *j, *a;
	char *text;

	(void)state;
	for (size_t i = 0; i < columns_info_n; i++)
		c.c[i] = &columns_info[i];
	for (int k = 0; k < 3; k++) {
		given_sockets = k == 0 ? &busy : k == 1 ? &idle : NULL;
		given_info = k < 2 ? &info : NULL;
		text = printed(&r, 1, &c, false);
		given_sockets = NULL;
		given_info = NULL;
		j = same_as_library(text);
		a = json_array_get(j, 0);
		assert_int_equal(json_object_size(a), columns_info_n);
		if (k == 0) {
			assert_int_equal(json_integer_value(json_object_get(a, "rmem")), 7);
			assert_int_equal(json_integer_value(json_object_get(a, "drops")), 3);
			assert_string_equal(text_of(a, "timer"), "retransmit");
			assert_non_null(strstr(text, "\"timer_s\": 0.25"));
			assert_int_equal(json_integer_value(json_object_get(a, "retransmits")), 4);
			assert_int_equal(json_integer_value(json_object_get(a, "rtt_us")), 1234);
			assert_int_equal(json_integer_value(json_object_get(a, "bytes_acked")), INT64_C(1) << 40);
			assert_non_null(strstr(text, "\"last_sent_s\": 2.5"));
		} else {
			assert_true(json_is_null(json_object_get(a, "rmem")) &&
				    json_is_null(json_object_get(a, "timer")));
			assert_true(json_is_null(json_object_get(a, "timer_s")) &&
				    json_is_null(json_object_get(a, "rtt_us")));
		}
		assert_string_equal(k < 2 ? text_of(a, "congestion_control") : "", k < 2 ? "cubic" : "");
		json_decref(j);
		free(text);
	}
}

/* Each line is what jansson prints of that row on one line. */
static void a_line_for_each(void **state)
{
	struct row r[3] = {plain(), plain(), plain()};
	struct columns some;
	struct cli cli = {.cmd = &(const struct cmd){.name = "ls"}};
	char *text, *line, *save = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(columns_parse(&cli, "-o", "port,addresses,pids,command", false, &some, NULL), 0);
	for (size_t i = 0; i < 3; i++)
		r[i].claim.port = (uint16_t)(i + 1);
	r[1].n_pids = 0;
	text = printed(r, 3, &some, true);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *j = json_loads(line, 0, NULL);
		char *again = json_dumps(j, JSON_ENSURE_ASCII);

		assert_string_equal(line, again);
		assert_int_equal(json_object_size(j), 4);
		assert_int_equal(json_integer_value(json_object_get(j, "port")), ++n);
		free(again);
		json_decref(j);
	}
	assert_int_equal(n, 3);
	free(text);
	text = printed(NULL, 0, &some, true);
	assert_string_equal(text, "");
	free(text);
}

static void names_of_columns(void **state)
{
	struct cli cli = {.cmd = &(const struct cmd){.name = "ls"}};
	bool down[COLUMNS_MAX];
	struct columns c;

	(void)state;
	for (size_t i = 0; i < columns_n; i++)
		assert_ptr_equal(column_find(columns_all[i].name), &columns_all[i]);
	for (size_t i = 0; i < columns_info_n; i++)
		assert_ptr_equal(column_find(columns_info[i].name), &columns_info[i]);
	assert_false(columns_ask_more(&(struct columns){.n = 1, .c = {&columns_all[0]}}));
	assert_int_equal(columns_parse(&cli, "-o", "port,memory,timers,congestion", false, &c, down), 0);
	assert_int_equal(c.n, columns_info_n + 1);
	assert_true(columns_ask_more(&c));
	assert_int_equal(columns_parse(&cli, "-o", "rtt,congestion", false, &c, NULL),
			 CLI_WRONG_USE); /* it is there twice */
	assert_int_equal(columns_parse(&cli, "-o", "memories", false, &c, NULL), CLI_WRONG_USE);
	assert_int_equal(columns_parse(&cli, "--sort", "-age,port", true, &c, down), 0);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.c[0]->name, "age_s");
	assert_true(down[0] && !down[1]);
	assert_int_equal(columns_parse(&cli, "-o", "prot", false, &c, NULL), CLI_WRONG_USE);
	assert_int_equal(columns_parse(&cli, "-o", "port,", false, &c, NULL), CLI_WRONG_USE);
	assert_int_equal(columns_parse(&cli, "-o", "", false, &c, NULL), CLI_WRONG_USE);
	assert_int_equal(columns_parse(&cli, "-o", "port,-pid", false, &c, NULL), CLI_WRONG_USE);
	assert_int_equal(columns_parse(&cli, "-o", "age,age_s", false, &c, NULL), CLI_WRONG_USE);
}

static uint64_t below(struct rng *r, uint64_t n)
{
	return rng_range(r, 0, n - 1);
}

/* Enough for the buffer to go out at every place of a row. */
static void very_many(void **state)
{
	enum { MANY = 3000 };
	static struct row r[MANY];
	struct rng rng;
	json_t *j;
	char *s;

	(void)state;
	rng_init(&rng, 7);
	for (size_t i = 0; i < MANY; i++) {
		size_t len = below(&rng, sizeof(r[i].holder.command));

		r[i] = plain();
		for (size_t k = 0; k < len; k++)
			r[i].holder.command[k] = (char)(1 + below(&rng, 255));
		r[i].holder.command[len] = '\0';
		r[i].holder.age_us = below(&rng, 1u << 30) * (i % 3 ? 1 : 1000000);
		r[i].n_pids = (uint32_t)below(&rng, PROC_PIDS_MAX + 4);
		for (uint32_t k = 0; k < PROC_PIDS_MAX; k++)
			r[i].pids[k] = (int32_t)below(&rng, 1u << 22);
		r[i].claim.port = (uint16_t)i;
	}
	s = written(r, MANY);
	j = same_as_library(s);
	assert_int_equal(json_array_size(j), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(json_integer_value(json_object_get(json_array_get(j, i), "port")), i);
	json_decref(j);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list),
		cmocka_unit_test(every_key_of_a_row),
		cmocka_unit_test(whatever_the_octets_are),
		cmocka_unit_test(very_many),
		cmocka_unit_test(the_machine_knows_other_things),
		cmocka_unit_test(on_wish),
		cmocka_unit_test(a_line_for_each),
		cmocka_unit_test(names_of_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
