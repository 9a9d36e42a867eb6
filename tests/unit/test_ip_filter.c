/* tests/unit/test_ip_filter.c: source filters: whom a socket hears, what all of them want together, and what IGMPv3 and MLDv2 say of it.
 *
 * A filter is text: "ex:" excludes nobody, "in:ab" includes a and b, "-" is no member. So is what is said: "allow:c block:a", the sources of each record in
 * order, a report after the other with "; " between. Every row is for both families.
 */
#include "group_fixture.h"

#define ROBUSTNESS 2
#define N_SOCKS 4

static struct world w;
static berth_sock socks[N_SOCKS];
static char text[4096];

/* --- addresses and filters as text --- */

static struct berth_addr source(char letter)
{
	char s[32];

	snprintf(s, sizeof(s), w.f->v4 ? "10.0.0.%u" : "fd00::%x", 100u + (uint8_t)letter - 'a');
	return pub(s);
}

static char letter_of(const struct port_addr *a)
{
	return (char)('a' + a->b[15] - 100);
}

static struct berth_addr group(void)
{
	return pub(w.f->group);
}

static int set_filter(unsigned s, const char *filter)
{
	struct berth_addr g = group(), list[32];
	unsigned n = 0;

	for (const char *p = filter + 3; *p; p++)
		list[n++] = source(*p);
	return berth_sock_set_filter(w.l.st, socks[s], &g, w.l.iface, filter[0] == 'i' ? BERTH_INCLUDE : BERTH_EXCLUDE,
				     list, n);
}

static int change_source(unsigned s, enum berth_source_change change, char letter)
{
	struct berth_addr g = group(), a = source(letter);
	int r = berth_sock_source(w.l.st, socks[s], change, &g, &a, w.l.iface);

	lab_drain(&w.l);
	return r;
}

static bool is_joined(unsigned s)
{
	struct berth_addr g = group();
	enum berth_filter_mode mode;
	unsigned n = 0;

	return berth_sock_get_filter(w.l.st, socks[s], &g, w.l.iface, &mode, NULL, &n) == 0;
}

/* The socket's filter becomes that: with one call if one can do it. */
static void become(unsigned s, const char *filter)
{
	bool was = is_joined(s), include = filter[0] == 'i';
	struct berth_addr g = group();
	int r = 0;

	if (filter[0] == '-')
		r = was ? berth_sock_leave(w.l.st, socks[s], &g, w.l.iface) : 0;
	else if (!was)
		r = include ? change_source(s, BERTH_SOURCE_JOIN, filter[3])
			    : berth_sock_join(w.l.st, socks[s], &g, w.l.iface);
	assert_int_equal(r, 0);
	if (filter[0] != '-' && (was || filter[include ? 4 : 3]))
		assert_int_equal(set_filter(s, filter), 0);
	lab_drain(&w.l);
	assert_true(berth_stack_check(w.l.st));
}

static const char *change_name(enum wire_group_change c)
{
	static const char *const names[] = {"?", "is-in", "is-ex", "to-in", "to-ex", "allow", "block"};

	return names[(unsigned)c < COUNT_OF(names) ? (unsigned)c : 0];
}

static int by_letter(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

/* What was said of the group since the last lab_clear(), as text. Version 1 and 2: "report", "leave". */
static const char *all_said(void)
{
	enum port_family family = w.f->v4 ? PORT_FAMILY_4 : PORT_FAMILY_6;
	struct port_addr g = A(w.f->group);
	struct wire_group m;
	struct seen seen;

	text[0] = '\0';
	for (unsigned i = 0; said(&w, i, &m, &seen); i++) {
		struct wire_slice rest = m.body;
		struct wire_group_record r;
		char report[512] = "";

		if (m.kind != WIRE_GROUP_REPORT3 && port_addr_equal(&m.address, &g))
			snprintf(report, sizeof(report), m.kind == WIRE_GROUP_LEAVE ? "leave" : "report");
		while (m.kind == WIRE_GROUP_REPORT3 && wire_group_record_next(family, &rest, &r)) {
			char letters[33] = "";
			size_t len = strlen(report);

			if (!port_addr_equal(&r.address, &g))
				continue;
			assert_true(r.n_sources < sizeof(letters));
			for (unsigned k = 0; k < r.n_sources; k++) {
				struct port_addr a = wire_group_source(family, r.sources, k);

				letters[k] = letter_of(&a);
			}
			qsort(letters, r.n_sources, 1, by_letter);
			snprintf(report + len, sizeof(report) - len, "%s%s:%s", len ? " " : "", change_name(r.change),
				 letters);
		}
		if (report[0])
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] ? "; " : "", report);
	}
	return text;
}

static void open_socks(void)
{
	for (unsigned i = 0; i < N_SOCKS; i++) {
		struct berth_addr any = w.f->v4 ? berth_addr4(0, 0, 0, 0, 5000) : (struct berth_addr){.port = 5000};

		assert_int_equal(berth_sock_open(w.l.st, BERTH_UDP, w.f->v4 ? BERTH_IPV4 : BERTH_IPV6, 0, &socks[i]),
				 0);
		assert_int_equal(berth_sock_set(w.l.st, socks[i], BERTH_REUSEADDR, 1), 0);
		if (!w.f->v4)
			assert_int_equal(berth_sock_set(w.l.st, socks[i], BERTH_V6ONLY, 1), 0);
		assert_int_equal(berth_sock_bind(w.l.st, socks[i], &any), 0);
	}
}

static void begin_with(const struct family *f, uint32_t mtu, struct berth_stack_config *c)
{
	open_world_with(&w, f, mtu, c);
	open_socks();
}

static void begin(const struct family *f)
{
	struct berth_stack_config c = {.n_groups = 0};

	begin_with(f, 1500, &c);
}

/* Time in which everything is said that is to be. */
static void settle(void)
{
	lab_pass(&w.l, SEC(20));
}

/* Socket 0 has a filter, and all of that has been said. */
static void begin_as(const struct family *f, const char *filter)
{
	begin(f);
	become(0, filter);
	settle();
	lab_clear(&w.l);
}

static void end(void)
{
	struct berth_usage u = {.struct_size = sizeof(u)};

	for (unsigned i = 0; i < N_SOCKS; i++)
		assert_int_equal(berth_sock_close(w.l.st, socks[i]), 0);
	settle();
	assert_int_equal(berth_stack_usage(w.l.st, &u), 0);
	assert_int_equal(u.sources.used, 0);
	assert_int_equal(w.l.st->ip->sources.n_used, 0);
	lab_close(&w.l);
}

/* Asks about sources, one for each letter; "": about the group; NULL: about all groups. */
static void ask(const char *letters, uint32_t max_ms)
{
	uint8_t octets[16 * 80];
	size_t one = w.f->v4 ? 4 : 16, n = 0;

	for (const char *p = letters; p && *p; p++) {
		struct berth_addr a = source(*p);

		memcpy(octets + one * n++, a.ip + 16 - one, one);
	}
	query_sources(&w, 3, letters ? w.f->group : NULL, max_ms, w.f->querier, 1, true, octets, n, (uint16_t)n);
}

/* The same message so often. */
static const char *times(unsigned n, const char *what)
{
	static char out[1024];

	out[0] = '\0';
	for (unsigned i = 0; *what && i < n; i++)
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s", i ? "; " : "", what);
	return out;
}

static bool takes(char letter)
{
	struct port_addr g = A(w.f->group);
	struct berth_addr a = source(letter);
	struct port_addr from = addr_of(&a);

	return group_takes(w.l.st, w.l.iface, &g, &from);
}

/* --- RFC 3376, 5.1; RFC 3810, 6.1: what a change says --- */
struct change_case {
	const char *name, *from, *to, *says;
};
static const struct change_case change_cases[] = {
	{"RFC 3376, 5.1: from include to other sources", "in:ab", "in:bc", "allow:c block:a"},
	{"RFC 3376, 5.1: from include to more", "in:a", "in:ab", "allow:b"},
	{"RFC 3376, 5.1: from include to fewer", "in:ab", "in:a", "block:b"},
	{"RFC 3376, 5.1: from exclude to others", "ex:ab", "ex:bc", "allow:a block:c"},
	{"RFC 3376, 5.1: from exclude to more", "ex:", "ex:ab", "block:ab"},
	{"RFC 3376, 5.1: from exclude to fewer", "ex:ab", "ex:", "allow:ab"},
	{"RFC 3376, 5.1: from include to exclude", "in:ab", "ex:bc", "to-ex:bc"},
	{"RFC 3376, 5.1: from include to exclude nobody", "in:ab", "ex:", "to-ex:"},
	{"RFC 3376, 5.1: from exclude to include", "ex:ab", "in:bc", "to-in:bc"},
	{"RFC 3376, 5.1: from exclude nobody to include", "ex:", "in:a", "to-in:a"},
	{"RFC 3376, 5.1: nobody is in it, then one excludes", "-", "ex:", "to-ex:"},
	{"RFC 3376, 5.1: nobody is in it, then one includes", "-", "in:a", "allow:a"},
	{"RFC 3376, 5.1: who excludes leaves", "ex:ab", "-", "to-in:"},
	{"RFC 3376, 5.1: who includes leaves", "in:ab", "-", "block:ab"},
	{"the same list in another order says nothing", "in:ab", "in:ba", ""},
	{"the same exclusion says nothing", "ex:ab", "ex:ab", ""},
	{"all sources are others", "in:abcd", "in:efgh", "allow:efgh block:abcd"},
};

static void run_change(void **state)
{
	const struct change_case *c = *state;

	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], c->from);
		become(0, c->to);
		settle();
		assert_string_equal(all_said(), times(ROBUSTNESS, c->says));
		end();
	}
}

/* --- RFC 3376, 3.2: what all want together --- */
struct merge_case {
	const char *name, *filters[N_SOCKS], *state; /* as a general query is told */
	const char *heard;			     /* of a to h */
};
static const struct merge_case merge_cases[] = {
	{"RFC 3376, 3.2: all include: the union", {"in:ab", "in:bc", "in:e"}, "is-in:abce", "abce"},
	{"RFC 3376, 3.2: all exclude: the intersection", {"ex:abc", "ex:bcd"}, "is-ex:bc", "adefgh"},
	{"RFC 3376, 3.2: who excludes nobody takes all", {"ex:abc", "ex:"}, "is-ex:", "abcdefgh"},
	{"RFC 3376, 3.2: less what somebody includes", {"ex:abcd", "ex:bcde", "in:def"}, "is-ex:bc", "adefgh"},
	{"RFC 3376, 3.2: one excludes what another includes", {"ex:a", "in:a"}, "is-ex:", "abcdefgh"},
	{"RFC 3376, 3.2: one excludes what others do not name", {"ex:a", "in:b", "in:c"}, "is-ex:a", "bcdefgh"},
	{"RFC 3376, 3.2: exclusions that do not meet", {"ex:a", "ex:b", "ex:c"}, "is-ex:", "abcdefgh"},
	{"RFC 3376, 3.2: one alone", {"in:h"}, "is-in:h", "h"},
	{"RFC 3376, 3.2: nobody", {"-"}, "", ""},
};

static void run_merge(void **state)
{
	const struct merge_case *c = *state;

	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned backwards = 0; backwards < 2; backwards++) {
			begin(&families[f]);
			for (unsigned i = 0; i < N_SOCKS; i++) {
				unsigned s = backwards ? N_SOCKS - 1 - i : i;

				if (c->filters[s])
					become(s, c->filters[s]);
			}
			for (char letter = 'a'; letter <= 'h'; letter++)
				assert_int_equal(takes(letter), strchr(c->heard, letter) != NULL);
			settle();
			lab_clear(&w.l);
			ask(NULL, 1000);
			settle();
			assert_string_equal(all_said(), c->state);
			end();
		}
}

/* A change of one member is said as far as it changes what all want. */
static void what_others_want_is_not_said_again(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "in:ab");
		become(1, "in:b");
		settle();
		assert_string_equal(all_said(), "");
		become(0, "in:a");
		settle();
		assert_string_equal(all_said(), "");
		become(1, "-");
		settle();
		assert_string_equal(all_said(), "block:b; block:b");
		lab_clear(&w.l);
		become(2, "ex:ac");
		settle();
		assert_string_equal(all_said(), "to-ex:; to-ex:c; block:c"); /* it joined first */
		lab_clear(&w.l);
		become(0, "-"); /* a is nobody's choice any more */
		settle();
		assert_string_equal(all_said(), "block:a; block:a");
		lab_clear(&w.l);
		become(3, "ex:");
		settle();
		assert_string_equal(all_said(), "allow:ac; allow:ac");
		end();
	}
}

/* --- changes that come while others are still being said --- */
struct sequence_case {
	const char *name, *first, *steps[4], *says;
};
static const struct sequence_case sequence_cases[] = {
	{"a source more before the first is said again", "in:a", {"in:ab", "in:abc"}, "allow:b; allow:bc; allow:c"},
	{"a source that came goes again", "in:a", {"in:ab", "in:a"}, "allow:b; block:b; block:b"},
	{"a source that went comes again", "ex:", {"ex:a", "ex:"}, "block:a; allow:a; allow:a"},
	{"the mode's record has what changed since", "in:a", {"ex:", "ex:b"}, "to-ex:; to-ex:b; block:b"},
	{"the mode changes twice", "in:a", {"ex:b", "in:c"}, "to-ex:b; to-in:c; to-in:c"},
	{"lists that were to be said go with the mode", "in:a", {"in:ab", "ex:c"}, "allow:b; to-ex:c; to-ex:c"},
	{"it is left before that it came was said again", "-", {"ex:", "-"}, "to-ex:; to-in:; to-in:"},
	{"who included leaves at once", "-", {"in:a", "-"}, "allow:a; block:a; block:a"},
	{"who left comes again", "ex:", {"-", "in:a"}, "to-in:; to-in:a; allow:a"},
	{"who left comes again and excludes", "ex:a", {"-", "ex:"}, "to-in:; to-ex:; to-ex:"},
};

static void run_sequence(void **state)
{
	const struct sequence_case *c = *state;

	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], c->first);
		for (unsigned i = 0; i < COUNT_OF(c->steps) && c->steps[i]; i++)
			become(0, c->steps[i]);
		settle();
		assert_string_equal(all_said(), c->says);
		end();
	}
}

static void as_often_as_the_querier_says(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin(&families[f]);
		w.robustness = 4;
		ask(NULL, 100);
		settle();
		lab_clear(&w.l);
		become(0, "in:a");
		settle();
		assert_string_equal(all_said(), "allow:a; allow:a; allow:a; allow:a");
		end();
	}
}

/* --- RFC 3376, 5.2; RFC 3810, 6.2: answers --- */
struct query_case {
	const char *name, *filter, *asks[3], *says; /* asked at once, one after the other; "*" is a general query */
};
static const struct query_case query_cases[] = {
	{"RFC 3376, 5.2: all groups, who includes", "in:ab", {"*"}, "is-in:ab"},
	{"RFC 3376, 5.2: all groups, who excludes", "ex:ab", {"*"}, "is-ex:ab"},
	{"RFC 3376, 5.2: a group, who includes", "in:ab", {""}, "is-in:ab"},
	{"RFC 3376, 5.2: a group, who excludes nobody", "ex:", {""}, "is-ex:"},
	{"RFC 3376, 5.2: sources of a group, who includes some", "in:ab", {"bc"}, "is-in:b"},
	{"RFC 3376, 5.2: sources of a group, who includes none of them", "in:ab", {"cd"}, ""},
	{"RFC 3376, 5.2: sources of a group, who excludes some", "ex:ab", {"bcd"}, "is-in:cd"},
	{"RFC 3376, 5.2: sources of a group, who excludes all of them", "ex:ab", {"ab"}, ""},
	{"RFC 3376, 5.2: sources of a group that nobody is in", "-", {"a"}, ""},
	{"RFC 3376, 5.2, rule 5: more sources", "in:abc", {"b", "c"}, "is-in:bc"},
	{"RFC 3376, 5.2, rule 5: more sources, who excludes", "ex:a", {"ab", "cb"}, "is-in:bc"},
	{"RFC 3376, 5.2, rule 4: sources, then the group", "in:abc", {"b", ""}, "is-in:abc"},
	{"RFC 3376, 5.2, rule 4: the group, then sources", "ex:a", {"", "c"}, "is-ex:a"},
};

static void run_query(void **state)
{
	const struct query_case *c = *state;

	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], c->filter);
		for (unsigned i = 0; i < COUNT_OF(c->asks) && c->asks[i]; i++)
			ask(c->asks[i][0] == '*' ? NULL : c->asks[i], 3000);
		assert_true(berth_stack_check(w.l.st));
		if (c->filter[0] == 'i') /* strangers' sources are not remembered in vain */
			assert_int_equal(w.l.st->ip->sources.n_used, strlen(c->filter) - 3);
		settle();
		assert_string_equal(all_said(), c->says);
		assert_int_equal(w.l.st->ip->sources.n_used, strlen(c->filter) > 3 ? strlen(c->filter) - 3 : 0);
		end();
	}
}

/* Rule 1: what waits for a general query's time, and comes sooner, says it. */
static void a_general_answer_says_it_too(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "in:ab");
		ask(NULL, 1);
		ask("", 10000);
		ask("a", 10000);
		settle();
		assert_string_equal(all_said(), "is-in:ab");
		end();
	}
}

/* A change and an answer do not stand in for each other. */
static void a_query_while_a_change_is_being_said(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "in:a");
		become(0, "in:ab");
		ask("", 8000);
		settle();
		assert_non_null(strstr(all_said(), "is-in:ab"));
		assert_non_null(strstr(text, "allow:b; "));
		assert_int_equal(strlen(text), strlen("allow:b; allow:b; is-in:ab"));
		end();
	}
}

/* --- what strangers ask is bounded --- */
static void s11_more_sources_than_are_remembered(void **state)
{
	char many[GROUP_ASKED_MAX + 2];

	(void)state;
	memset(many, 'h', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "ex:a");
		ask(many, 1000); /* so many that nobody looks at them */
		settle();
		assert_string_equal(all_said(), "is-ex:a");
		lab_clear(&w.l);
		for (unsigned i = 0; i <= GROUP_ASKED_MAX; i++) {
			char one[2] = {(char)('b' + i), '\0'};

			ask(one, 10000);
			assert_true(w.l.st->ip->sources.n_used <= 1 + GROUP_ASKED_MAX);
		}
		settle();
		assert_string_equal(all_said(), "is-ex:a");
		assert_int_equal(w.l.st->ip->sources.n_used, 1);
		end();
	}
}

/* The pool is the members'; what was asked about goes when they need it, and is answered about the whole group. */
static void s11_what_is_asked_takes_no_room_from_members(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_stack_config c = {.n_sources = 4, .n_filter_sources = 3};

		begin_with(&families[f], 1500, &c);
		become(0, "ex:a");
		settle();
		lab_clear(&w.l);
		ask("bcdefghi", 1000); /* 7 in all */
		settle();
		assert_string_equal(all_said(), "is-ex:a");
		lab_clear(&w.l);
		ask("bcdefg", 9000);
		assert_int_equal(w.l.st->ip->sources.n_used, 7);
		become(0, "ex:xyz");
		become(1, "in:x");
		settle();
		assert_non_null(strstr(all_said(), "is-ex:yz"));
		assert_null(strstr(text, "is-in"));
		assert_int_equal(w.l.st->ip->sources.n_used, 3);
		end();
	}
}

static void s11_a_flood_of_queries_that_give_no_time(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned how = 0; how < 3; how++) {
			begin_as(&families[f], "in:ab");
			for (unsigned i = 0; i < 1000; i++) {
				ask(how == 0 ? NULL : how == 1 ? "" : "ab", 0);
				lab_pass(&w.l, SEC(0.001));
			}
			settle();
			assert_true(n_said(&w) >= 9 && n_said(&w) <= 11);
			end();
		}
}

static void s1_a_query_that_lies_about_its_sources(void **state)
{
	static const uint8_t few[16] = {10, 0, 0, 100};

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		uint64_t n;

		begin_as(&families[f], "in:ab");
		n = w.l.st->n.dropped_policy;
		query_sources(&w, 3, w.f->group, 100, w.f->querier, 1, true, few, 1, 2);
		query_sources(&w, 3, w.f->group, 100, w.f->querier, 1, true, few, 1, UINT16_MAX);
		assert_int_equal(w.l.st->n.dropped_policy, n + 2);
		settle();
		assert_string_equal(all_said(), "");
		end();
	}
}

/* What cannot be a source is not remembered: it would be said of us that we want it. */
static void sources_that_are_none(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		const struct port_addr all = A(families[f].all);
		uint8_t octets[48] = {0};
		size_t one = families[f].v4 ? 4 : 16;

		begin_as(&families[f], "ex:");
		memcpy(octets + one, all.b + 16 - one, one);
		if (!w.f->v4) { /* a mapped address */
			octets[42] = octets[43] = 0xff;
			octets[44] = 10;
		}
		query_sources(&w, 3, w.f->group, 100, w.f->querier, 1, true, octets, w.f->v4 ? 2 : 3, w.f->v4 ? 2 : 3);
		settle();
		assert_string_equal(all_said(), "");
		end();
	}
}

/* --- long lists --- */
static void fill_filter(unsigned s, enum berth_filter_mode mode, unsigned first, unsigned n)
{
	struct berth_addr g = group(), list[256];
	char at[32];

	for (unsigned i = 0; i < n; i++) {
		unsigned k = first + i;

		snprintf(at, sizeof(at), w.f->v4 ? "10.1.%u.%u" : "fd01::%x:%x", k / 256, k % 256);
		list[i] = pub(at);
	}
	assert_int_equal(berth_sock_join(w.l.st, socks[s], &g, w.l.iface), 0);
	assert_int_equal(berth_sock_set_filter(w.l.st, socks[s], &g, w.l.iface, mode, list, n), 0);
	lab_drain(&w.l);
}

/* Records of the group of a kind; each source once. Returns the number of sources. */
static unsigned count_long(enum wire_group_change change, unsigned n, unsigned *ret_records)
{
	enum port_family family = w.f->v4 ? PORT_FAMILY_4 : PORT_FAMILY_6;
	bool seen[600] = {false};
	struct wire_group m;
	struct seen s;
	unsigned total = 0;

	*ret_records = 0;
	for (unsigned i = 0; said(&w, i, &m, &s); i++) {
		struct wire_slice rest = m.body;
		struct wire_group_record r;

		while (m.kind == WIRE_GROUP_REPORT3 && wire_group_record_next(family, &rest, &r)) {
			if (r.change != change)
				continue;
			++*ret_records;
			for (unsigned k = 0; k < r.n_sources; k++) {
				struct port_addr a = wire_group_source(family, r.sources, k);
				unsigned at = w.f->v4 ? a.b[14] * 256u + a.b[15] : a.b[13] * 256u + a.b[15];

				assert_true(at < n && !seen[at]);
				seen[at] = true;
				total++;
			}
		}
	}
	return total;
}

static uint32_t longest_frame(void)
{
	uint32_t len = 0;

	for (unsigned i = 0; i < w.l.n_out; i++)
		len = w.l.out[i].len > len ? w.l.out[i].len : len;
	return len;
}

static void a_list_that_does_not_fit_is_split(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_stack_config c = {.n_sources = 600, .n_filter_sources = 256};
		uint32_t mtu = families[f].v4 ? 576 : 1280;
		unsigned fits = families[f].v4 ? (576 - 24 - 8 - 8) / 4 : (1280 - 48 - 8 - 20) / 16, n_records;

		begin_with(&families[f], mtu, &c);
		fill_filter(0, BERTH_INCLUDE, 0, 250);
		settle();
		lab_clear(&w.l);
		fill_filter(1, BERTH_INCLUDE, 250, 250);
		settle();
		lab_clear(&w.l);
		ask("", 1000);
		settle();
		assert_int_equal(count_long(WIRE_GROUP_IS_INCLUDE, 500, &n_records), 500);
		assert_int_equal(n_records, (500 + fits - 1) / fits);
		assert_int_equal(longest_frame(), 14 + (w.f->v4 ? 24 + 8 + 8 + fits * 4 : 48 + 8 + 20 + fits * 16));
		lab_clear(&w.l);
		become(1, "-");
		assert_int_equal(count_long(WIRE_GROUP_BLOCK, 500, &n_records), 250);
		assert_int_equal(n_records, (250 + fits - 1) / fits);
		settle();
		/* Each part of an exclusion would be taken for all of it: RFC 3376, 4.2.16. */
		become(0, "-");
		fill_filter(2, BERTH_EXCLUDE, 0, 250);
		settle();
		lab_clear(&w.l);
		ask("", 1000);
		settle();
		assert_int_equal(count_long(WIRE_GROUP_IS_EXCLUDE, 500, &n_records), fits);
		assert_int_equal(n_records, 1);
		assert_true(longest_frame() <= 14 + mtu);
		end();
	}
}

/* Many groups in one answer, as many reports as it takes. */
static void many_groups_with_sources_in_one_answer(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_stack_config c = {.n_groups = 200, .n_sources = 600};
		enum port_family family = families[f].v4 ? PORT_FAMILY_4 : PORT_FAMILY_6;
		unsigned n_groups = 0, n_sources = 0, n_reports = 0;
		struct wire_group m;
		struct seen s;

		begin_with(&families[f], 1500, &c);
		for (unsigned g = 0; g < 150; g++) {
			struct berth_addr at = group();

			at.ip[13] = 77;
			at.ip[14] = (uint8_t)g;
			for (char letter = 'a'; letter <= 'c'; letter++) {
				struct berth_addr a = source(letter);

				assert_int_equal(berth_sock_source(w.l.st, socks[0], BERTH_SOURCE_JOIN, &at, &a,
								   w.l.iface),
						 0);
			}
			lab_drain(&w.l);
			lab_clear(&w.l);
		}
		settle();
		lab_clear(&w.l);
		ask(NULL, 1000);
		settle();
		for (; said(&w, n_reports, &m, &s); n_reports++) {
			struct wire_slice rest = m.body;
			struct wire_group_record r;

			while (wire_group_record_next(family, &rest, &r)) {
				if (r.address.b[13] != 77)
					continue;
				assert_int_equal(r.change, WIRE_GROUP_IS_INCLUDE);
				n_groups++;
				n_sources += r.n_sources;
			}
		}
		assert_int_equal(n_groups, 150);
		assert_int_equal(n_sources, 450);
		assert_true(n_reports >= 2 && n_reports <= 8);
		for (unsigned i = 0; i < w.l.n_out; i++)
			assert_true(w.l.out[i].len <= 14 + 1500);
		lab_clear(&w.l);
		for (unsigned i = 0; i < N_SOCKS; i++)
			assert_int_equal(berth_sock_close(w.l.st, socks[i]), 0);
		for (unsigned i = 0; i < 40; i++) {
			lab_pass(&w.l, SEC(0.1));
			lab_clear(&w.l);
		}
		assert_int_equal(w.l.st->ip->sources.n_used, 0);
		lab_close(&w.l);
	}
}

/* --- older queriers: RFC 3376, 7.2.1; RFC 3810, 8.2.1 --- */
static void of_sources_nothing_is_said_to_an_older_querier(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (unsigned version = families[f].v4 ? 1 : 2; version <= 2; version++) {
			begin(&families[f]);
			become(0, "in:a");
			become(0, "in:ab"); /* what was still to be said of it in version 3 is not said any more */
			lab_clear(&w.l);
			query(&w, version, NULL, 3000, w.f->querier, 1, true);
			settle();
			assert_string_equal(all_said(), "report");
			lab_clear(&w.l);
			become(0, "in:bc");
			become(1, "ex:a");
			become(0, "-");
			settle();
			assert_string_equal(all_said(), "");
			assert_true(!takes('a') && takes('b'));
			become(1, "-");
			settle();
			assert_string_equal(all_said(), version == 1 ? "" : "leave");
			lab_clear(&w.l);
			become(2, "in:d"); /* that it came is said, and again */
			become(3, "in:d");
			settle();
			assert_string_equal(all_said(), "report; report");
			assert_true(takes('d') && !takes('a'));
			/* Version 3 is spoken again after 400 s. */
			lab_pass(&w.l, SEC(400));
			lab_clear(&w.l);
			ask(NULL, 100);
			settle();
			assert_string_equal(all_said(), "is-in:d");
			end();
		}
}

/* RFC 3376, 7.2.1: with the version goes what waits. */
static void an_older_querier_ends_what_waits(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "ex:a");
		ask("bc", 10000);
		become(0, "-");
		become(1, "in:b");
		lab_clear(&w.l);
		query(&w, 2, NULL, 100, w.f->querier, 1, true);
		assert_true(berth_stack_check(w.l.st));
		settle();
		assert_string_equal(all_said(), "report");
		end();
	}
}

/* A query about one group tells nothing of who asks about all. */
static void only_a_general_query_makes_an_older_querier(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "in:ab");
		query(&w, 2, w.f->group, 100, w.f->querier, 1, true);
		settle();
		assert_string_equal(all_said(), "is-in:ab");
		end();
	}
}

/* --- the source-specific range: RFC 4604 --- */
static const struct family ssm[] = {
	{"IGMP", "10.0.0.1", "10.0.0.254", "224.0.0.1", "232.1.2.3", "224.0.0.22", "224.0.0.2", 24, true},
	{"MLD", "fe80::1", "fe80::fe", "ff02::1", "ff35::77", "ff02::16", "ff02::2", 64, false},
};

static void rfc_4604_exclusions_are_not_reported(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(ssm); f++) {
		begin(&ssm[f]);
		become(0, "ex:");
		become(0, "ex:a");
		ask(NULL, 100);
		ask("", 100);
		ask("ab", 100);
		settle();
		assert_string_equal(all_said(), "");
		assert_true(takes('b') && !takes('a')); /* what comes all the same is heard */
		become(1, "in:bc");
		settle();
		assert_string_equal(all_said(), "allow:b; allow:bc; allow:c");
		lab_clear(&w.l);
		ask(NULL, 100);
		settle();
		assert_string_equal(all_said(), "is-in:bc");
		lab_clear(&w.l);
		ask("ab", 100);
		settle();
		assert_string_equal(all_said(), "is-in:b");
		lab_clear(&w.l);
		become(1, "-");
		settle();
		assert_string_equal(all_said(), "block:bc; block:bc");
		lab_clear(&w.l);
		become(0, "-");
		settle();
		assert_string_equal(all_said(), "");
		end();
	}
}

static void rfc_4604_older_versions(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(ssm); f++) {
		struct port_addr g = A(ssm[f].group);

		begin(&ssm[f]);
		query(&w, 2, NULL, 100, w.f->querier, 1, true);
		become(0, "ex:");
		settle();
		assert_string_equal(all_said(), ""); /* it would ask for all senders */
		become(1, "in:a");
		group_heard(w.l.st, w.l.iface, &g); /* another's report says nothing of our sources */
		settle();
		assert_string_equal(all_said(), "report; report");
		end();
	}
}

static void what_the_range_is(void **state)
{
	static const struct {
		const char *group;
		bool is;
	} cases[] = {{"232.0.0.0", true}, {"232.255.255.255", true}, {"231.255.255.255", false}, {"233.0.0.0", false},
		     {"ff30::1", true},	  {"ff3e::8000:1", true},    {"ff3e:0:1::1", true},	 {"ff2e::1", false},
		     {"ff4e::1", false},  {"ff3e:1::1", false},	     {"ff05::77", false}};

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		struct port_addr g = A(cases[i].group);

		assert_int_equal(group_is_ssm(&g), cases[i].is);
	}
}

/* --- who hears --- */
static void datagram(char from)
{
	static uint8_t l4[64], buf[128];
	struct berth_addr a = source(from);
	struct port_addr src = addr_of(&a), to = A(w.f->group);
	char src_text[PORT_ADDR_STR_MAX];
	struct pk p = {.src = port_addr_print(&src, src_text),
		       .dst = w.f->group,
		       .proto = WIRE_PROTO_UDP,
		       .payload = l4};
	uint8_t mac[6];

	p.len = udp_build(p.src, p.dst, 9999, 5000, &from, 1, l4);
	wire_mac_of_group(&to, mac);
	lab_packet_to(&w.l, mac, his_mac, buf, pk_build(&p, buf, sizeof(buf)));
}

/* What the socket was given, as letters. */
static const char *heard(unsigned s)
{
	static char letters[32];
	unsigned n = 0;
	uint8_t one;

	while (n < sizeof(letters) - 1 && lab_recv(&w.l, socks[s], &one, 1) == 1)
		letters[n++] = (char)one;
	letters[n] = '\0';
	return letters;
}

static void each_socket_hears_whom_it_wants(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin(&families[f]);
		become(0, "in:ab");
		become(1, "ex:bc");
		become(2, "ex:bd");
		for (char letter = 'a'; letter <= 'e'; letter++)
			datagram(letter);
		assert_string_equal(heard(0), "ab");
		assert_string_equal(heard(1), "ade");
		assert_string_equal(heard(2), "ace");
		assert_string_equal(heard(3), "abcde"); /* is no member: BERTH_MULTICAST_ALL */
		assert_int_equal(w.l.st->n.mcast_filtered, 3 + 2 + 2);
		assert_int_equal(berth_sock_set(w.l.st, socks[3], BERTH_MULTICAST_ALL, 0), 0);
		datagram('a');
		assert_string_equal(heard(3), "");
		assert_int_equal(w.l.st->n.mcast_filtered, 7);
		assert_string_equal(heard(0), "a");
		end();
	}
}

/* The interface takes in what a member wants, and nothing else: sockets that are no members do not hear it, either. */
static void whom_nobody_wants_is_not_taken_in(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin(&families[f]);
		become(0, "in:a");
		datagram('a');
		datagram('b');
		assert_string_equal(heard(0), "a");
		assert_string_equal(heard(3), "a");
		assert_int_equal(w.l.st->n.mcast_filtered, 1);
		become(0, "ex:a");
		datagram('a');
		datagram('b');
		assert_string_equal(heard(0), "b");
		assert_string_equal(heard(3), "b");
		assert_int_equal(w.l.st->n.mcast_filtered, 2);
		end();
	}
}

static void echo(char from)
{
	static uint8_t l4[64], buf[128];
	struct berth_addr a = source(from);
	struct port_addr src = addr_of(&a), to = A(w.f->group);
	char src_text[PORT_ADDR_STR_MAX];
	struct pk p = {.src = port_addr_print(&src, src_text), .dst = w.f->group, .payload = l4};
	uint8_t mac[6];

	p.proto = w.f->v4 ? WIRE_PROTO_ICMP4 : WIRE_PROTO_ICMP6;
	p.len = echo_build(p.src, p.dst, "x", 1, l4);
	wire_mac_of_group(&to, mac);
	lab_packet_to(&w.l, mac, his_mac, buf, pk_build(&p, buf, sizeof(buf)));
}

/* The same holds of all that comes to the group, but not of what is said about groups: the querier is in nobody's list. */
static void a_ping_is_filtered_and_a_query_is_not(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin_as(&families[f], "in:a");
		echo('b');
		assert_int_equal(w.l.st->n.mcast_filtered, 1);
		echo('a');
		assert_int_equal(w.l.st->n.mcast_filtered, 1);
		ask("", 100); /* to the group's address */
		settle();
		assert_string_equal(all_said(), "is-in:a");
		end();
	}
}

static void we_hear_ourselves_if_we_want_to(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_addr g = group(), us = pub(families[f].us), a;
		struct berth_dgram d = {.data = (void *)(uintptr_t) "u", .len = 1};

		begin(&families[f]);
		g = group();
		a = us;
		d.peer = g;
		d.peer.port = 5000;
		d.iface = w.l.iface;
		become(0, "in:a");
		assert_int_equal(berth_sock_udp_send(w.l.st, socks[1], &d, 1), 1);
		lab_drain(&w.l);
		assert_string_equal(heard(0), "");
		assert_string_equal(heard(3), ""); /* is no member, and no member wants us */
		assert_int_equal(berth_sock_source(w.l.st, socks[0], BERTH_SOURCE_JOIN, &g, &a, w.l.iface), 0);
		assert_int_equal(berth_sock_udp_send(w.l.st, socks[1], &d, 1), 1);
		lab_drain(&w.l);
		assert_string_equal(heard(0), "u");
		assert_string_equal(heard(3), "u");
		assert_int_equal(berth_sock_set_filter(w.l.st, socks[0], &g, w.l.iface, BERTH_EXCLUDE, &a, 1), 0);
		assert_int_equal(berth_sock_udp_send(w.l.st, socks[1], &d, 1), 1);
		lab_drain(&w.l);
		assert_string_equal(heard(0), "");
		end();
	}
}

/* Linux's IPv6 asks no interface; a membership on the one it came in on has the say. */
static void a_membership_on_another_interface(void **state)
{
	struct berth_iface second = {.struct_size = sizeof(second), .mtu_bytes = 1500, .flags = BERTH_IF_NO_DAD};
	struct berth_addr g, a;
	uint16_t iface;

	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin(&families[f]);
		assert_int_equal(berth_iface_add(w.l.st, &second, &iface), 0);
		g = group();
		a = source('a');
		become(3, "ex:"); /* so that it comes in at all */
		assert_int_equal(berth_sock_set(w.l.st, socks[0], BERTH_MULTICAST_ALL, 0), 0);
		assert_int_equal(berth_sock_source(w.l.st, socks[0], BERTH_SOURCE_JOIN, &g, &a, iface), 0);
		datagram('a');
		datagram('b');
		assert_string_equal(heard(0), w.f->v4 ? "" : "a");
		become(0, "in:b");
		datagram('a');
		datagram('b');
		assert_string_equal(heard(0), "b");
		end();
	}
}

/* --- the calls --- */
enum op { JOIN, LEAVE, ADD, DROP, BLOCK, UNBLOCK, SET };
struct call {
	enum op op;
	const char *arg;
	int result;
};
struct call_case {
	const char *name;
	struct call calls[8];
	const char *filter; /* in the end */
};
#define MSF_MAX 4
static const struct call_case call_cases[] = {
	{"RFC 3678: a source joins the group", {{ADD, "a", 0}, {ADD, "b", 0}}, "in:ab"},
	{"RFC 3678: a source twice", {{ADD, "a", 0}, {ADD, "a", -EADDRNOTAVAIL}}, "in:a"},
	{"RFC 3678: a source that is not there goes", {{ADD, "a", 0}, {DROP, "b", -EADDRNOTAVAIL}}, "in:a"},
	{"RFC 3678: the last source goes, and with it the group",
	 {{ADD, "a", 0}, {DROP, "a", 0}, {LEAVE, "", -EADDRNOTAVAIL}},
	 "-"},
	{"RFC 3678: sources keep their order",
	 {{ADD, "c", 0}, {ADD, "a", 0}, {ADD, "b", 0}, {DROP, "a", 0}, {ADD, "a", 0}},
	 "in:cba"},
	{"RFC 3678: blocking", {{JOIN, "", 0}, {BLOCK, "a", 0}, {BLOCK, "b", 0}, {UNBLOCK, "a", 0}}, "ex:b"},
	{"RFC 3678: blocking needs the group",
	 {{BLOCK, "a", -EINVAL}, {UNBLOCK, "a", -EINVAL}, {DROP, "a", -EINVAL}},
	 "-"},
	{"RFC 3678: blocked twice", {{JOIN, "", 0}, {BLOCK, "a", 0}, {BLOCK, "a", -EADDRNOTAVAIL}}, "ex:a"},
	{"RFC 3678: unblocked twice",
	 {{JOIN, "", 0}, {BLOCK, "a", 0}, {UNBLOCK, "a", 0}, {UNBLOCK, "a", -EADDRNOTAVAIL}},
	 "ex:"},
	{"RFC 3678: the modes do not mix, exclude",
	 {{JOIN, "", 0}, {BLOCK, "a", 0}, {ADD, "b", -EINVAL}, {DROP, "a", -EINVAL}},
	 "ex:a"},
	{"RFC 3678: the modes do not mix, include",
	 {{ADD, "a", 0}, {BLOCK, "b", -EINVAL}, {UNBLOCK, "a", -EINVAL}, {JOIN, "", -EADDRINUSE}},
	 "in:a"},
	{"RFC 3678: an empty filter changes its mode", {{JOIN, "", 0}, {ADD, "a", 0}}, "in:a"},
	{"nothing to drop from an empty one", {{JOIN, "", 0}, {DROP, "a", -EADDRNOTAVAIL}}, "ex:"},
	{"RFC 3678: all at once", {{JOIN, "", 0}, {SET, "in:abc", 0}, {SET, "ex:d", 0}, {SET, "in:b", 0}}, "in:b"},
	{"RFC 3678: all at once, not joined", {{SET, "in:a", -EINVAL}, {SET, "ex:", -EINVAL}}, "-"},
	{"RFC 3678: to include nobody is to leave",
	 {{JOIN, "", 0}, {SET, "in:", 0}, {SET, "in:", -EADDRNOTAVAIL}},
	 "-"},
	{"a source that is there twice", {{JOIN, "", 0}, {SET, "ex:abab", 0}}, "ex:ab"},
	{"too many in one filter",
	 {{JOIN, "", 0}, {SET, "ex:abcde", -ENOBUFS}, {SET, "ex:abcd", 0}, {BLOCK, "e", -ENOBUFS}},
	 "ex:abcd"},
	{"too many by one",
	 {{ADD, "a", 0}, {ADD, "b", 0}, {ADD, "c", 0}, {ADD, "d", 0}, {ADD, "e", -ENOBUFS}},
	 "in:abcd"},
	{"leaving takes the filter along", {{ADD, "a", 0}, {LEAVE, "", 0}, {JOIN, "", 0}}, "ex:"},
};

static int do_call(const struct call *c)
{
	struct berth_addr g = group();

	switch (c->op) {
	case JOIN:
		return berth_sock_join(w.l.st, socks[0], &g, w.l.iface);
	case LEAVE:
		return berth_sock_leave(w.l.st, socks[0], &g, w.l.iface);
	case ADD:
		return change_source(0, BERTH_SOURCE_JOIN, c->arg[0]);
	case DROP:
		return change_source(0, BERTH_SOURCE_LEAVE, c->arg[0]);
	case BLOCK:
		return change_source(0, BERTH_SOURCE_BLOCK, c->arg[0]);
	case UNBLOCK:
		return change_source(0, BERTH_SOURCE_UNBLOCK, c->arg[0]);
	case SET:
		return set_filter(0, c->arg);
	}
	return -ENOSYS;
}

static const char *filter_text(unsigned s)
{
	static char out[64];
	struct berth_addr g = group(), list[32];
	enum berth_filter_mode mode;
	unsigned n = COUNT_OF(list);
	int r = berth_sock_get_filter(w.l.st, socks[s], &g, w.l.iface, &mode, list, &n);

	if (r < 0) {
		assert_int_equal(r, -EADDRNOTAVAIL);
		return "-";
	}
	snprintf(out, sizeof(out), "%s:", mode == BERTH_INCLUDE ? "in" : "ex");
	for (unsigned i = 0; i < n; i++) {
		struct port_addr a = addr_of(&list[i]);

		out[3 + i] = letter_of(&a);
		out[4 + i] = '\0';
	}
	return out;
}

static void run_calls(void **state)
{
	const struct call_case *c = *state;

	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_stack_config config = {.n_sources = 16, .n_filter_sources = MSF_MAX};

		begin_with(&families[f], 1500, &config);
		for (unsigned i = 0; i < COUNT_OF(c->calls) && c->calls[i].arg; i++) {
			assert_int_equal(do_call(&c->calls[i]), c->calls[i].result);
			assert_true(berth_stack_check(w.l.st));
		}
		assert_string_equal(filter_text(0), c->filter);
		end();
	}
}

static void arguments_that_make_no_sense(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		const struct family *other = &families[1 - f];
		struct berth_addr g, a, bad[4];
		enum berth_filter_mode mode;
		unsigned n = 2;

		begin(&families[f]);
		g = group();
		a = source('a');
		bad[0] = pub(w.f->group);
		bad[1] = w.f->v4 ? berth_addr4(0, 0, 0, 0, 0) : (struct berth_addr){.port = 0};
		bad[2] = pub(other->us);
		become(0, "ex:");
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(berth_sock_source(w.l.st, socks[0], BERTH_SOURCE_BLOCK, &g, &bad[i],
							   w.l.iface),
					 -EINVAL);
			assert_int_equal(berth_sock_set_filter(w.l.st, socks[0], &g, w.l.iface, BERTH_EXCLUDE, &bad[i],
							       1),
					 -EINVAL);
		}
		assert_int_equal(berth_sock_source(w.l.st, socks[0], (enum berth_source_change)9, &g, &a, w.l.iface),
				 -EINVAL);
		assert_int_equal(berth_sock_source(w.l.st, socks[0], BERTH_SOURCE_BLOCK, &a, &a, w.l.iface), -EINVAL);
		assert_int_equal(berth_sock_source(w.l.st, socks[0], BERTH_SOURCE_JOIN, &g, &a, 77), -ENODEV);
		assert_int_equal(berth_sock_set_filter(w.l.st, socks[0], &g, w.l.iface, (enum berth_filter_mode)2, &a,
						       1),
				 -EINVAL);
		assert_int_equal(berth_sock_set_filter(w.l.st, socks[0], &g, w.l.iface, BERTH_EXCLUDE, NULL, 1),
				 -EINVAL);
		assert_int_equal(berth_sock_get_filter(w.l.st, socks[1], &g, w.l.iface, &mode, bad, &n),
				 -EADDRNOTAVAIL);
		/* Less room than there are: so many, and how many there are. */
		become(0, "in:abc");
		n = 2;
		memset(bad, 0xee, sizeof(bad));
		assert_int_equal(berth_sock_get_filter(w.l.st, socks[0], &g, w.l.iface, &mode, bad, &n), 0);
		assert_true(n == 3 && mode == BERTH_INCLUDE && bad[1].ip[15] == 101 && bad[2].ip[15] == 0xee);
		end();
	}
}

static void the_pool_is_full_at_its_end(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_stack_config c = {.n_sources = 5, .n_filter_sources = 4};
		struct berth_usage u = {.struct_size = sizeof(u)};

		begin_with(&families[f], 1500, &c);
		become(0, "in:abcd");
		become(1, "in:a");
		assert_int_equal(change_source(1, BERTH_SOURCE_JOIN, 'b'), -ENOBUFS);
		assert_int_equal(set_filter(1, "ex:bc"), -ENOBUFS);
		assert_string_equal(filter_text(1), "in:a"); /* as it was */
		assert_int_equal(change_source(2, BERTH_SOURCE_JOIN, 'b'), -ENOBUFS);
		assert_string_equal(filter_text(2), "-");
		assert_int_equal(set_filter(0, "ex:efgh"), 0); /* what it gives up counts */
		assert_int_equal(berth_stack_usage(w.l.st, &u), 0);
		assert_true(u.sources.used == 5 && u.sources.peak == 5 && u.sources.limit == 5);
		become(0, "-");
		become(1, "in:bcde");
		/* Again and again, faster than it is said: what was to be said goes, nothing else does. */
		for (unsigned i = 0; i < 50; i++) {
			become(1, i % 2 ? "in:abcd" : "in:efgh");
			become(2, i % 3 ? "in:h" : "-");
			lab_clear(&w.l);
		}
		settle();
		lab_clear(&w.l);
		ask("", 100);
		settle();
		assert_string_equal(all_said(), "is-in:abcdh");
		end();
	}
}

/* What was said already goes for want of room; what was not said yet does not. */
static void room_is_made_of_what_was_said(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		struct berth_stack_config c = {.n_sources = 4, .n_filter_sources = 4};

		begin_with(&families[f], 1500, &c);
		become(0, "in:abcd");
		settle();
		lab_clear(&w.l);
		become(0, "in:efgh");
		become(0, "in:ijkl");
		settle();
		assert_string_equal(all_said(), "allow:efgh block:abcd; allow:ijkl block:efgh; allow:ijkl block:efgh");
		end();
	}
}

/* --- interfaces --- */
static void an_interface_that_comes_back_says_all_of_it(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin(&families[f]);
		become(0, "in:ab");
		settle();
		become(1, "in:c");
		ask("a", 10000);
		assert_int_equal(berth_iface_set_up(w.l.st, w.l.iface, false), 0);
		settle();
		lab_clear(&w.l);
		become(0, "in:ad"); /* nobody is told, nothing stays to be told */
		become(1, "-");
		settle();
		assert_string_equal(all_said(), "");
		assert_int_equal(berth_iface_set_up(w.l.st, w.l.iface, true), 0);
		settle();
		assert_string_equal(all_said(), "allow:ad; allow:ad");
		become(0, "ex:b");
		settle();
		ask("", 10000); /* of before the outage */
		assert_int_equal(berth_iface_set_up(w.l.st, w.l.iface, false), 0);
		lab_clear(&w.l);
		assert_int_equal(berth_iface_set_up(w.l.st, w.l.iface, true), 0);
		settle();
		assert_string_equal(all_said(), "to-ex:b; to-ex:b");
		end();
	}
}

static void an_interface_goes_with_its_filters(void **state)
{
	(void)state;
	for (unsigned f = 0; f < COUNT_OF(families); f++) {
		begin(&families[f]);
		become(0, "in:ab");
		become(1, "ex:bc");
		ask("xy", 10000);
		assert_int_equal(berth_iface_remove(w.l.st, w.l.iface), 0);
		assert_true(berth_stack_check(w.l.st));
		assert_int_equal(w.l.st->ip->filters.n_used, 0);
		assert_int_equal(w.l.st->ip->sources.n_used, 0);
		end();
	}
}

/* Whoever is in a group because of an address of ours hears everybody, whatever sockets want. */
static void an_address_keeps_its_group_open(void **state)
{
	struct family solicited = families[1];
	struct berth_addr a = pub("fd00::1:2:3");

	(void)state;
	solicited.group = "ff02::1:ff02:3";
	begin(&solicited);
	assert_int_equal(berth_addr_add(w.l.st, w.l.iface, &a, 64), 0);
	settle();
	lab_clear(&w.l);
	become(0, "in:a");
	assert_true(takes('a') && takes('b'));
	assert_int_equal(berth_addr_remove(w.l.st, w.l.iface, &a), 0);
	assert_true(takes('a') && !takes('b'));
	settle();
	assert_string_equal(all_said(), "to-in:a; to-in:a");
	end();
}

int main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(what_others_want_is_not_said_again),
		cmocka_unit_test(as_often_as_the_querier_says),
		cmocka_unit_test(a_general_answer_says_it_too),
		cmocka_unit_test(a_query_while_a_change_is_being_said),
		cmocka_unit_test(s11_more_sources_than_are_remembered),
		cmocka_unit_test(s11_what_is_asked_takes_no_room_from_members),
		cmocka_unit_test(s11_a_flood_of_queries_that_give_no_time),
		cmocka_unit_test(s1_a_query_that_lies_about_its_sources),
		cmocka_unit_test(sources_that_are_none),
		cmocka_unit_test(a_list_that_does_not_fit_is_split),
		cmocka_unit_test(many_groups_with_sources_in_one_answer),
		cmocka_unit_test(of_sources_nothing_is_said_to_an_older_querier),
		cmocka_unit_test(an_older_querier_ends_what_waits),
		cmocka_unit_test(only_a_general_query_makes_an_older_querier),
		cmocka_unit_test(rfc_4604_exclusions_are_not_reported),
		cmocka_unit_test(rfc_4604_older_versions),
		cmocka_unit_test(what_the_range_is),
		cmocka_unit_test(each_socket_hears_whom_it_wants),
		cmocka_unit_test(whom_nobody_wants_is_not_taken_in),
		cmocka_unit_test(a_ping_is_filtered_and_a_query_is_not),
		cmocka_unit_test(we_hear_ourselves_if_we_want_to),
		cmocka_unit_test(a_membership_on_another_interface),
		cmocka_unit_test(arguments_that_make_no_sense),
		cmocka_unit_test(the_pool_is_full_at_its_end),
		cmocka_unit_test(room_is_made_of_what_was_said),
		cmocka_unit_test(an_interface_that_comes_back_says_all_of_it),
		cmocka_unit_test(an_interface_goes_with_its_filters),
		cmocka_unit_test(an_address_keeps_its_group_open),
	};
	static struct CMUnitTest tests[128];
	size_t n = 0;

#define ROWS(cases, function)                        \
	for (size_t i = 0; i < COUNT_OF(cases); i++) \
	tests[n++] = (struct CMUnitTest){cases[i].name, function, NULL, NULL, (void *)(uintptr_t)&cases[i]}
	ROWS(change_cases, run_change);
	ROWS(merge_cases, run_merge);
	ROWS(sequence_cases, run_sequence);
	ROWS(query_cases, run_query);
	ROWS(call_cases, run_calls);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("ip_filter", tests, n, NULL, NULL);
}
