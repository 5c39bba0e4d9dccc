/*
 * What an MTA asks the directory as tables of its own, before it has a message: which
 * addresses there are, where aliases lead, which domains are ours. Each map has a name
 * and takes one key, an address or a domain as the MTA has it: extension, alias domains,
 * catch-all and canonical form are as at delivery.
 *
 * That something is not found is said only of a sound table that has records: what can't
 * be told is an error, since an MTA refuses for good what is not found.
 */
#ifndef BRIM_MAPS_H
#define BRIM_MAPS_H

#include "conf.h"
#include "users.h"
#include "verdict.h"

enum maps_answer {
	MAPS_FOUND,
	MAPS_NOT_FOUND,
	MAPS_ERROR /* ours or the administrator's: the MTA is to ask again */
};

/* The name of each map, by number from 0 on; NULL if there is none. */
const char *maps_name(size_t i);

/* Looks the key up in the map of that name: MAPS_FOUND with a value of its own, never
 * empty, which the caller frees; MAPS_ERROR with the outcome, as for an unknown name. */
enum maps_answer maps_find(const char *name, struct users *u, const struct conf *c,
	const char *key, char **value, struct outcome *o);

#endif
