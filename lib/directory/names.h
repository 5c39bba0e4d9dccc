/*
 * Keys of tables that an older brimadm has filled: ASCII letters were folded there, and
 * nothing else, and some are addresses that address_check refuses now. Such a key stays
 * what it is as long as its record does, so that a table leads where it always did;
 * dump and load make it new.
 */
#ifndef BRIM_NAMES_H
#define BRIM_NAMES_H

#include "change.h"

/* A table, or the copy that is changed. */
struct names_table {
	int (*get)(void *table, const char *key, struct record *r, struct reason *why);
	void *table;
};

/* As users_name. */
enum change_result names_find(
	const struct names_table *t, char *key, const char *text, struct reason *why);

/* Whether the table has the key, or the one that it would be today: 1, 0, -1. */
int names_has(const struct names_table *t, const char *key, struct reason *why);

/* Refuses the domain ("@xn--...") that is to come into a table that has it in the older
 * form: lda would look for its addresses there. */
enum change_result names_check_domain(
	const struct names_table *t, const char *domain, struct reason *why);

#endif
