/* Lists of brim.conf: elements with blanks or commas between. */
#ifndef BRIM_CONF_LIST_H
#define BRIM_CONF_LIST_H

#include "reason.h"

/* What the elements are. */
enum conf_list_of { CONF_LIST_NAMES, CONF_LIST_PATHS, CONF_LIST_NETWORKS };

/* Whether each element is one: 0, or -1 with the reason. */
int conf_list_check(const char *list, enum conf_list_of of, struct reason *why);

/* Whether it is an absolute path that does not go up. */
int conf_is_path(const char *value);

#endif
