/* src/link/pcap.c: three kinds of blocks.
 *
 *	| type | length | body ... | options ... | length |	each padded to 4 octets
 *
 * The length stands at both ends, so it is filled in last.
 */
#include "link/pcap.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 6u
#define OPT_END 0
#define OPT_COMMENT 1
#define OPT_APPLICATION 4 /* shb_userappl */
#define OPT_NAME 2	  /* if_name */
#define OPT_FLAGS 2	  /* epb_flags */
#define OPT_TSRESOL 9
#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW 101

static void pad(struct cursor_writer *w, size_t len)
{
	while (len++ % 4)
		cursor_put_u8(w, 0);
}

static void option(struct cursor_writer *w, uint16_t code, const void *data, size_t len)
{
	cursor_put_be16(w, code);
	cursor_put_be16(w, (uint16_t)len);
	cursor_put_bytes(w, data, len);
	pad(w, len);
}

static void option_text(struct cursor_writer *w, uint16_t code, const char *text)
{
	if (text && *text)
		option(w, code, text, strnlen(text, PCAP_COMMENT_MAX));
}

static void begin(struct cursor_writer *w, uint32_t type)
{
	cursor_put_be32(w, type);
	cursor_put_be32(w, 0);
}

static int end(struct cursor_writer *w)
{
	uint32_t len = (uint32_t)cursor_writer_len(w) + 8;

	cursor_put_be16(w, OPT_END);
	cursor_put_be16(w, 0);
	cursor_put_be32(w, len);
	if (!cursor_writer_ok(w))
		return -ENOBUFS;
	wire_put32(w->data + 4, len);
	return (int)len;
}

int pcap_section(uint8_t *buf, size_t room, const char *application)
{
	struct cursor_writer w = cursor_writer(buf, room);

	begin(&w, BLOCK_SECTION);
	cursor_put_be32(&w, 0x1a2b3c4d);
	cursor_put_be16(&w, 1);
	cursor_put_be16(&w, 0);
	cursor_put_be64(&w, UINT64_MAX); /* the section's length is not known */
	option_text(&w, OPT_APPLICATION, application);
	return end(&w);
}

int pcap_interface(uint8_t *buf, size_t room, enum berth_link link, const char *name)
{
	struct cursor_writer w = cursor_writer(buf, room);
	const uint8_t nanoseconds = 9;

	begin(&w, BLOCK_INTERFACE);
	cursor_put_be16(&w, link == BERTH_LINK_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW);
	cursor_put_be16(&w, 0);
	cursor_put_be32(&w, 0); /* no limit of what was kept of a packet */
	option_text(&w, OPT_NAME, name);
	option(&w, OPT_TSRESOL, &nanoseconds, 1);
	return end(&w);
}

int pcap_put(uint8_t *buf, size_t room, const struct pcap_packet *p)
{
	struct cursor_writer w = cursor_writer(buf, room);
	uint8_t flags[4];
	uint32_t len = 0;

	for (unsigned i = 0; i < p->n_parts; i++)
		len += p->parts[i].len;
	begin(&w, BLOCK_PACKET);
	cursor_put_be32(&w, p->iface);
	cursor_put_be32(&w, (uint32_t)(p->at_ns >> 32));
	cursor_put_be32(&w, (uint32_t)p->at_ns);
	cursor_put_be32(&w, len);
	cursor_put_be32(&w, len);
	for (unsigned i = 0; i < p->n_parts; i++)
		cursor_put_bytes(&w, p->parts[i].data, p->parts[i].len);
	pad(&w, len);
	option_text(&w, OPT_COMMENT, p->comment);
	if (p->direction != PCAP_UNKNOWN) {
		wire_put32(flags, p->direction);
		option(&w, OPT_FLAGS, flags, sizeof(flags));
	}
	return end(&w);
}
