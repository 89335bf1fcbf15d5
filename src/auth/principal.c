/*
 * principal - who is asking.
 *
 * Its texts are views into its own claims document, or copies in its arena; nothing points into the
 * configuration, so that a principal in the token cache may outlive a reload.
 */
#include "presignd/principal.h"

#include <stdlib.h>

#include "presignd/encode.h"
#include "presignd/hash.h"

enum { TEXT_MAX = 32768 };

struct principal *principal_new(void)
{
    struct principal *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->refs = 1;
    p->text = ARENA_INIT(TEXT_MAX);
    p->issuer = p->user = p->tenant = p->plan = p->scope = STR("");
    return p;
}

struct principal *principal_ref(struct principal *p)
{
    p->refs++;
    return p;
}

void principal_unref(struct principal *p)
{
    if (!p || --p->refs > 0)
        return;
    json_decref(p->claims);
    arena_release(&p->text);
    free(p);
}

bool principal_has_scope(const struct principal *p, struct str word)
{
    struct str rest = p->scope, one;
    while (word.len > 0 && str_cut(&rest, ' ', &one)) {
        if (str_equal(one, word))
            return true;
    }
    return false;
}

void principal_hash_user(struct str issuer, struct str user, char out[33])
{
    unsigned char digest[HASH_BYTES];
    struct hash h;
    hash_start(&h);
    hash_add(&h, issuer);
    hash_add(&h, STR("\n"));
    hash_add(&h, user);
    hash_end(&h, digest);

    struct buf hex = { .ptr = out, .cap = 33, .limit = 33, .fixed = true };
    encode_hex(&hex, (struct str){ (const char *)digest, 16 });
    out[32] = '\0';
}
