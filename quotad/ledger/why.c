/* The words for why a mailbox was counted, as the store and EXPLAIN have them. */
#include <string.h>

#include "ledger.h"

static const char *const why_names[LEDGER_WHYS] = {
	[LEDGER_NEVER] = "never",
	[LEDGER_FIRST] = "first",
	[LEDGER_BOOT] = "boot",
	[LEDGER_LOST] = "lost-store",
	[LEDGER_CHANGED] = "changed",
	[LEDGER_REFUSAL] = "refusal",
	[LEDGER_ASKED] = "recount",
	[LEDGER_ORPHANS] = "orphans",
	[LEDGER_ROUND] = "round",
};

const char *
ledger_why_name(enum ledger_why why)
{
	return why_names[why < LEDGER_WHYS ? why : LEDGER_NEVER];
}

enum ledger_why
ledger_why_parse(const char *name)
{
	for (int why = 0; why < LEDGER_WHYS; why++)
		if (strcmp(why_names[why], name) == 0)
			return (enum ledger_why)why;
	return LEDGER_NEVER;
}
