/* tests/captures/read.c: pcapng (draft-ietf-opsawg-pcapng) as make.py writes it, and no more of it: big-endian, one interface, times in
 * nanoseconds, a comment for the section (the attack) and one for each packet (what it is; its marks behind "@"). */
#include "play.h"

#include <errno.h>
#include <string.h>

#include "wire/wire.h"

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 6u
#define OPT_COMMENT 1
#define LINKTYPE_ETHERNET 1

static void need(const struct capture *c, bool good, const char *what)
{
	EXPECT(good, "%s: not a capture of ours: %s", c->path, what);
}

static size_t load(struct capture *c)
{
	FILE *f = fopen(c->path, "rb");
	long n;

	EXPECT(f, "%s: %s", c->path, strerror(errno));
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	need(c, n > 0, "empty");
	c->file = malloc((size_t)n + 1);
	EXPECT(c->file && fread(c->file, 1, (size_t)n, f) == (size_t)n, "%s: cannot read it", c->path);
	c->file[n] = 0;
	fclose(f);
	return (size_t)n;
}

/* The comment among options at[0 .. len), as a string of its own; "" where there is none. */
static char *comment(const struct capture *c, const uint8_t *at, size_t len)
{
	size_t n;
	char *r;

	while (len >= 4) {
		n = wire_get16(at + 2);
		need(c, n + 4 <= len, "an option");
		if (wire_get16(at) == OPT_COMMENT)
			break;
		n = 4 + (n + 3) / 4 * 4;
		need(c, n <= len, "an option");
		at += n;
		len -= n;
	}
	n = len >= 4 ? wire_get16(at + 2) : 0;
	r = calloc(1, n + 1);
	EXPECT(r, "no memory");
	if (n)
		memcpy(r, at + 4, n);
	return r;
}

/* --- a packet's marks --- */

static void base_of(const struct capture *c, const char *name, struct mark *m)
{
	static const char *const names[] = {"rcv_nxt", "una", "nxt", "ts"};

	for (uint8_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(name, names[i]) == 0) {
			m->base = i;
			return;
		}
	need(c, strncmp(name, "iss", 3) == 0, name);
	m->base = BASE_ISS;
	m->port = (uint16_t)strtoul(name + 3, NULL, 10);
}

/* live=AT:BASE[:SUM...]	vary=AT[:SUM...] */
static void read_mark(const struct capture *c, struct frame *f, char *value, bool live)
{
	struct mark *m = live ? &f->live[f->n_live] : &f->vary[f->n_vary];
	char *save, *w = strtok_r(value, ":", &save);

	need(c, (live ? f->n_live : f->n_vary) < CAPTURE_MARKS && w, "marks");
	m->at = (uint16_t)strtoul(w, NULL, 10);
	if (live) {
		w = strtok_r(NULL, ":", &save);
		need(c, w != NULL, "a mark");
		base_of(c, w, m);
		f->n_live++;
	} else {
		f->n_vary++;
	}
	while ((w = strtok_r(NULL, ":", &save)) != NULL && m->n_sums < 2)
		m->sums[m->n_sums++] = (uint16_t)strtoul(w, NULL, 10);
	need(c, m->at + (live ? 4u : 2u) <= f->len, "a mark beyond the frame");
	for (unsigned i = 0; i < m->n_sums; i++)
		need(c, m->sums[i] + 2u <= f->len, "a sum beyond the frame");
}

static void read_marks(const struct capture *c, struct frame *f)
{
	char *at = strchr(f->text, '@'), *save, *w;

	f->repeat = 1;
	if (!at)
		return;
	*at++ = 0;
	for (w = strtok_r(at, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		char *value = strchr(w, '=');

		need(c, value != NULL, w);
		*value++ = 0;
		if (strcmp(w, "live") == 0 || strcmp(w, "vary") == 0)
			read_mark(c, f, value, *w == 'l');
		else if (strcmp(w, "repeat") == 0)
			f->repeat = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(w, "every") == 0)
			f->every_us = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(w, "split") == 0)
			f->split = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(w, "rx") == 0)
			f->has_rx = sscanf(value, "%u:%u:%u:%u:%u", &f->gso, &f->gso_size, &f->flags, &f->csum_start,
					   &f->csum_offset) == 5;
		else
			need(c, false, w);
	}
}

/* --- the section's: "name: value" lines --- */

static void read_rules(const struct capture *c, char *value, const char *sign, struct rule *v, unsigned *n)
{
	char *save;

	for (char *w = strtok_r(value, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *number = strstr(w, sign);

		need(c, *n < CAPTURE_RULES && number && (size_t)(number - w) < sizeof(v[*n].name), w);
		memcpy(v[*n].name, w, (size_t)(number - w));
		v[(*n)++].n = strtoull(number + 2, NULL, 10);
	}
}

static void read_line(struct capture *c, const char *name, char *value)
{
	if (strcmp(name, "link") == 0) {
		need(c, (c->link == BERTH_LINK_ETHERNET) == (strcmp(value, "ethernet") == 0), "link");
	} else if (strcmp(name, "family") == 0) {
		c->family = atoi(value);
	} else if (strcmp(name, "interface") == 0) {
		c->iface_flags = strstr(value, "dad") ? 0 : BERTH_IF_NO_DAD;
		c->iface_flags |= strstr(value, "routers") ? BERTH_IF_ROUTER_ADV : 0;
		c->adds_address = strstr(value, "dad") != NULL;
	} else if (strcmp(name, "serve") == 0) {
		need(c, sscanf(value, "%15s %lu", c->serve, &c->serve_n) >= 1, "serve");
	} else if (strcmp(name, "heard") == 0) {
		c->heard = strtoull(value, NULL, 10);
		c->has_heard = true;
	} else if (strcmp(name, "answers") == 0) {
		need(c, sscanf(value, "%ld to %ld", &c->least, &c->allow) == 2, "answers");
	} else if (strcmp(name, "numbers") == 0) {
		c->isns = true;
	} else if (strcmp(name, "counters") == 0) {
		read_rules(c, value, ">=", c->expect, &c->n_expect);
	} else if (strcmp(name, "limits") == 0) {
		read_rules(c, value, "<=", c->limit, &c->n_limit);
	}
}

static void read_section(struct capture *c, char *text)
{
	char *save;

	c->family = 4;
	c->iface_flags = BERTH_IF_NO_DAD;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *value = strstr(l, ": ");

		if (!value)
			continue;
		*value = 0;
		read_line(c, l, value + 2);
	}
}

static void read_packet(struct capture *c, const uint8_t *b, size_t len)
{
	struct frame *f = &c->frames[c->n_frames++];
	size_t padded;

	need(c, c->n_frames <= CAPTURE_FRAMES && len >= 32, "a packet");
	f->at_ns = (uint64_t)wire_get32(b + 12) << 32 | wire_get32(b + 16);
	f->len = wire_get32(b + 20);
	padded = ((size_t)f->len + 3) / 4 * 4;
	need(c, 28 + padded + 4 <= len, "a packet's length");
	f->data = b + 28;
	f->text = comment(c, b + 28 + padded, len - 28 - padded - 4);
	read_marks(c, f);
}

void capture_read(struct capture *c, const char *path)
{
	size_t left, n;
	char *text = NULL;

	*c = (struct capture){.path = path};
	left = load(c);
	for (const uint8_t *b = c->file; left > 0; b += n, left -= n) {
		need(c, left >= 12, "a block");
		n = wire_get32(b + 4);
		need(c, n >= 12 && n % 4 == 0 && n <= left, "a block's length");
		switch (wire_get32(b)) {
		case BLOCK_SECTION:
			need(c, n >= 28 && wire_get32(b + 8) == 0x1a2b3c4d && !text, "a section");
			text = comment(c, b + 24, n - 28);
			snprintf(c->text, sizeof(c->text), "%s", text);
			break;
		case BLOCK_INTERFACE:
			need(c, n >= 20 && text, "an interface");
			c->link = wire_get16(b + 8) == LINKTYPE_ETHERNET ? BERTH_LINK_ETHERNET : BERTH_LINK_IP;
			read_section(c, text);
			break;
		case BLOCK_PACKET:
			read_packet(c, b, n);
			break;
		default:
			need(c, false, "an unknown block");
		}
	}
	free(text);
	need(c, c->n_frames > 0, "no packets");
}

void capture_free(struct capture *c)
{
	for (unsigned i = 0; i < c->n_frames; i++)
		free((char *)(uintptr_t)c->frames[i].text);
	free(c->file);
}
