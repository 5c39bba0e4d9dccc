/* Which type of store takes which path. */
#include "store.h"
#include "store_kind.h"

static const struct store_type *const types[STORE_KINDS] = {
	[STORE_KIND_MAILDIR] = &store_maildir,
};

const struct store_type *
store_type_of(const char *path, struct reason *why)
{
	enum store_kind kind;

	return store_kind_of(path, &kind, why) ? NULL : types[kind];
}
