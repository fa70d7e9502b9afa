/* The names of verdict classes, as counters and logs show them. */
#include "endpoint/sink.h"

const char *verdict_class_name(enum verdict_class c)
{
    static const char *const names[VERDICT_CLASSES] = {
        [VERDICT_OK] = "ok",         [VERDICT_AGAIN] = "again", [VERDICT_RETRY] = "retry",
        [VERDICT_REJECT] = "reject", [VERDICT_FAULT] = "fault", [VERDICT_UNKNOWN] = "unknown",
    };
    return names[c];
}
