/* src/cli/columns_info.c: columns that are shown when they are named: memory, timers and congestion of the machine's sockets.
 *
 * The kernel tells memory and struct tcp_info only when it is asked for them, which makes a long list dearer by half; so `ls` asks when
 * one of these is among its columns, and --json without -o leaves them out. What they are called is what the kernel's own headers
 * (SK_MEMINFO_*, tcpi_*) and ss call them, with the unit behind it; ss's short words are taken, too.
 */
#include "cli/columns.h"

static void put_cell(char *s, bool known, uint64_t v)
{
	snprintf(s, COLUMN_CELL_MAX, known ? "%llu" : "-", (unsigned long long)v);
}

static void put_json(struct json_out *o, bool known, uint64_t v)
{
	if (known)
		json_out_number(o, v);
	else
		json_out_null(o);
}

/* Round trips as people speak of them. */
static void put_us(char *s, bool known, uint64_t us)
{
	if (known)
		snprintf(s, COLUMN_CELL_MAX, "%llu.%02llu ms", (unsigned long long)us / 1000,
			 (unsigned long long)us / 10 % 100);
	else
		snprintf(s, COLUMN_CELL_MAX, "-");
}

/* A number that is known of some rows; the smallest to sort by where it is not. */
#define NUMBER_AS(id, is_known, value, put)                             \
	static uint64_t number_##id(const struct door *d)               \
	{                                                               \
		return is_known(d) ? (value) : 0;                       \
	}                                                               \
	static void cell_##id(const struct door *d, char *s)            \
	{                                                               \
		put(s, is_known(d), number_##id(d));                    \
	}                                                               \
	static void json_##id(const struct door *d, struct json_out *o) \
	{                                                               \
		put_json(o, is_known(d), number_##id(d));               \
	}
#define NUMBER(id, is_known, value) NUMBER_AS(id, is_known, value, put_cell)

/* --- memory --- */

static bool has_memory(const struct door *d)
{
	return d->socket && d->socket->have & HOST_HAS_MEMORY;
}

NUMBER(rmem, has_memory, d->socket->rmem)
NUMBER(rcvbuf, has_memory, d->socket->rcvbuf)
NUMBER(wmem, has_memory, d->socket->wmem)
NUMBER(sndbuf, has_memory, d->socket->sndbuf)
NUMBER(drops, has_memory, d->socket->drops)

/* --- timers --- */

static const char *const timer_name[] = {
	[HOST_TIMER_RETRANSMIT] = "retransmit",
	[HOST_TIMER_KEEPALIVE] = "keepalive",
	[HOST_TIMER_TIME_WAIT] = "time-wait",
	[HOST_TIMER_PROBE] = "probe",
};

static bool has_timer(const struct door *d)
{
	return d->socket && d->socket->timer != HOST_TIMER_NONE && d->socket->timer < COUNT_OF(timer_name);
}

static void cell_timer(const struct door *d, char *s)
{
	snprintf(s, COLUMN_CELL_MAX, "%s", has_timer(d) ? timer_name[d->socket->timer] : "-");
}

static void json_timer(const struct door *d, struct json_out *o)
{
	json_out_text(o, has_timer(d) ? timer_name[d->socket->timer] : NULL);
}

static uint64_t number_timer_s(const struct door *d)
{
	return has_timer(d) ? d->socket->timer_ms : 0;
}

/* Below ten seconds a tenth counts: a retransmission comes after 0.2 s. */
static void put_ms(char *s, bool known, uint32_t ms)
{
	if (!known)
		snprintf(s, COLUMN_CELL_MAX, "-");
	else if (ms < 10000)
		snprintf(s, COLUMN_CELL_MAX, "%u.%u s", ms / 1000, ms / 100 % 10);
	else
		snprintf(s, COLUMN_CELL_MAX, "%u s", ms / 1000);
}

static void cell_timer_s(const struct door *d, char *s)
{
	put_ms(s, has_timer(d), (uint32_t)number_timer_s(d));
}

static void json_timer_s(const struct door *d, struct json_out *o)
{
	if (has_timer(d))
		json_out_seconds(o, number_timer_s(d) * 1000);
	else
		json_out_null(o);
}

/* Of a connection, while it waits for an answer or asks whether the peer is there. */
static bool has_retransmits(const struct door *d)
{
	return has_timer(d) && d->socket->timer != HOST_TIMER_TIME_WAIT;
}

NUMBER(retransmits, has_retransmits, d->socket->retransmits)

/* --- congestion --- */

/* A listener has these numbers, too, and they mean nothing. */
static bool has_info(const struct door *d)
{
	return d->info && d->socket->state != HOST_LISTEN && d->socket->state != HOST_BOUND;
}

static void cell_congestion(const struct door *d, char *s)
{
	snprintf(s, COLUMN_CELL_MAX, "%s", d->info && d->info->congestion[0] ? d->info->congestion : "-");
}

static void json_congestion(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->info ? d->info->congestion : NULL);
}

NUMBER_AS(rtt_us, has_info, d->info->rtt_us, put_us)
NUMBER_AS(rttvar_us, has_info, d->info->rttvar_us, put_us)
NUMBER_AS(min_rtt_us, has_info, d->info->min_rtt_us, put_us)
NUMBER(cwnd, has_info, d->info->cwnd)
NUMBER(ssthresh, has_info, d->info->ssthresh)
NUMBER(mss, has_info, d->info->mss)
NUMBER(unacked, has_info, d->info->unacked)
NUMBER(lost, has_info, d->info->lost)
NUMBER(total_retrans, has_info, d->info->retransmitted)
NUMBER(bytes_acked, has_info, d->info->bytes_acked)
NUMBER(bytes_received, has_info, d->info->bytes_received)
NUMBER(delivery_rate, has_info, d->info->delivery_rate)

static uint64_t number_last_sent(const struct door *d)
{
	return has_info(d) ? d->info->last_sent_ms : 0;
}

static uint64_t number_last_received(const struct door *d)
{
	return has_info(d) ? d->info->last_received_ms : 0;
}

static void cell_last_sent(const struct door *d, char *s)
{
	put_ms(s, has_info(d), (uint32_t)number_last_sent(d));
}

static void cell_last_received(const struct door *d, char *s)
{
	put_ms(s, has_info(d), (uint32_t)number_last_received(d));
}

static void put_seconds(struct json_out *o, bool known, uint64_t ms)
{
	if (known)
		json_out_seconds(o, ms * 1000);
	else
		json_out_null(o);
}

static void json_last_sent(const struct door *d, struct json_out *o)
{
	put_seconds(o, has_info(d), number_last_sent(d));
}

static void json_last_received(const struct door *d, struct json_out *o)
{
	put_seconds(o, has_info(d), number_last_received(d));
}

/* --- all --- */

#define SHOWN(id) cell_##id, json_##id, number_##id
#define TEXT(id) cell_##id, json_##id, NULL

const struct column columns_info[] = {
	{"rmem", NULL, "RMEM", true, 6, 0, true, SHOWN(rmem), "memory"},
	{"rcvbuf", NULL, "RCVBUF", true, 6, 0, true, SHOWN(rcvbuf), "memory"},
	{"wmem", NULL, "WMEM", true, 6, 0, true, SHOWN(wmem), "memory"},
	{"sndbuf", NULL, "SNDBUF", true, 6, 0, true, SHOWN(sndbuf), "memory"},
	{"drops", NULL, "DROPS", true, 6, 0, true, SHOWN(drops), "memory"},
	{"timer", NULL, "TIMER", false, 6, 0, false, TEXT(timer), "timers"},
	{"timer_s", NULL, "EXPIRES", true, 6, 0, true, SHOWN(timer_s), "timers"},
	{"retransmits", NULL, "RETRANSMITS", true, 6, 0, true, SHOWN(retransmits), "timers"},
	{"congestion_control", "cong", "CONGESTION", false, 6, 0, false, TEXT(congestion), "congestion"},
	{"rtt_us", "rtt", "RTT", true, 6, 0, true, SHOWN(rtt_us), "congestion"},
	{"rttvar_us", "rttvar", "RTTVAR", true, 6, 0, true, SHOWN(rttvar_us), "congestion"},
	{"min_rtt_us", "minrtt", "MIN RTT", true, 6, 0, true, SHOWN(min_rtt_us), "congestion"},
	{"cwnd", NULL, "CWND", true, 6, 0, true, SHOWN(cwnd), "congestion"},
	{"ssthresh", NULL, "SSTHRESH", true, 6, 0, true, SHOWN(ssthresh), "congestion"},
	{"mss", NULL, "MSS", true, 6, 0, true, SHOWN(mss), "congestion"},
	{"unacked", NULL, "UNACKED", true, 6, 0, true, SHOWN(unacked), "congestion"},
	{"lost", NULL, "LOST", true, 6, 0, true, SHOWN(lost), "congestion"},
	{"total_retrans", "retrans", "RETRANS", true, 6, 0, true, SHOWN(total_retrans), "congestion"},
	{"last_sent_s", "lastsnd", "LAST SENT", true, 6, 0, true, SHOWN(last_sent), "congestion"},
	{"last_received_s", "lastrcv", "LAST RECEIVED", true, 6, 0, true, SHOWN(last_received), "congestion"},
	{"bytes_acked", NULL, "ACKED", true, 6, 0, true, SHOWN(bytes_acked), "congestion"},
	{"bytes_received", NULL, "RECEIVED", true, 6, 0, true, SHOWN(bytes_received), "congestion"},
	{"delivery_rate", NULL, "DELIVERY RATE", true, 6, 0, true, SHOWN(delivery_rate), "congestion"},
};
const size_t columns_info_n = COUNT_OF(columns_info);
static_assert(COUNT_OF(columns_info) <= COLUMNS_INFO_MAX, "room for all");
