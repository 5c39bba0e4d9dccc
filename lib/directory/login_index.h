/*
 * The index of logins: \001=LOGIN for each login= of a mailbox. No path begins with '=',
 * so that versions before this one take an entry for one of their paths, which nothing
 * asks for: they sum it, keep it, and can't tell when it is out of date.
 *
 * So the table's own record says how many there are; where it does not, an older brimadm
 * has made the last change, and the next writer makes the index anew. A reader trusts no
 * entry without the record that it leads to.
 */
#ifndef BRIM_LOGIN_INDEX_H
#define BRIM_LOGIN_INDEX_H

#include "users_db.h"

/* The key (ADDRESS_MAX + 1 bytes) of a login: canonical, as an address's; 0, or -1 where
 * it can be none. */
int login_index_key(char *key, const char *login);

/* The key of the mailbox that the index has for the login (a key): 1, 0, -1. */
int login_index_find(struct users *u, const char *login, char *owner, struct reason *why);

int login_index_put(struct users *u, const struct record *r, struct reason *why);
int login_index_remove(struct users *u, const struct record *r, struct reason *why);

/* Makes it anew, in a table that is open to be changed, unless that says how many there
 * are: 0, -1. */
int login_index_renew(struct users *u, struct reason *why);

/* Adds what the record's entry is to the totals. */
void login_index_count(struct totals *t, const struct record *r);

/* Whether the table's key is an entry. */
int login_index_is_entry(const void *key, size_t size);

#endif
