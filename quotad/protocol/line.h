/*
 * The line protocol, of lda, brimq and brimadm: requests are lines of words with one
 * space between, in the form of record.h. One table has all requests, with who may make
 * them; quotad(8) tells what they mean.
 */
#ifndef QUOTAD_LINE_H
#define QUOTAD_LINE_H

#include "protocol.h"
#include "store/usage.h"

struct access;
struct scanner;
struct waiting;

/* Its service. */
struct line {
	const struct room *room;
	const struct access *access;
	const struct usage *usage;
	uint64_t started_ms; /* when quotad did */
	const struct scanner *scanner;
	struct waiting *waiting; /* mail that does */
};

extern const struct protocol line_protocol;

#endif
