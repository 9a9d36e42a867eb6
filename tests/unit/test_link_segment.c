/* tests/unit/test_link_segment.c: a super-frame becomes segments with good checksums and comes back together as it was. */
#include "link_fixture.h"
#include "link/segment.h"

static uint8_t data[LINK_FRAME_MAX];

struct split_case {
	const char *name;
	struct fix x;
	unsigned n; /* segments; 0: refused */
};

#define ACK WIRE_TCP_ACK
static const struct split_case splits[] = {
	{"IPv4 on Ethernet, a shorter last one", {BERTH_LINK_ETHERNET, 4, 1000, ACK, 5000, .gso_size = 1460}, 4},
	{"IPv4 on Ethernet, no rest", {BERTH_LINK_ETHERNET, 4, 1000, ACK, 2920, .gso_size = 1460}, 2},
	{"IPv6 without a link header, timestamps",
	 {BERTH_LINK_IP, 6, 9, ACK, 40000, .ts_val = 5, .gso_size = 1200},
	 34},
	{"sequence numbers go round", {BERTH_LINK_IP, 4, 0xfffffff0, ACK, 3000, .gso_size = 1000}, 3},
	{"FIN and PSH stay with the last, CWR with the first",
	 {BERTH_LINK_IP, 4, 1, ACK | WIRE_TCP_FIN | WIRE_TCP_PSH | WIRE_TCP_CWR, 3000, .gso_size = 1000},
	 3},
	{"one segment is one", {BERTH_LINK_IP, 4, 1, ACK, 10, .gso_size = 1000}, 1},
	{"64 KiB", {BERTH_LINK_ETHERNET, 4, 1, ACK, 65495, .gso_size = 1448}, 46},
	{"UDP", {BERTH_LINK_ETHERNET, 4, 1, 0, 3333, .gso_size = 1000, .udp = true}, 4},
};

static void split(void **state)
{
	const struct split_case *c = *state;
	struct link_frames frames = {0};
	struct link_frame *super, *one;
	struct link_segments s;
	struct link_view v;
	struct berth_tx tx;
	uint32_t at = 0;
	unsigned n = 0;

	fix_tx(&c->x, data, &tx);
	super = link_frame_from(&frames, &tx, c->x.link);
	assert_non_null(super);
	assert_int_equal(link_segments_init(&s, super), 0);
	assert_int_equal(link_segments_count(&s), c->n);
	while ((one = link_segments_next(&s, &frames))) {
		bool last = ++n == c->n;
		const uint8_t *payload;
		uint32_t len;

		assert_int_equal(link_view(one->data, one->len, one->link, &v), 0);
		assert_true(link_checksum_good(one->data, &v));
		if (c->x.udp) {
			payload = one->data + v.l4_at + 8;
			len = v.ip_at + v.ip_len - v.l4_at - 8;
		} else {
			uint16_t odd = WIRE_TCP_FIN | WIRE_TCP_PSH | WIRE_TCP_CWR;
			uint16_t want = (uint16_t)(c->x.flags & ~odd);

			assert_true(v.has_tcp);
			assert_int_equal(v.tcp.seq, c->x.seq + at);
			want |= (uint16_t)(last ? c->x.flags & (WIRE_TCP_FIN | WIRE_TCP_PSH) : 0);
			want |= (uint16_t)(n == 1 ? c->x.flags & WIRE_TCP_CWR : 0);
			assert_int_equal(v.tcp.flags, want);
			payload = v.tcp.payload.data;
			len = (uint32_t)v.tcp.payload.len_bytes;
		}
		if (!last)
			assert_int_equal(len, c->x.gso_size);
		for (uint32_t i = 0; i < len; i++)
			assert_int_equal(payload[i], fix_octet(c->x.seq + at + i));
		at += len;
		link_frame_free(&frames, one);
	}
	assert_int_equal(n, c->n);
	assert_int_equal(at, c->x.len);
	link_frame_free(&frames, super);
	link_frames_fini(&frames);
}

static void together_again(void **state)
{
	struct fix x = {BERTH_LINK_ETHERNET, 4, 77, ACK | WIRE_TCP_PSH, 20000, .ts_val = 9, .gso_size = 1448};
	struct link_frames frames = {0};
	struct link_frame *super, *sum, *one;
	struct link_segments s;
	struct link_view v;
	struct berth_tx tx;

	(void)state;
	fix_tx(&x, data, &tx);
	super = link_frame_from(&frames, &tx, x.link);
	assert_int_equal(link_segments_init(&s, super), 0);
	sum = link_segments_next(&s, &frames);
	while ((one = link_segments_next(&s, &frames))) {
		assert_true(link_merge(&frames, &sum, one));
		link_frame_free(&frames, one);
	}
	assert_int_equal(sum->gso, BERTH_GSO_TCP4);
	assert_int_equal(sum->gso_size, 1448);
	assert_int_equal(sum->len, super->len);
	assert_int_equal(link_view(sum->data, sum->len, sum->link, &v), 0);
	assert_true(v.has_tcp);
	assert_int_equal(v.tcp.flags, x.flags);
	assert_int_equal(v.tcp.payload.len_bytes, x.len);
	for (uint32_t i = 0; i < x.len; i++)
		assert_int_equal(v.tcp.payload.data[i], fix_octet(x.seq + i));
	link_frame_free(&frames, super);
	link_frame_free(&frames, sum);
	link_frames_fini(&frames);
}

struct merge_case {
	const char *name;
	struct fix a, b;
	int spoil; /* octet of b's payload that is changed behind the checksum's back; -1 none */
	bool want;
};

#define F4(seq, len, ...)                                      \
	{                                                      \
		BERTH_LINK_IP, 4, seq, ACK, len, ##__VA_ARGS__ \
	}
static const struct merge_case merges[] = {
	{"S28: two that follow each other become one", F4(0, 100), F4(100, 100), -1, true},
	{"S28: a shorter last one may end it", F4(0, 100), F4(100, 7), -1, true},
	{"S28: a longer one may not", F4(0, 100), F4(100, 101), -1, false},
	{"S28: a gap keeps them apart", F4(0, 100), F4(101, 100), -1, false},
	{"S28: a bad checksum keeps them apart", F4(0, 100), F4(100, 100), 3, false},
	{"S28: another TOS keeps them apart", F4(0, 100), F4(100, 100, .tos = 3), -1, false},
	{"S28: another timestamp keeps them apart", F4(0, 100, .ts_val = 4), F4(100, 100, .ts_val = 5), -1, false},
	{"S28: another family keeps them apart", F4(0, 100), {BERTH_LINK_IP, 6, 100, ACK, 100}, -1, false},
	{"S28: DF and no DF keep them apart", F4(0, 100), F4(100, 100, .df = true), -1, false},
	{"S28: FIN is not merged", F4(0, 100), {BERTH_LINK_IP, 4, 100, ACK | WIRE_TCP_FIN, 100}, -1, false},
	{"S28: nothing follows a PSH", {BERTH_LINK_IP, 4, 0, ACK | WIRE_TCP_PSH, 100}, F4(100, 100), -1, false},
	{"S28: a bare acknowledgment is not merged", F4(0, 100), F4(100, 0), -1, false},
};

static void merge(void **state)
{
	const struct merge_case *c = *state;
	struct link_frames frames = {0};
	struct link_frame *a, *b;
	struct berth_tx tx;
	bool got;

	fix_tx(&c->a, data, &tx);
	a = link_frame_from(&frames, &tx, c->a.link);
	fix_tx(&c->b, data, &tx);
	b = link_frame_from(&frames, &tx, c->b.link);
	if (c->spoil >= 0)
		b->data[b->len - c->b.len + (uint32_t)c->spoil] ^= 1;
	got = link_merge(&frames, &a, b);
	link_frame_free(&frames, a);
	link_frame_free(&frames, b);
	link_frames_fini(&frames);
	assert_int_equal(got, c->want);
}

static void refused(void **state)
{
	struct fix x = {BERTH_LINK_IP, 4, 1, ACK, 3000, .gso_size = 1000};
	struct link_frames frames = {0};
	struct link_frame *f;
	struct link_segments s;
	struct berth_tx tx;

	(void)state;
	fix_tx(&x, data, &tx);
	f = link_frame_from(&frames, &tx, x.link);
	f->gso = BERTH_GSO_TCP6; /* it is IPv4 */
	assert_int_equal(link_segments_init(&s, f), -EINVAL);
	f->gso = BERTH_GSO_UDP;
	assert_int_equal(link_segments_init(&s, f), -EINVAL);
	f->gso = BERTH_GSO_TCP4;
	f->gso_size = 0;
	assert_int_equal(link_segments_init(&s, f), -EINVAL);
	f->gso_size = 1000;
	f->data[32] = 0x40; /* a TCP header of 16 octets */
	assert_int_equal(link_segments_init(&s, f), -EINVAL);
	f->data[32] = 0x50;
	assert_int_equal(link_segments_init(&s, f), 0);
	f->len = 30;
	assert_int_equal(link_segments_init(&s, f), -EINVAL);
	link_frame_free(&frames, f);
	link_frames_fini(&frames);
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(splits) + COUNT_OF(merges) + 2];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(splits); i++)
		tests[n++] = (struct CMUnitTest){splits[i].name, split, NULL, NULL, (void *)(uintptr_t)&splits[i]};
	for (size_t i = 0; i < COUNT_OF(merges); i++)
		tests[n++] = (struct CMUnitTest){merges[i].name, merge, NULL, NULL, (void *)(uintptr_t)&merges[i]};
	tests[n++] = (struct CMUnitTest){"what was cut is put together again", together_again, NULL, NULL, NULL};
	tests[n++] = (struct CMUnitTest){"S28: a super-frame that is none is refused", refused, NULL, NULL, NULL};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
