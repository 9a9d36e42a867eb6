/* tests/captures/play.h: a capture as it is read, for the player. The format: README.md. */
#ifndef BERTH_TESTS_CAPTURES_PLAY_H
#define BERTH_TESTS_CAPTURES_PLAY_H

#include "../soak/soak.h"

#define CAPTURE_FRAMES 256
#define CAPTURE_MARKS 10
#define CAPTURE_RULES 8

/* What a number in a frame counts from: it is added to what the file has there. */
enum base {
	BASE_RCV_NXT, /* the victim's, of the polite connection */
	BASE_UNA,
	BASE_NXT,
	BASE_TS,  /* the last timestamp that the victim keeps of the friend */
	BASE_ISS, /* the victim's first number towards the attacker's port .port, as its last SYN-ACK had it */
};

struct mark {
	uint16_t at, sums[2]; /* offsets of the number and of the checksums that cover it; 0: none */
	uint8_t n_sums, base;
	uint16_t port;
};

struct frame {
	uint64_t at_ns; /* from the attack's beginning */
	const uint8_t *data;
	uint32_t len;
	const char *text; /* its comment */
	struct mark live[CAPTURE_MARKS], vary[CAPTURE_MARKS];
	unsigned n_live, n_vary;
	uint32_t repeat, every_us;
	uint32_t split; /* so many octets are in one piece, the rest in parts; 0: all */
	bool has_rx;
	uint32_t gso, gso_size, flags, csum_start, csum_offset;
};

struct rule {
	char name[40]; /* a counter */
	uint64_t n;
};

struct capture {
	const char *path;
	uint8_t *file;
	char text[4096]; /* the section's comment */
	enum berth_link link;
	int family;
	uint32_t iface_flags;
	char serve[16]; /* what the victim's program does for strangers: none, sink, source, close */
	uint64_t serve_n, heard;
	int64_t least, allow;
	bool has_heard, isns, adds_address;
	struct rule expect[CAPTURE_RULES], limit[CAPTURE_RULES];
	unsigned n_expect, n_limit;
	struct frame frames[CAPTURE_FRAMES];
	unsigned n_frames;
};

/* Fails the test when the file is not one that make.py wrote. */
void capture_read(struct capture *c, const char *path);
void capture_free(struct capture *c);

#endif
