/* The inside of a route instance, for instance*.c alone. */
#pragma once

#include "route/allowance.h"
#include "route/instance.h"

enum { SETTLE_BATCH = 1024 };

struct instance {
    struct instance_start start;
    struct source *source;
    struct outlet *outlets;
    size_t outlet_count;
    struct pipeline *pipeline;
    struct pool *roots;
    struct task turn;
    struct allowance messages, bytes;
    struct ring refused; /* roots whose order key could not be made */
    char refused_reason[REASON_MAX];
    struct token settling[SETTLE_BATCH];
    size_t settling_count;
    uint64_t next_ticket, orphans; /* orphans: roots in memory that are counted as returned */
    struct buf scratch;
    struct route_counters counters;
    enum { LIFE_NEW, LIFE_RUNNING, LIFE_DRAINING, LIFE_ABANDONED, LIFE_STOPPING, LIFE_STOPPED } life;
    bool paused, source_paused, ended, source_stopped, short_of_messages, short_of_bytes;
    struct timer drain_timer;
    uint64_t returned_before_stop;
    struct {
        int64_t at;
        uint64_t in, out;
        double rate_in, rate_out;
    } sample;
    char subject[128], from_subject[144], member[400];
};

/* At most once a second; cheap otherwise. */
void instance_sample_rates(struct instance *i);
