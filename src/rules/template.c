/*
 * template - a text with {words} becomes a list of parts; a request walks the list.
 *
 * What a token says is never escaped but admitted or not: the alphabet is small enough to stand in
 * a key, a header, a URL and XML as it is, so one compiled form serves all of them.
 */
#include "presignd/template.h"

#include <string.h>

#include "presignd/date.h"
#include "presignd/post_packet.h"

enum { TOKEN_WORD_MAX = 128, PARTS_MAX = 64, FILENAME_BYTES = 255, INT_DIGITS_MAX = 20 };

enum word {
    WORD_LITERAL,
    WORD_USER,
    WORD_USER_HASH,
    WORD_TENANT,
    WORD_PLAN,
    WORD_PROFILE,
    WORD_UUID,
    WORD_UUID7,
    WORD_YYYY,
    WORD_MM,
    WORD_DD,
    WORD_HH,
    WORD_EPOCH_MS,
    WORD_FILENAME,
    WORD_EXT,
    WORD_CLAIM,
};

struct template_part {
    enum word word;
    struct str text; /* the literal, or the word as written with its braces */
    const char *claim;
};

/* clang-format off */
static const struct { struct str name; size_t max_bytes; } words[] = {
    [WORD_LITERAL]   = { STR_INIT(""),            0 },
    [WORD_USER]      = { STR_INIT("user"),        TOKEN_WORD_MAX },
    [WORD_USER_HASH] = { STR_INIT("user_hash"),   32 },
    [WORD_TENANT]    = { STR_INIT("tenant"),      TOKEN_WORD_MAX },
    [WORD_PLAN]      = { STR_INIT("plan"),        TOKEN_WORD_MAX },
    [WORD_PROFILE]   = { STR_INIT("profile"),     TOKEN_WORD_MAX },
    [WORD_UUID]      = { STR_INIT("uuid"),        36 },
    [WORD_UUID7]     = { STR_INIT("uuid7"),       36 },
    [WORD_YYYY]      = { STR_INIT("yyyy"),        4 },
    [WORD_MM]        = { STR_INIT("mm"),          2 },
    [WORD_DD]        = { STR_INIT("dd"),          2 },
    [WORD_HH]        = { STR_INIT("hh"),          2 },
    [WORD_EPOCH_MS]  = { STR_INIT("epoch_ms"),    INT_DIGITS_MAX },
    [WORD_FILENAME]  = { STR_INIT("filename"),    FILENAME_BYTES },
    [WORD_EXT]       = { STR_INIT("ext"),         16 },
    [WORD_CLAIM]     = { STR_INIT("claim:NAME"),  TOKEN_WORD_MAX },
};
/* clang-format on */

/* ---- compiling ---- */

static enum status wrong(struct buf *why, struct str about, struct str sentence)
{
    if (about.len > 0) {
        buf_str(why, about);
        buf_char(why, ' ');
    }
    buf_str(why, sentence);
    return ST_INVALID;
}

static enum status find_word(struct template_part *part, struct str name, struct arena *a,
                             struct buf *why)
{
    if (str_starts(name, STR("claim:")) && name.len > 6) {
        struct str claim = arena_copy(a, str_slice(name, 6, name.len));
        if (!claim.ptr)
            return ST_NO_MEMORY;
        part->word = WORD_CLAIM;
        part->claim = claim.ptr;
        return ST_OK;
    }
    for (size_t w = WORD_USER; w < WORD_CLAIM; w++) {
        if (str_equal(name, words[w].name)) {
            part->word = (enum word)w;
            return ST_OK;
        }
    }
    return wrong(why, part->text,
                 STR("is no word; there are {user} {user_hash} {tenant} {plan} {profile} {uuid} "
                     "{uuid7} {yyyy} {mm} {dd} {hh} {epoch_ms} {filename} {ext} {claim:NAME}"));
}

/* Takes one part off the front. */
static enum status cut_part(struct str *rest, struct template_part *part, struct arena *a,
                            struct buf *why)
{
    size_t open = str_find(*rest, '{', 0);
    size_t close = str_find(*rest, '}', 0);
    if (close < open)
        return wrong(why, STR_NONE, STR("a '}' stands without its '{'"));
    if (open > 0) {
        *part = (struct template_part){ .word = WORD_LITERAL, .text = str_slice(*rest, 0, open) };
        *rest = str_slice(*rest, open, rest->len);
        return ST_OK;
    }
    if (close == rest->len)
        return wrong(why, STR_NONE, STR("a '{' is never closed"));
    part->text = str_slice(*rest, 0, close + 1);
    struct str name = str_slice(*rest, 1, close);
    *rest = str_slice(*rest, close + 1, rest->len);
    return find_word(part, name, a, why);
}

static void note_part(struct template *t, const struct template_part *part)
{
    bool literal = part->word == WORD_LITERAL;
    t->max_bytes += literal ? part->text.len : words[part->word].max_bytes;
    t->constant = t->constant && literal;
    t->has_uuid = t->has_uuid || part->word == WORD_UUID || part->word == WORD_UUID7;
    t->has_user = t->has_user || part->word == WORD_USER;
    t->has_user_hash = t->has_user_hash || part->word == WORD_USER_HASH;
    t->has_filename = t->has_filename || part->word == WORD_FILENAME;
}

/* S3 clients and browsers fold such paths; a word's value can never make one. */
static enum status check_segments(struct str key, struct buf *why)
{
    struct str rest = key, segment;
    for (size_t n = 0; str_cut(&rest, '/', &segment); n++) {
        if (segment.len == 0 && n == 0)
            return wrong(why, STR_NONE, STR("a key does not start with '/'"));
        if (segment.len == 0 && rest.ptr)
            return wrong(why, STR_NONE, STR("a key does not hold \"//\""));
        if (str_equal(segment, STR(".")) || str_equal(segment, STR("..")))
            return wrong(why, STR_NONE, STR("a key holds no \".\" or \"..\" between slashes"));
    }
    return ST_OK;
}

static enum status check_key(const struct template *t, const struct template_part *parts,
                             struct buf *why)
{
    if (!t->has_uuid)
        return wrong(why, STR_NONE,
                     STR("a key holds {uuid} or {uuid7}, so that nobody can guess or repeat it"));
    AUTO(buf) shape = BUF_INIT(t->text.len + 1); /* slashes in the names of claims do not count */
    for (size_t i = 0; i < t->n_parts; i++)
        buf_str(&shape, parts[i].word == WORD_LITERAL ? parts[i].text : STR("w"));
    TRY(buf_check(&shape));
    return check_segments(buf_view(&shape), why);
}

enum status template_compile(struct template *out, struct str text, enum template_use use,
                             struct arena *a, struct buf *why)
{
    if (!post_value_ok(text))
        return wrong(why, STR_NONE,
                     STR("'$', '\\', control and bidi characters cannot stand in a packet"));
    struct template_part parts[PARTS_MAX];
    struct template t = { .constant = true };
    t.text = arena_copy(a, text);
    if (!t.text.ptr)
        return ST_NO_MEMORY;
    for (struct str rest = t.text; rest.len > 0; t.n_parts++) {
        if (t.n_parts == PARTS_MAX)
            return wrong(why, STR_NONE, STR("there are too many words"));
        parts[t.n_parts] = (struct template_part){ .word = WORD_LITERAL };
        TRY(cut_part(&rest, &parts[t.n_parts], a, why));
        note_part(&t, &parts[t.n_parts]);
    }
    if (use == TEMPLATE_KEY)
        TRY(check_key(&t, parts, why));
    t.parts = arena_array(a, t.n_parts, sizeof(*t.parts));
    if (!t.parts)
        return ST_NO_MEMORY;
    memcpy(t.parts, parts, t.n_parts * sizeof(*t.parts));
    *out = t;
    return ST_OK;
}

/* ---- expanding ---- */

static bool token_value_ok(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!ascii_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return s.len > 0 && s.len <= TOKEN_WORD_MAX && !str_equal(s, STR(".")) &&
           !str_equal(s, STR(".."));
}

static bool put_token_value(struct buf *out, struct str value)
{
    if (!token_value_ok(value))
        return false;
    buf_str(out, value);
    return true;
}

static bool put_claim(struct buf *out, const struct principal *who, const char *name)
{
    const json_t *claim = json_object_get(who->claims, name);
    if (json_is_integer(claim)) {
        buf_int(out, json_integer_value(claim));
        return true;
    }
    return json_is_string(claim) && put_token_value(out, (struct str){ json_string_value(claim),
                                                                       json_string_length(claim) });
}

static void put_date(struct buf *out, enum word word, int64_t now_s)
{
    struct date d = date_of(now_s);
    if (word == WORD_YYYY)
        buf_int_padded(out, d.year, 4);
    else
        buf_int_padded(out, word == WORD_MM ? d.month : word == WORD_DD ? d.day : d.hour, 2);
}

/* False: the word has no fit value. */
static bool put_part(struct buf *out, const struct template_part *p,
                     const struct template_values *v)
{
    switch (p->word) {
    case WORD_LITERAL: buf_str(out, p->text); break;
    case WORD_USER: return put_token_value(out, v->who->user);
    case WORD_USER_HASH: buf_str(out, (struct str){ v->who->user_hash, 32 }); break;
    case WORD_TENANT: return put_token_value(out, v->who->tenant);
    case WORD_PLAN: return put_token_value(out, v->plan);
    case WORD_PROFILE: return put_token_value(out, v->profile);
    case WORD_UUID: buf_str(out, v->uuid); break;
    case WORD_UUID7: buf_str(out, v->uuid7); break;
    case WORD_YYYY:
    case WORD_MM:
    case WORD_DD:
    case WORD_HH: put_date(out, p->word, v->now_ms / 1000); break;
    case WORD_EPOCH_MS: buf_int(out, v->now_ms); break;
    case WORD_FILENAME: buf_str(out, v->filename); break;
    case WORD_EXT: buf_str(out, v->ext); break;
    case WORD_CLAIM: return put_claim(out, v->who, p->claim);
    }
    return true;
}

static bool from_token(enum word w)
{
    return w == WORD_USER || w == WORD_TENANT || w == WORD_PLAN || w == WORD_PROFILE ||
           w == WORD_CLAIM;
}

bool template_fits(const struct template *t, const struct template_values *v, struct str *out_word)
{
    for (size_t i = 0; i < t->n_parts; i++) {
        char text[TOKEN_WORD_MAX];
        struct buf scratch = BUF_FIXED(text);
        if (from_token(t->parts[i].word) && !put_part(&scratch, &t->parts[i], v)) {
            *out_word = t->parts[i].text;
            return false;
        }
    }
    return true;
}

enum status template_expand(const struct template *t, const struct template_values *v,
                            struct buf *out, struct str *out_word)
{
    for (size_t i = 0; i < t->n_parts; i++) {
        if (!put_part(out, &t->parts[i], v)) {
            *out_word = t->parts[i].text;
            return ST_PROFILE_NOT_ALLOWED;
        }
    }
    return buf_check(out);
}
