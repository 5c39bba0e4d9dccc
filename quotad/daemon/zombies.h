/*
 * What the first process of a container owes the others: whoever is left without a parent
 * becomes its child, and when dead stays a zombie until somebody waits for it.
 */
#ifndef QUOTAD_ZOMBIES_H
#define QUOTAD_ZOMBIES_H

/* To be called in each pass of the loop: waits for a child that was dead in the pass
 * before and that nobody has waited for since, as quotad does for those that it has
 * forked itself. 1 while there may be more; 0 always but in process 1. */
int zombies_reap(void);

#endif
