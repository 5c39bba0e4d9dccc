/* ACCESS: what is said to a message while its sender's server is still connected. */
#ifndef QUOTAD_ASK_ACCESS_H
#define QUOTAD_ASK_ACCESS_H

struct line_request;
struct line_access; /* what is kept for the request */

#define ASK_ACCESS_USAGE                                                                 \
	"ACCESS <recipient> <bytes> [<sender>] [stage=rcpt|data|message|delivery] "      \
	"[login=<name>] [trace=no]"

/* Performs ACCESS. */
void ask_access(struct line_request *l, char **argument);

void ask_access_free(struct line_access **a);

#endif
