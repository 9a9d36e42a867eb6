/* fuzz/fuzz_dhcp.c: a DHCP client and a server that says anything, at any time. The client never asserts, sends no flood, and has no
 * address that is none.
 *
 * The input is a list of steps: an octet says what happens (time passes, the caller's calls, a message), a message's length and octets
 * follow. The fields that an outsider cannot know (transaction number, MAC) are put in by the step that says so.
 */
#include <string.h>

#include "base/cursor.h"
#include "dhcp/message.h"

#define SECOND_NS UINT64_C(1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static _Alignas(64) uint8_t memory[8192];
static uint8_t message[1500];

static void hear(struct berth_dhcp *d, struct cursor_reader *c, const uint8_t xid[4], const uint8_t mac[6], bool knows,
		 uint64_t now)
{
	size_t n = cursor_get_be16(c) % sizeof(message);
	const uint8_t *p;

	n = n < cursor_reader_left(c) ? n : cursor_reader_left(c);
	p = cursor_take(c, n);
	if (n)
		memcpy(message, p, n);
	if (knows && n >= 240) { /* all that makes it an answer to us; addresses, options are the input's */
		memcpy(message, (const uint8_t[]){2, 1, 6}, 3);
		memcpy(message + 4, xid, 4);
		memcpy(message + 28, mac, 6);
		memcpy(message + 236, (const uint8_t[]){0x63, 0x82, 0x53, 0x63}, 4);
	}
	berth_dhcp_input(d, message, n, now);
}

static void look(struct berth_dhcp *d, bool *bound)
{
	struct berth_dhcp_event ev;

	while (berth_dhcp_event(d, &ev)) {
		const struct berth_dhcp_lease *l = &ev.lease;

		ASSERT(ev.what >= BERTH_DHCP_BOUND && ev.what <= BERTH_DHCP_LOST);
		ASSERT(*bound == (ev.what != BERTH_DHCP_BOUND)); /* they come in turn */
		*bound = ev.what != BERTH_DHCP_LOST;
		ASSERT(dhcp_is_host(l->addr) && dhcp_is_host(l->server) && l->prefix_bits <= 32 && l->prefix_bits > 0);
		ASSERT(l->n_routers <= BERTH_DHCP_ROUTERS_MAX && l->n_routes <= BERTH_DHCP_ROUTES_MAX);
		ASSERT(l->n_dns <= BERTH_DHCP_DNS_MAX && memchr(l->domain, 0, sizeof(l->domain)));
		ASSERT(l->renew_ns <= l->rebind_ns && l->rebind_ns <= l->ends_ns);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct berth_dhcp_config config = {.struct_size = sizeof(config),
					   .secret = "a fuzzer's key.",
					   .mac = {2, 0, 0, 0, 0, 1}};
	struct cursor_reader c = cursor_reader(data, len_bytes);
	struct berth_dhcp_tx tx = {.len = 0};
	struct berth_dhcp *d;
	uint64_t now = SECOND_NS, n_steps = 0, n_sent = 0;
	bool bound = false;

	ASSERT(berth_dhcp_size() <= sizeof(memory));
	memset(memory, 0, sizeof(memory));
	ASSERT(berth_dhcp_init(&d, memory, sizeof(memory), &config, now) == 0);
	berth_dhcp_start(d, now);
	while (cursor_reader_left(&c)) {
		n_steps++;
		switch (cursor_get_u8(&c) % 9) {
		case 0:
			hear(d, &c, tx.data + 4, config.mac, false, now);
			break;
		case 1:
		case 2:
			hear(d, &c, tx.data + 4, config.mac, true, now);
			break;
		case 3:
			now += cursor_get_be16(&c) * SECOND_NS;
			berth_dhcp_tick(d, now);
			break;
		case 4:
		case 5: /* as a program does: to the next deadline */
			if (berth_dhcp_deadline(d) != UINT64_MAX && berth_dhcp_deadline(d) > now)
				now = berth_dhcp_deadline(d);
			berth_dhcp_tick(d, now);
			break;
		case 6:
			berth_dhcp_decline(d, now);
			break;
		case 7:
			berth_dhcp_release(d, now);
			berth_dhcp_start(d, now);
			break;
		case 8:
			break;
		}
		for (unsigned i = 0; berth_dhcp_output(d, &tx, now); i++, n_sent++)
			ASSERT(i < 2 && tx.len >= 300 && tx.len <= sizeof(tx.data)); /* a farewell and one message */
		look(d, &bound);
	}
	ASSERT(n_sent <= 2 * n_steps);
	return 0;
}
