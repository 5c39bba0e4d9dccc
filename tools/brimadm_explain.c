#include "brimadm.h"

int
brimadm_explain(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return brimadm_refuse(a, TOOL_CANT, "not made yet");
}
