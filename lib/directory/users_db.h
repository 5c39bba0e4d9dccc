/* The user table through libdb's eyes. */
#ifndef BRIM_USERS_DB_H
#define BRIM_USERS_DB_H

#include "users_file.h"

/* Opens u->fd in libdb; FLAGS are DB_RDONLY, DB_CREATE or 0. */
int users_db_attach(
	struct users *u, u_int32_t flags, u_int32_t cache, struct reason *why);

/* Whether libdb syncs the file at each close; a writer does so once, at its end. For the
 * whole process. */
void users_db_set_sync(int on);

/* Closes it in libdb, writing what is changed unless it was opened to read: 0, -1. */
int users_db_detach(struct users *u, struct reason *why);

/* Closes it in libdb; what is changed and not yet written is lost. */
void users_db_drop(struct users *u);

/* As users_seek. FOUND and VALUE belong to libdb until the next call. */
int users_db_seek(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why);

/* Puts the value in the place of any of that key, and keeps the totals: 0, -1. */
int users_db_put(struct users *u, const void *key, size_t size, const char *value,
	struct reason *why);

/* Removes key and value: 1, 0 if there was none, -1. */
int users_db_remove(struct users *u, const void *key, size_t size, struct reason *why);

/* The reason for an error of libdb; always -1. */
int users_db_fail(struct users *u, int error, const char *doing, struct reason *why);

#endif
