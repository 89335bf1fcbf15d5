/*
 * random - a pool in front of RAND_bytes, because a call for 16 bytes costs as much as one for 4 KiB.
 *
 * We never fork, so a pool is never handed out twice.
 */
#include "presignd/random.h"

#include <string.h>

#include <openssl/rand.h>
#include <uuid/uuid.h>

#include "presignd/secret.h"

enum { UUID_BYTES = 16, TRIES = 64 };

void random_pool_release(struct random_pool *p)
{
    crypto_wipe(p, sizeof(*p));
}

static enum status random_fill(unsigned char *out, size_t n)
{
    return RAND_bytes(out, (int)n) == 1 ? ST_OK : ST_INTERNAL;
}

enum status random_bytes(struct random_pool *p, void *out, size_t n)
{
    unsigned char *to = out;
    for (; n > p->left; p->left = RANDOM_POOL) {
        const size_t part = p->left;
        memcpy(to, p->bytes, part);
        crypto_wipe(p->bytes, part);
        p->left = 0;
        to += part;
        n -= part;
        TRY(random_fill(p->bytes, RANDOM_POOL));
    }
    p->left -= n;
    memcpy(to, p->bytes + p->left, n);
    crypto_wipe(p->bytes + p->left, n);
    return ST_OK;
}

/* RFC 9562 section 4: version in the high half of byte 6, variant 10 in the top of byte 8. */
static void uuid_text(unsigned char id[UUID_BYTES], unsigned version, char out[UUID_TEXT + 1])
{
    id[6] = (unsigned char)((id[6] & 0x0f) | version << 4);
    id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
    uuid_unparse_lower(id, out);
}

enum status random_uuid4(struct random_pool *p, char out[UUID_TEXT + 1])
{
    unsigned char id[UUID_BYTES];
    TRY(random_bytes(p, id, sizeof(id)));
    uuid_text(id, 4, out);
    return ST_OK;
}

enum status random_uuid7(struct random_pool *p, int64_t wall_ms, char out[UUID_TEXT + 1])
{
    unsigned char id[UUID_BYTES];
    TRY(random_bytes(p, id + 6, sizeof(id) - 6));
    for (int i = 0; i < 6; i++)
        id[i] = (unsigned char)((uint64_t)wall_ms >> (40 - 8 * i));
    uuid_text(id, 7, out);
    return ST_OK;
}

int64_t random_below(struct random_pool *p, int64_t below)
{
    assert(below > 0);
    const uint64_t range = (uint64_t)below;
    /* The last, incomplete run of `range` values would favour the small ones: draw again. */
    const uint64_t fair = UINT64_MAX - UINT64_MAX % range;
    for (int i = 0; i < TRIES; i++) {
        uint64_t drawn;
        if (random_bytes(p, &drawn, sizeof(drawn)) != ST_OK)
            return 0;
        if (drawn < fair)
            return (int64_t)(drawn % range);
    }
    return 0; /* a chance of less than 2^-64 */
}

bool random_is_uuid(struct str s)
{
    char text[UUID_TEXT + 1];
    uuid_t id;
    if (s.len != UUID_TEXT)
        return false;
    memcpy(text, s.ptr, UUID_TEXT);
    text[UUID_TEXT] = '\0';
    return uuid_parse(text, id) == 0;
}
