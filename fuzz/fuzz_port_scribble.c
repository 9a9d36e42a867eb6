/* fuzz/fuzz_port_scribble.c: another process writes what it likes into the shared table (decision 9).
 *
 * Calls may answer anything, but they come back, touch nothing outside the memory (ASan watches), and
 * after a repair the checker passes and the table works.
 *
 * The input's length says which form of table it is. Two programs of it: one on a small empty table, whose every octet is soon hit; and fuzz_port_scribble_many on one of
 * 256 claims that is half full before the input begins: groups with pages, long chains, a hold of many claims.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "port/demux.h"

#ifndef N_CLAIMS
#define N_CLAIMS 16
#define N_FLOWS 0
#define N_BOUND 0
#endif

/* Flows to one place and ports bound on one address: more than a group has without a page. And one port's many. */
static void fill(struct port_table *t)
{
	struct port_addr loop = PORT_ADDR_LOOP4;
	struct port_refusal why;
	struct port_ref ref;

	for (uint16_t i = 0; i < N_FLOWS; i++) {
		struct port_want w = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4};

		ref = PORT_REF_NONE;
		ASSERT(port_table_connect(t, &ref, &w, &loop, &loop, 7, 0, &why) == 0);
	}
	for (uint16_t i = 0; i < N_BOUND; i++) {
		struct port_want w = {.proto = i & 1 ? PORT_UDP : PORT_TCP,
				      .family = PORT_FAMILY_4,
				      .addr = i % 4 ? loop : PORT_ADDR_ANY4,
				      .port = i % 8 ? (uint16_t)(2004 + i) : 2001,
				      .flags = i % 8 ? 0 : PORT_REUSEPORT};

		(void)!port_table_bind(t, PORT_REF_NONE, &w, 0, &ref, &why);
	}
	ASSERT(port_table_check(t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static const uint8_t secret[16] = "scribble";
	const struct port_table_form form = {.n_claims = N_CLAIMS,
					     .n_places = len_bytes & 1 ? N_CLAIMS - N_CLAIMS / 8 : 0,
					     .lean = len_bytes & 1};
	size_t size = port_table_form_size(&form);
	uint8_t *mem = aligned_alloc(64, size); /* exactly: one octet further is ASan's */
	struct port_ref refs[8] = {{0, 0}}, ref;
	struct port_table t;
	struct port_refusal why;
	struct port_claim c;
	static uint8_t *made[2]; /* once: a table is offsets, and its copy is as good */
	uint8_t *filled = made[form.lean];
	size_t at = 0;

	ASSERT(mem != NULL);
	if (!filled) {
		filled = made[form.lean] = aligned_alloc(64, size);
		ASSERT(filled != NULL && port_table_form_init(&t, filled, size, &form, secret) == 0);
		fill(&t);
	}
	memcpy(mem, filled, size);
	ASSERT(port_table_attach(&t, mem, size) == 0);
	for (; len_bytes >= 6; data += 6, len_bytes -= 6) {
		struct port_want w = {.proto = data[1] & 1,
				      .family = data[1] & 2 ? PORT_FAMILY_6 : PORT_FAMILY_4,
				      .port = (uint16_t)(data[2] % 4 == 0 ? 0 : 2000 + data[2] % 4),
				      .flags = data[1] >> 2 & 7};
		struct port_addr loop = w.family == PORT_FAMILY_4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
		struct port_tuple tuple = {w.proto, loop, loop, w.port, 7};
		struct port_ref *r = &refs[data[3] % 8];
		uint32_t off;

		w.addr = data[1] & 0x80 ? loop : w.family == PORT_FAMILY_4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
		switch (data[0] % 10) {
		case 0:
			(void)!port_table_bind(&t, PORT_REF_NONE, &w, 0, r, &why);
			break;
		case 1:
			(void)!port_table_listen(&t, r, &w, 0, &why);
			break;
		case 2:
			w.port = 0;
			ref = PORT_REF_NONE;
			(void)!port_table_connect(&t, &ref, &w, &loop, &loop, 7, 0, &why);
			break;
		case 3:
			(void)!port_table_release(&t, *r);
			break;
		case 4:
			(void)!port_demux(&t, &tuple, 0, &ref);
			break;
		case 5:
			(void)!port_table_linger(&t, *r, 5);
			(void)port_table_expire(&t, 9, 4);
			break;
		case 6:
			(void)port_table_check(&t);
			break;
		case 7:
			for (uint32_t k = 0; port_table_next(&t, &k, &ref, &c);) {
			}
			break;
		default: /* the scribble: mostly where structure is, sometimes anywhere */
			memcpy(&off, data + 1, 4);
			at = data[0] & 0x10 ? off % size : (at + off % 512) % size;
			mem[at] = data[5];
			if (data[0] & 0x20 && at % 4 == 0 && at + 4 <= size)
				memset(mem + at, data[5] & 1 ? 0xff : data[5], 4);
			break;
		}
	}
	if (port_table_attach(&t, mem, size) == 0) {
		struct port_want w = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4, .port = 4000};

		port_table_repair(&t, NULL, NULL);
		ASSERT(port_table_check(&t));
		int r = port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL);

		ASSERT(r == 0 || r == -ENOBUFS || r == -EADDRINUSE || r == -EACCES);
		ASSERT(port_table_check(&t));
	}
	free(mem);
	return 0;
}
