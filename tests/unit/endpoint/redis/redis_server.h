/* A redis-server of the test's own, on a unix socket in a directory of its own, and a plain client to look at it. */
#pragma once

#include "base/mem.h"
#include "endpoint/redis/redis.h"
#include "endpoint/redis/settings.h"
#include "support/endpoint_contract.h"

#include <check.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char server_dir[64], server_socket[96];
static pid_t server_pid;

static void server_start(void)
{
    if (system("command -v redis-server >/dev/null 2>&1") != 0) {
        fprintf(stderr, "no redis-server here: 'scripts/setup run' installs it (as root)\n");
        exit(1);
    }
    if (!*server_dir) {
        snprintf(server_dir, sizeof server_dir, "/tmp/ferry-redis-XXXXXX");
        if (!mkdtemp(server_dir)) {
            perror(server_dir);
            exit(1);
        }
        snprintf(server_socket, sizeof server_socket, "%s/s", server_dir);
    }
    server_pid = fork();
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server_socket, "--dir", server_dir,
               "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--logfile", "log", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        redisContext *c = redisConnectUnix(server_socket);
        redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
        bool up = r && r->type == REDIS_REPLY_STATUS;
        if (r)
            freeReplyObject(r);
        if (c)
            redisFree(c);
        if (up)
            return;
        usleep(10000);
    }
    fprintf(stderr, "redis-server does not start, see %s/log\n", server_dir);
    exit(1);
}

static void server_kill(void)
{
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
    }
    server_pid = 0;
}

static void server_remove(void)
{
    server_kill();
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", server_dir);
    if (*server_dir && system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", server_dir);
}

/* ---- a plain client */

static redisContext *client;

static redisReply *ask(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = redisvCommand(client, format, args);
    va_end(args);
    ck_assert_msg(r != NULL, "%s: %s", format, client->errstr);
    return r;
}

/* The reply's number; of an array its length. */
static long long number(redisReply *r)
{
    long long n = r->type == REDIS_REPLY_ARRAY ? (long long)r->elements : r->integer;
    ck_assert_msg(r->type != REDIS_REPLY_ERROR, "%s", r->str);
    freeReplyObject(r);
    return n;
}

static void do_it(redisReply *r)
{
    number(r);
}

static void client_connect(void)
{
    client = redisConnectUnix(server_socket);
    ck_assert(client && !client->err);
}

/* ---- ferryd's own */

static struct redis_connection *connection;
static struct contract_env redis_env;

static void connection_open(const char *more)
{
    char yaml[300];
    snprintf(yaml, sizeof yaml, "{ url: \"unix://%s\", heartbeat: 500ms%s }", server_socket, more);
    connection = contract_settings(redis_connection.options, redis_connection.settings_size, yaml);
    connection->base = (struct connection){ .kind = &redis_connection, .name = (char *)"cache" };
    struct diagnostics *d = diagnostics_new();
    redis_connection.check(&connection->base, d);
    ck_assert_uint_eq(diagnostics_errors(d), 0);
    diagnostics_free(d);
    redis_env = (struct contract_env){ .transport = &redis_transport, .connection = &connection->base };
}

static void connection_close(void)
{
    contract_settings_free(redis_connection.options, connection);
}

static void setup(void)
{
    client_connect();
    do_it(ask("FLUSHALL"));
    do_it(ask("CONFIG SET maxmemory 0"));
    connection_open("");
}

static void teardown(void)
{
    connection_close();
    redisFree(client);
}
