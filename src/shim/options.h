/* src/shim/options.h: what options.c and option_values.c share. */
#ifndef BERTH_SHIM_OPTIONS_H
#define BERTH_SHIM_OPTIONS_H

#include "shim/shim.h"

/* Octets in and out, as the kernel's own functions treat lengths. byte: fewer than four octets are one. */
int option_put(const void *v, size_t v_len, void *val, socklen_t *len);
int option_put_int(int32_t v, bool byte, void *val, socklen_t *len);
int option_take_int(const void *val, socklen_t len, bool byte, int32_t *ret);
/* Values kept by extra.c. */
int32_t option_stored(int fd, const struct tag *t, int key, int32_t dflt);
bool option_is_stored(int fd, const struct tag *t, int key);
void option_store(int fd, struct tag *t, int key, const void *v, size_t v_len);
int option_store_int(int fd, struct tag *t, int key, int32_t v);
static inline bool is_connected(const struct tag *t)
{
	return t->state == SOCK_CONNECTED || t->state == SOCK_ACCEPTED;
}

/* The options that are functions (option_values.c). */
int option_get_special(struct shim *s, int fd, struct tag *t, int level, int name, void *val, socklen_t *len);
int option_set_special(int fd, struct tag *t, int level, int name, const void *val, socklen_t len);
/* Where the answer hangs on what the socket is doing: true, and *ret is the answer. Else it is asked for as of
 * any socket. */
bool option_get_by_state(int fd, const struct tag *t, int level, int name, void *val, socklen_t *len, int *ret);
/* Return: OPTION_DONE; 0, as of any socket; negative errno. */
#define OPTION_DONE 1
int option_set_by_state(const struct tag *t, int level, int name, const void *val, socklen_t len);

#endif
