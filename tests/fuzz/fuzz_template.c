/*
 * The first line is a template, the rest is what the token says. Whatever both hold, an expansion
 * stands in a field, stays under the promised length, and a key has no segment that climbs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "presignd/template.h"
#include "presignd/post_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_key(struct str key)
{
    struct str segment;
    for (size_t n = 0; str_cut(&key, '/', &segment); n++) {
        check(segment.len > 0 || (n > 0 && !key.ptr));
        check(!str_equal(segment, STR(".")) && !str_equal(segment, STR("..")));
    }
}

static void expand(const struct template *t, const struct template_values *v, bool is_key)
{
    AUTO(buf) out = BUF_INIT(1 << 20);
    struct str word = STR_NONE, other = STR_NONE;
    bool fits = template_fits(t, v, &word);
    enum status st = template_expand(t, v, &out, &other);
    check(st == (fits ? ST_OK : ST_PROFILE_NOT_ALLOWED));
    check(fits || (word.len > 2 && str_equal(word, other)));
    if (!fits)
        return;
    check(out.len <= t->max_bytes && post_value_ok(buf_view(&out)));
    check(!t->constant || str_equal(buf_view(&out), t->text));
    if (is_key)
        check_key(buf_view(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) a = ARENA_INIT(8 << 20);
    AUTO(buf) why = BUF_INIT(1 << 20);
    struct str rest = { (const char *)data, size }, text = STR("");
    if (size > 1 << 16)
        return 0;
    if (size > 0)
        (void)str_cut(&rest, '\n', &text);
    if (!rest.ptr)
        rest = STR("");
    struct principal who = { .user = rest,
                             .user_hash = "0123456789abcdef0123456789abcdef",
                             .tenant = rest,
                             .claims = json_object() };
    json_object_set_new(who.claims, "a", json_stringn(rest.ptr, rest.len));
    json_object_set_new(who.claims, "n", json_integer(INT64_MIN));
    const struct template_values v = { .who = &who,
                                       .plan = rest,
                                       .profile = STR("photos"),
                                       .uuid = STR("11111111-1111-4111-8111-111111111111"),
                                       .uuid7 = STR("01900000-0000-7000-8000-000000000000"),
                                       .filename = STR("Ein Bild.png"),
                                       .ext = STR("png"),
                                       .now_ms = INT64_C(1772696045000) };
    for (int use = TEMPLATE_KEY; use <= TEMPLATE_VALUE; use++) {
        struct template t;
        enum status st = template_compile(&t, text, (enum template_use)use, &a, &why);
        check(st == ST_OK || (st == ST_INVALID && why.len > 0));
        if (st == ST_OK)
            expand(&t, &v, use == TEMPLATE_KEY);
    }
    json_decref(who.claims);
    return 0;
}
