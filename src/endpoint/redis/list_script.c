/* What a list source runs at the server. KEYS: list, pending, lease, members; ARGV: owner, life of the lease in ms, then its own. */
#include "endpoint/redis/list_script.h"

#include "base/mem.h"
#include "base/random.h"
#include "endpoint/redis/command.h"

#include <inttypes.h>
#include <stdio.h>

#define HEAD "#!lua flags=allow-oom\nlocal L,P,H,M=KEYS[1],KEYS[2],KEYS[3],KEYS[4] local call=redis.call "
#define OURS                                                                                                            \
    "if call('HGET',H,'owner')~=ARGV[1] then return redis.error_reply('LEASE of the list is not this member\\'s') end " \
    "call('PEXPIRE',H,ARGV[2]) "

static const char *const texts[LIST_SCRIPTS] = {
    [LIST_ACQUIRE] = HEAD "local owner,fresh=call('HGET',H,'owner'),0 "
                          "if owner and owner~=ARGV[1] and ARGV[3]=='0' then return {0,owner} end "
                          "local n=call('LLEN',P) "
                          "if owner~=ARGV[1] then fresh=1 call('HINCRBY',H,'epoch',1) "
                          "call('HSET',H,'owner',ARGV[1],'base','0') end call('SADD',M,ARGV[4]) "
                          "call('PEXPIRE',H,ARGV[2]) "
                          "return {1,fresh,tonumber(call('HGET',H,'base')),n}",
    [LIST_RENEW] = HEAD OURS "return redis.status_reply('OK')",
    /* LLEN first: were pending of another type, the push would fail after the pop. */
    [LIST_MOVE] = HEAD OURS "call('LLEN',P) local v=call(ARGV[4],L,ARGV[3]) "
                            "if not v then return {} end "
                            "call('RPUSH',P,unpack(v)) return v",
    [LIST_PAGE] = HEAD OURS "local i=ARGV[3]-call('HGET',H,'base') return call('LRANGE',P,i,i+ARGV[4]-1)",
    [LIST_FETCH] = HEAD OURS "local b,r=call('HGET',H,'base'),{} "
                             "for i=3,#ARGV do r[i-2]=call('LINDEX',P,ARGV[i]-b) end return r",
    [LIST_TRIM] = HEAD OURS "local n=ARGV[3]-call('HGET',H,'base') "
                            "if n>0 then call('LTRIM',P,n,-1) call('HSET',H,'base',ARGV[3]) end return n",
    /* From the end, so that what is left stays a prefix; a bounded part at a time. */
    [LIST_ADOPT] = HEAD OURS "local n=0 for _,m in ipairs(call('SMEMBERS',M)) do "
                             "if n==0 and m~=ARGV[4] and call('EXISTS',ARGV[3]..m..'.lease')==0 then "
                             "local p=ARGV[3]..m..'.pending' local v=call('LRANGE',p,-10000,-1) "
                             "for i=#v,1,-1 do call(ARGV[5],L,v[i]) end call('LTRIM',p,0,-10001) n=#v "
                             "if n==0 then call('SREM',M,m) end end end return n",
};

/* A non-empty text between the first { and the } behind it: what a cluster hashes. */
static bool has_hash_tag(const char *key)
{
    const char *open = strchr(key, '{'), *close = open ? strchr(open, '}') : NULL;
    return close && close > open + 1;
}

void list_keys_init(struct list_keys *k, const char *list, const char *member)
{
    const char *open = has_hash_tag(list) ? "" : "{", *close = *open ? "}" : "";
    k->list = mem_string(list);
    k->prefix = mem_format("%s%s%s.", open, list, close);
    k->member = mem_string(member);
    k->pending = mem_format("%s%s.pending", k->prefix, member);
    k->lease = mem_format("%s%s.lease", k->prefix, member);
    k->members = mem_format("%smembers", k->prefix);
    k->owner = mem_format("%016" PRIx64 "%016" PRIx64, random_u64(), random_u64());
    for (int i = 0; i < LIST_SCRIPTS; i++)
        script_sha(bytes_of_string(texts[i]), k->sha[i]);
}

void list_keys_free(struct list_keys *k)
{
    free(k->list);
    free(k->pending);
    free(k->lease);
    free(k->members);
    free(k->prefix);
    free(k->member);
    free(k->owner);
}

void list_scripts_load(struct buf *out)
{
    for (int i = 0; i < LIST_SCRIPTS; i++)
        command_strings(out, "SCRIPT", "LOAD", texts[i], NULL);
}

void list_script_call(struct buf *out, const struct list_keys *k, enum list_script which, int64_t lease_ms,
                      const struct bytes *args, size_t n)
{
    char life[24];
    snprintf(life, sizeof life, "%" PRId64, lease_ms);
    struct bytes head[] = {
        BYTES_LITERAL("EVALSHA"),    bytes_of_string(k->sha[which]), BYTES_LITERAL("4"),
        bytes_of_string(k->list),    bytes_of_string(k->pending),    bytes_of_string(k->lease),
        bytes_of_string(k->members), bytes_of_string(k->owner),      bytes_of_string(life),
    };
    struct bytes *words = mem_array(n + ARRAY_LEN(head), sizeof *words);
    memcpy(words, head, sizeof head);
    if (n)
        memcpy(words + ARRAY_LEN(head), args, n * sizeof *args);
    command_write(out, words, ARRAY_LEN(head) + n);
    free(words);
}
