/* fuzz/fuzz_endpoint.c: any text is an endpoint or a message that points into it; addresses are read as
 * the C library reads them; what is printed reads back as the same. */
#include <arpa/inet.h>
#include <string.h>

#include "port/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void check_message(const struct port_parse_error *err, size_t len)
{
	ASSERT(err->what && err->what[0]);
	ASSERT(err->at <= len && err->at <= 255);
}

static void check_addr(const char *text, size_t len)
{
	struct port_parse_error err = {0};
	char printed[PORT_ADDR_STR_MAX];
	struct port_addr a, again;
	uint8_t octets[16];
	bool v4 = inet_pton(AF_INET, text, octets) == 1, v6 = !v4 && inet_pton(AF_INET6, text, octets) == 1;

	if (port_addr_parse(text, &a, &err) < 0) {
		check_message(&err, len);
		ASSERT(!v4 && !v6);
		return;
	}
	/* Brackets and % are ours; the rest is what the library takes. */
	ASSERT(v4 || v6 || strchr(text, '[') || strchr(text, '%'));
	if (v4 || v6)
		ASSERT(memcmp(v4 ? a.b + 12 : a.b, octets, v4 ? 4 : 16) == 0);
	ASSERT(port_addr_parse(port_addr_print(&a, printed), &again, NULL) == 0);
	ASSERT(port_addr_equal(&a, &again));
}

static void check_endpoint(const char *text, size_t len)
{
	char printed[PORT_ENDPOINT_STR_MAX];
	struct port_parse_error err = {0};
	struct port_endpoint e, again;

	if (port_endpoint_parse(text, &e, &err) < 0) {
		check_message(&err, len);
		return;
	}
	ASSERT(e.ports.first <= e.ports.last);
	ASSERT(memchr(e.host, 0, sizeof(e.host)) && memchr(e.service, 0, sizeof(e.service)));
	ASSERT(!(e.has_addr && e.host[0]));
	if (!e.has_addr)
		return;
	ASSERT(port_endpoint_parse(port_endpoint_print(&e.addr, e.ports.first, printed), &again, NULL) == 0);
	ASSERT(again.has_addr && port_addr_equal(&e.addr, &again.addr) && again.ports.first == e.ports.first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	char text[301];
	uint16_t port;
	size_t len;

	if (len_bytes >= sizeof(text))
		return 0;
	if (len_bytes)
		memcpy(text, data, len_bytes);
	text[len_bytes] = '\0';
	len = strlen(text);
	check_endpoint(text, len);
	check_addr(text, len);
	(void)!port_number_parse(text, &port, NULL);
	return 0;
}
