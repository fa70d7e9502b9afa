/* The scripts of a list source. Each begins by asking whether the lease is still the caller's, and renews it; all run on a
 * server that is out of memory too, for they are what frees it.
 *
 *   LIST ──move──▶ pending ──intake … settled──▶ trim          lease: { owner, epoch, base }, expires when nobody renews it
 *
 * A member whose lease has run out is gone: another member puts what it left back to the end of LIST that is taken from, as
 * it was. `{LIST}.members` names who has a pending list.
 *
 * Positions count from the moment the lease was taken; base is the position of the first pending element, so that a trim
 * says up to which position, and doing it twice does no harm. */
#pragma once

#include "base/buf.h"

enum list_script {
    /* ARGV: force, member. {0, owner} when it is somebody else's; {1, 1 when it was taken now, base, length of pending} */
    LIST_ACQUIRE,
    LIST_RENEW, /* ok */
    LIST_MOVE,  /* ARGV: count, LPOP or RPOP. The elements that are pending now */
    LIST_PAGE,  /* ARGV: position, count. Elements from there on */
    LIST_FETCH, /* ARGV: positions. The element of each, or nil */
    LIST_TRIM,  /* ARGV: position. How many before it were dropped now */
    LIST_ADOPT, /* ARGV: "{LIST}.", this member, LPUSH or RPUSH. How many were put back; again until it is 0 */
    LIST_SCRIPTS
};

struct list_keys {
    char *list, *pending, *lease, *members;
    char *prefix, *member;
    char *owner; /* this start's own token */
    char sha[LIST_SCRIPTS][41];
};

/* The keys of a member: `{LIST}.member.pending` and `….lease`; LIST's own hash tag is kept when it has one. */
void list_keys_init(struct list_keys *k, const char *list, const char *member);
void list_keys_free(struct list_keys *k);
/* SCRIPT LOAD of all: LIST_SCRIPTS replies. */
void list_scripts_load(struct buf *out);
/* One script; args are its ARGV behind owner and the lease's life. */
void list_script_call(struct buf *out, const struct list_keys *k, enum list_script which, int64_t lease_ms,
                      const struct bytes *args, size_t n);
