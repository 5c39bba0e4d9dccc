/* How the ledger is kept. */
#include "keeping.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "server.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* usage_open loads the ledger before there is a store to save to. */
int
keeping_save_account(void *server, struct account *a)
{
	struct server *v = server;

	return v->usage == NULL ? 0 : usage_save_account(v->usage, a);
}

int
keeping_save_ticket(void *server, struct account *a, const char *name, uint64_t bytes)
{
	struct server *v = server;

	return v->usage == NULL ? 0 : usage_save_ticket(v->usage, a, name, bytes);
}

void
keeping_remove_ticket(void *server, struct account *a, const char *name)
{
	struct server *v = server;

	if (v->usage != NULL)
		usage_remove_ticket(v->usage, a, name);
}

static int
read_boot(char boot[64], struct reason *why)
{
	FILE *file = fopen(BOOT_ID, "re");

	if (file == NULL)
		return reason_errno(why, "%s", BOOT_ID);
	if (fgets(boot, 64, file) == NULL)
		boot[0] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	fclose(file);
	return boot[0] == '\0' ? reason_set(why, "%s is empty", BOOT_ID) : 0;
}

int
keeping_open(struct server *v, const char *run_dir, struct reason *why)
{
	enum usage_start start = USAGE_UNSURE;
	char boot[64];

	if (read_boot(boot, why) == -1)
		return -1;
	v->usage = usage_open(v->conf.usage_dir, run_dir, boot, v->ledger, &start, why);
	if (v->usage == NULL)
		return -1;
	if (start == USAGE_UNSURE) {
		log_warning("tickets of an earlier quotad may be lost: no room is "
			    "promised for %" PRIu64 " s",
			v->conf.deadline);
		ledger_hold(v->ledger);
	}
	return 0;
}
