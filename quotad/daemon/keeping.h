/*
 * How the ledger is kept: between ledger and usage store. Accounts and tickets are loaded
 * at the start and saved as they change.
 */
#ifndef QUOTAD_KEEPING_H
#define QUOTAD_KEEPING_H

#include <stdint.h>

#include "ledger/ledger.h"
#include "reason.h"

struct server;

/* Opens the server's store, with its markers in RUN_DIR, and loads the server's ledger
 * from it. No room is promised for a while where tickets may be lost. 0, or -1 with the
 * reason. */
int keeping_open(struct server *v, const char *run_dir, struct reason *why);

/* Notes the deadline that the settings have, and tells the ledger how long ldas of an
 * earlier one may live. */
void keeping_note_deadline(struct server *v);

/* As the ledger's calls of the same names; SERVER is a struct server. */
int keeping_save_account(void *server, struct account *a);
int keeping_save_ticket(void *server, struct account *a, const struct ledger_ticket *t);
void keeping_remove_ticket(void *server, struct account *a, const char *name);
void keeping_remove_account(void *server, struct account *a);
void keeping_save_place(void *server, uint64_t path, uint64_t mail_in);
int keeping_save_promise(
	void *server, struct account *a, const struct ledger_kept_promise *p);
void keeping_remove_promise(
	void *server, struct account *a, const struct ledger_promise *p);

#endif
