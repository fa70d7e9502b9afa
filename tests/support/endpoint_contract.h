/* The contracts of endpoint/source.h and endpoint/sink.h as tests that any kind can be put through: a fake route around one
 * endpoint on a loop of its own, which checks every call as it comes. A violation fails the Check test that is running.
 *
 *   static const struct contract_source c = { .kind = &test_generate_source, .options = "{ count: 100 }", .available = 100 };
 *   contract_check_source(&c);
 */
#pragma once

#include "endpoint/kind.h"

/* ---- running one's own steps */

struct contract_env {
    const struct transport *transport;   /* NULL: none */
    const struct connection *connection; /* NULL: none */
    const char *member;                  /* NULL: "test.route.0" */
    struct resolver *resolver;           /* NULL: one is made when there is a transport */
    bool unordered;                      /* order: none; otherwise key */
};

/* A route around a source: it grants, keeps what arrives, and settles when told to. */
struct fake_route {
    struct loop *loop;
    struct resolver *resolver;
    struct transport_lane *lane;
    struct environment env;
    void *settings;
    const struct source_kind *kind;
    struct source *source;
    int64_t credit_messages, credit_bytes; /* granted and not used: below 0 is overshot */
    struct arrival *held;                  /* arrived and not settled, in order; referenced */
    size_t held_count;
    uint64_t taken, settled, released, returned;
    unsigned status_calls;
    bool quiet; /* paused or drained: nothing may arrive */
    bool exact; /* nothing may arrive without credit, not even what was on its way */
    bool ended, stopped;
    const struct contract_env *given;
};

void fake_route_open(struct fake_route *f, const struct source_kind *kind, const char *options_yaml,
                     const struct contract_env *env);
void fake_route_grant(struct fake_route *f, uint64_t messages, uint64_t bytes);
/* Settles n of what is held, from the oldest on (newest_first: from the other end). */
void fake_route_settle(struct fake_route *f, size_t n, bool newest_first);
void fake_route_release(struct fake_route *f, size_t n); /* the oldest n, and waits until they are released */
/* Stops, waits until stopped, frees all. held messages are dropped before. */
void fake_route_close(struct fake_route *f);

/* A route around a sink: it makes messages, sends them as the window allows and keeps the verdicts. */
struct fake_sender {
    struct loop *loop;
    struct resolver *resolver;
    struct transport_lane *lane;
    struct environment env;
    void *settings;
    const struct sink_kind *kind;
    struct sink *sink;
    struct sent {
        struct message *message; /* NULL once it has its verdict */
        enum verdict_class verdict;
        char reason[200];
    } * sent;
    size_t sent_count, answered;
    size_t by_class[VERDICT_CLASSES];
    unsigned window_opens, status_calls;
    bool sending, stopped;
    const struct contract_env *given;
};

void fake_sender_open(struct fake_sender *f, const struct sink_kind *kind, const char *options_yaml,
                      const struct contract_env *env);
/* Sends m (taking the reference) when the window lets it; waits up to 5 s for that. Its index in sent. */
size_t fake_sender_send(struct fake_sender *f, struct message *m);
void fake_sender_close(struct fake_sender *f);

/* Runs the loop until done says so; fails the test, naming what, when it does not within timeout_us. */
void contract_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_us, const char *what);
void contract_run_for(struct loop *loop, int64_t us);
/* The settings of a kind from YAML; fails the test on an error. Freed by contract_settings_free. */
void *contract_settings(const struct option *options, size_t size, const char *yaml);
void contract_settings_free(const struct option *options, void *settings);

/* ---- the whole contract */

struct contract_source {
    const struct source_kind *kind;
    const char *options; /* YAML flow map */
    struct contract_env env;
    uint64_t available; /* at least so many messages are there to be read; 60 or more */
    uint64_t read_max;  /* how many one read may bring beyond the credit; 0: credit is exact */
};
/* start without credit brings nothing · credit holds, in messages and in bytes · settle in any order · pause and resume ·
 * release answers each token once · drain · stop, once, later. */
void contract_check_source(const struct contract_source *c);

struct contract_sink {
    const struct sink_kind *kind;
    const char *options;
    struct contract_env env;
    size_t messages;                          /* how many to send; 0: 200 */
    struct message *(*make)(unsigned number); /* NULL: short texts with keys */
};
/* the window opens · one verdict each, later, ok · cancel answers everything · stop, once, later. */
void contract_check_sink(const struct contract_sink *c);
