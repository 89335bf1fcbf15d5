#include "test.h"

#include "oom.h"
#include "presignd/json_read.h"

enum { ARENA_MAX = 1 << 20, DEPTH = 4 };

/* ---- the structs and tables the cases are read into ---- */

struct file {
    int64_t content_length;
    struct str content_type;
    bool length_given;
};

struct profile {
    struct str name;
    int64_t max_bytes;
    struct str key;
};

struct wish {
    struct str profile;
    int64_t expires_in;
    bool expires_given;
    bool dry;
    int method;
    struct file file;
    struct file *spare;
    struct jr_list files;
    struct jr_list profiles;
    struct jr_strs tags;
    struct jr_pairs metadata;
    json_t *any;
    struct str size;
    bool size_given;
};

#define AT(type, member) .offset = offsetof(struct type, member)

/* clang-format off */
static const struct jr_field file_fields[] = {
    { .name = "content_length", .type = JR_INT, AT(file, content_length), .max = 1000,
      .given_offset = offsetof(struct file, length_given) },
    { .name = "content_type", .type = JR_STR, AT(file, content_type), .max = 10 },
};
static const struct file file_defaults = { .content_length = -1 };
static const struct jr_table file_table = {
    file_fields, ROWS(file_fields), sizeof(struct file), &file_defaults,
};

static const struct jr_field profile_fields[] = {
    { .name = "max_bytes", .type = JR_INT, AT(profile, max_bytes), .flags = JR_REQUIRED },
    { .name = "key", .type = JR_STR, AT(profile, key), .flags = JR_NOT_EMPTY },
};
static const struct jr_table profile_table = {
    profile_fields, ROWS(profile_fields), sizeof(struct profile), NULL,
};

static const char *const methods[] = { "auto", "POST", "PUT", NULL };
static const struct jr_field wish_fields[] = {
    { .name = "profile", .type = JR_STR, AT(wish, profile), .flags = JR_REQUIRED | JR_NOT_EMPTY,
      .min = 2 },
    { .name = "expires_in", .type = JR_INT, AT(wish, expires_in), .min = 1, .max = 604800,
      .given_offset = offsetof(struct wish, expires_given) },
    { .name = "dry", .type = JR_BOOL, AT(wish, dry) },
    { .name = "method", .type = JR_ENUM, AT(wish, method), .words = methods },
    { .name = "file", .type = JR_OBJECT, AT(wish, file), .sub = &file_table },
    { .name = "spare", .type = JR_OPT_OBJECT, AT(wish, spare), .sub = &file_table },
    { .name = "files", .type = JR_LIST, AT(wish, files), .sub = &file_table, .min = 1, .max = 3 },
    { .name = "profiles", .type = JR_MAP, AT(wish, profiles), .sub = &profile_table,
      .flags = JR_NOT_EMPTY },
    { .name = "tags", .type = JR_STRS, AT(wish, tags), .flags = JR_NOT_EMPTY, .min = 1, .max = 3 },
    { .name = "metadata", .type = JR_PAIRS, AT(wish, metadata), .max = 2 },
    { .name = "any", .type = JR_ANY, AT(wish, any) },
    { .name = "size", .type = JR_STR, AT(wish, size), .flags = JR_NULL_OK,
      .given_offset = offsetof(struct wish, size_given) },
};
static const struct jr_table wish_table = {
    wish_fields, ROWS(wish_fields), sizeof(struct wish), NULL,
};
/* clang-format on */

static enum status read_wish(struct str text, struct str path, struct arena *a, struct wish *out,
                             json_t **out_doc, struct jr_error *err)
{
    *out_doc = NULL;
    TRY(jr_parse(text, 16, a, out_doc, err));
    return jr_fill(*out_doc, &wish_table, path, a, out, err);
}

/* ---- the text ---- */

#define REPEAT8(s)  s s s s s s s s
#define REPEAT64(s) REPEAT8(REPEAT8(s))

/* clang-format off */
static const struct {
    const char *name;
    struct str text;
    const char *member; /* NULL: accepted */
    const char *detail;
} parse_cases[] = {
    { "object",              STR_INIT("{}"),                            NULL, NULL },
    { "list",                STR_INIT(" [1] \r\n\t"),                   NULL, NULL },
    { "as deep as allowed",  STR_INIT("[[[[1]]]]"),                     NULL, NULL },
    { "wide is not deep",    STR_INIT("[[],[],[],[],[],[[[]]]]"),       NULL, NULL },
    { "brackets in strings", STR_INIT("[\"[[[[[[{{{{\\\"[[[\"]"),       NULL, NULL },
    { "escaped backslash",   STR_INIT("[\"\\\\\",[[[\"]\"]]]]"),        NULL, NULL },
    { "same name elsewhere", STR_INIT("{\"a\":{\"a\":1},\"b\":{\"a\":1}}"), NULL, NULL },
    { "name as a value",     STR_INIT("{\"a\":\"b\",\"b\":\"a\"}"),     NULL, NULL },
    { "UTF-8",               STR_INIT("[\"\xc3\xa4\\ud83d\\ude00\"]"),  NULL, NULL },

    { "nothing",             { NULL, 0 },            "", "line 1, column 0: the text ends too early" },
    { "only blanks",         STR_INIT("  "),         "", "line 1, column 2: the text ends too early" },
    { "no container",        STR_INIT("1"),          "", "line 1, column 1: '[' or '{' expected near '1'" },
    { "cut",                 STR_INIT("{\"a\":"),    "", "line 1, column 5: the text ends too early" },
    { "third line",          STR_INIT("{\n\"a\":1\n\"b\":2}"), "", "line 3, column 3: '}' expected near '\"b\"'" },
    { "trailing comma",      STR_INIT("[1,]"),       "", "line 1, column 4: unexpected token near ']'" },
    { "two documents",       STR_INIT("{}{}"),       "", "line 1, column 3: end of file expected near '{'" },
    { "leading zero",        STR_INIT("[01]"),       "", "line 1, column 2: invalid token near '0'" },
    { "NaN",                 STR_INIT("[NaN]"),      "", "line 1, column 4: invalid token near 'NaN'" },
    { "huge integer",        STR_INIT("[9223372036854775808]"), "", "line 1, column 20: too big integer near '9223372036854775808'" },
    { "huge real",           STR_INIT("[1e999]"),    "", "line 1, column 6: real number overflow near '1e999'" },
    { "comment",             STR_INIT("[1/**/]"),    "", "line 1, column 3: ']' expected near '/'" },
    { "single quotes",       STR_INIT("['a']"),      "", "line 1, column 2: invalid token near '''" },
    { "line break in text",  STR_INIT("[\"a\nb\"]"), "", "line 1, column 3: unexpected newline near '\"a'" },
    { "control in text",     STR_INIT("[\"a\x01\"]"), "", "line 1, column 3: control character 0x1 near '\"a'" },
    { "quoted in mid-character", STR_INIT("{\"\\u000\xdd\x9d\"]}"), "", "line 1, column 8: invalid escape near '\"\\u000?'" },
    { "lone surrogate",      STR_INIT("[\"\\ud800\"]"), "", "line 1, column 9: invalid Unicode '\\uD800' near '\"\\ud800\"'" },
    { "byte order mark",     STR_INIT("\xef\xbb\xbf{}"), "", "line 1, column 1: '[' or '{' expected near '\xef\xbb\xbf'" },

    { "NUL byte",            STR_INIT("{}\0"),       "", "the JSON text holds a NUL byte" },
    { "NUL in a string",     STR_INIT("[\"a\0b\"]"), "", "the JSON text holds a NUL byte" },
    { "escaped NUL",         STR_INIT("[\"\\u0000\"]"), "", "line 1, column 9: a NUL (\\u0000) is not allowed" },
    { "escaped NUL in a name", STR_INIT("{\"a\\u0000\":1}"), "", "line 1, column 10: a NUL (\\u0000) is not allowed" },
    { "bad UTF-8",           STR_INIT("[\"\xff\"]"), "", "the JSON text is not valid UTF-8" },
    { "overlong quote",      STR_INIT("[\"\xc0\xa2\"]"), "", "the JSON text is not valid UTF-8" },
    { "bad UTF-8 outside",   STR_INIT("[]\xc3"),     "", "the JSON text is not valid UTF-8" },

    { "too deep",            STR_INIT("[[[[[1]]]]]"), "", "the JSON text is nested deeper than 4 levels" },
    { "too deep, mixed",     STR_INIT("{\"a\":[{\"b\":[{}]}]}"), "", "the JSON text is nested deeper than 4 levels" },
    { "deep and unclosed",   STR_INIT(REPEAT64("[")), "", "the JSON text is nested deeper than 4 levels" },
    { "deep after closing",  STR_INIT("]]]][[[[["),  "", "the JSON text is nested deeper than 4 levels" },

    { "twice",               STR_INIT("{\"a\":1,\"a\":1}"),             "a",      "a stands there twice" },
    { "twice, inside",       STR_INIT("{\"f\":[{},{\"x\":1,\"x\":2}]}"), "f[1].x", "f[1].x stands there twice" },
    { "twice, after values", STR_INIT("{\"a\":{\"b\":[1,2],\"c\":\"b\",\"b\":0}}"), "a.b", "a.b stands there twice" },
    { "twice, escaped",      STR_INIT("{\"a\":1,\"\\u0061\":1}"),       "\\u0061", "\\u0061 stands there twice" },
    { "twice, list between", STR_INIT("[[],[[],{\"k\":1,\"k\":1}]]"),   "[1][1].k", "[1][1].k stands there twice" },
    { "twice, control name", STR_INIT("{\"\x7f\":1,\"\x7f\":1}"),       "?",      "? stands there twice" },
    { "twice, empty name",   STR_INIT("{\"\":1,\"\":1}"),               "",       "(empty name) stands there twice" },
    { "twice, long name",    STR_INIT("{\"" REPEAT64("a") "b\":1,\"" REPEAT64("a") "b\":1}"),
      REPEAT64("a") "...", REPEAT64("a") "... stands there twice" },
};
/* clang-format on */

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(parse_cases); i++) {
        const char *name = parse_cases[i].name;
        AUTO(arena) a = ARENA_INIT(ARENA_MAX);
        struct jr_error err = { 0 };
        json_t *doc = NULL;
        enum status st = jr_parse(parse_cases[i].text, DEPTH, &a, &doc, &err);
        CHECK_EQ(name, st, parse_cases[i].member ? ST_INVALID_REQUEST : ST_OK);
        CHECK_EQ(name, doc != NULL, parse_cases[i].member == NULL);
        if (parse_cases[i].member) {
            CHECK_TEXT(name, err.detail, parse_cases[i].detail);
            CHECK_TEXT(name, err.member, parse_cases[i].member);
        }
        json_decref(doc);
    }
}

/* ---- the document ---- */

static void test_fill_everything(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct wish w = { .file = file_defaults };
    struct jr_error err = { 0 };
    json_t *doc;
    enum status st = read_wish(
        STR("{\"profile\":\"photos\",\"expires_in\":604800,\"dry\":true,\"method\":\"PUT\","
            "\"file\":{\"content_type\":\"image/png\"},\"spare\":{\"content_length\":0},"
            "\"files\":[{\"content_length\":1},{},{\"content_length\":1000}],"
            "\"profiles\":{\"zz\":{\"max_bytes\":5},\"a\":{\"max_bytes\":-6,\"key\":\"k\"}},"
            "\"tags\":[\"a\",\"bcd\"],\"metadata\":{\"z\":\"\",\"a\":\"\\u00e4\"},\"any\":[null],"
            "\"size\":\"x\"}"),
        STR_NONE, &a, &w, &doc, &err);
    CHECK_TEXT("no fault", err.detail, "");
    assert_int_equal(st, ST_OK);
    json_t *any = json_object_get(doc, "any");
    assert_ptr_equal(w.any, any);
    json_decref(doc); /* the texts outlive it */

    CHECK_TEXT("profile", w.profile, "photos");
    CHECK_EQ("expires_in", w.expires_in, 604800);
    CHECK("expires_in is there", w.expires_given);
    CHECK("dry", w.dry);
    CHECK_EQ("method", w.method, 2);
    CHECK_TEXT("file.content_type", w.file.content_type, "image/png");
    CHECK_EQ("file keeps its default", w.file.content_length, -1);
    CHECK("file.content_length is not there", !w.file.length_given);
    CHECK_EQ("spare", w.spare->content_length, 0);
    CHECK("spare.content_length is there", w.spare->length_given);
    CHECK_EQ("files", w.files.n, 3);
    const struct file *files = w.files.items;
    CHECK_EQ("files[0]", files[0].content_length, 1);
    CHECK_EQ("files[1] has the default", files[1].content_length, -1);
    CHECK_EQ("files[2]", files[2].content_length, 1000);
    CHECK_EQ("profiles", w.profiles.n, 2);
    const struct profile *profiles = w.profiles.items;
    CHECK_TEXT("in the order of the text", profiles[0].name, "zz");
    CHECK_EQ("profiles.zz", profiles[0].max_bytes, 5);
    CHECK_EQ("zeroed without defaults", profiles[0].key.len, 0);
    CHECK_TEXT("profiles.a", profiles[1].name, "a");
    CHECK_TEXT("profiles.a.key", profiles[1].key, "k");
    CHECK_EQ("profiles.a.max_bytes", profiles[1].max_bytes, -6);
    CHECK_EQ("tags", w.tags.n, 2);
    CHECK_TEXT("tags[1]", w.tags.items[1], "bcd");
    CHECK_EQ("metadata", w.metadata.n, 2);
    CHECK_TEXT("metadata.z", w.metadata.items[0].name, "z");
    CHECK_TEXT("metadata.z", w.metadata.items[0].value, "");
    CHECK_TEXT("metadata.a", w.metadata.items[1].value, "\xc3\xa4");
    CHECK("size is there", w.size_given);
}

static void test_absent_and_null(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str text;
    } cases[] = {
        { "absent", STR_INIT("{\"profile\":\"ab\"}") },
        { "null", STR_INIT("{\"profile\":\"ab\",\"expires_in\":null,\"dry\":null,\"method\":null,"
                           "\"file\":null,\"spare\":null,\"files\":null,\"profiles\":null,"
                           "\"tags\":null,\"metadata\":null,\"any\":null,\"size\":null}") },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(arena) a = ARENA_INIT(ARENA_MAX);
        struct wish w = {
            .expires_in = 300, .dry = true, .method = 1, .file = { .content_length = 7 }
        };
        struct jr_error err = { 0 };
        json_t *doc;
        CHECK_EQ(cases[i].name, read_wish(cases[i].text, STR_NONE, &a, &w, &doc, &err), ST_OK);
        json_decref(doc);
        CHECK_EQ(cases[i].name, w.expires_in, 300);
        CHECK(cases[i].name, !w.expires_given && !w.size_given);
        CHECK(cases[i].name, w.dry);
        CHECK_EQ(cases[i].name, w.method, 1);
        CHECK_EQ(cases[i].name, w.file.content_length, 7);
        CHECK(cases[i].name, !w.spare && !w.any);
        CHECK_EQ(cases[i].name, w.files.n + w.profiles.n + w.tags.n + w.metadata.n, 0);
    }
}

/* Every text starts with the members that make it right but for one fault. */
#define P "{\"profile\":\"ab\","

/* clang-format off */
static const struct {
    const char *name;
    struct str text;
    const char *member;
    const char *detail;
} fill_cases[] = {
    { "a list",              STR_INIT("[]"), "", "the JSON text must be an object" },
    { "missing",             STR_INIT("{}"), "profile", "profile is missing" },
    { "null is no value",    STR_INIT("{\"profile\":null}"), "profile", "profile must be a string" },
    { "empty",               STR_INIT("{\"profile\":\"\"}"), "profile", "profile must not be empty" },
    { "too short",           STR_INIT("{\"profile\":\"a\"}"), "profile", "profile must have at least 2 bytes" },
    { "unknown",             STR_INIT(P "\"x\":1}"), "x", "unknown member \"x\"" },
    { "unknown before missing", STR_INIT("{\"Profile\":\"ab\"}"), "Profile", "unknown member \"Profile\"" },
    { "unknown, empty name", STR_INIT(P "\"\":1}"), "", "unknown member \"(empty name)\"" },
    { "unknown null",        STR_INIT(P "\"x\":null}"), "x", "unknown member \"x\"" },
    { "unknown, inside",     STR_INIT(P "\"files\":[{},{\"y\":1}]}"), "files[1].y", "unknown member \"files[1].y\"" },
    { "unknown, controls",   STR_INIT(P "\"a\\n\\u001bb\x7f\":1}"), "a??b?", "unknown member \"a??b?\"" },
    { "unknown, long",       STR_INIT(P "\"" REPEAT64("x") "y\":1}"),
      REPEAT64("x") "...", "unknown member \"" REPEAT64("x") "...\"" },
    { "cut between characters", STR_INIT(P "\"a" REPEAT64("\xc3\xa4") "\":1}"),
      "a" REPEAT8("\xc3\xa4\xc3\xa4\xc3\xa4") "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4...",
      "unknown member \"a" REPEAT8("\xc3\xa4\xc3\xa4\xc3\xa4") "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4...\"" },

    { "integer in quotes",   STR_INIT(P "\"expires_in\":\"300\"}"), "expires_in", "expires_in must be an integer" },
    { "fraction",            STR_INIT(P "\"expires_in\":300.5}"), "expires_in", "expires_in must be an integer" },
    { "zero fraction",       STR_INIT(P "\"expires_in\":300.0}"), "expires_in", "expires_in must be an integer" },
    { "exponent",            STR_INIT(P "\"expires_in\":3e2}"), "expires_in", "expires_in must be an integer" },
    { "bool for an integer", STR_INIT(P "\"expires_in\":true}"), "expires_in", "expires_in must be an integer" },
    { "below",               STR_INIT(P "\"expires_in\":0}"), "expires_in", "expires_in must be at least 1" },
    { "above",               STR_INIT(P "\"expires_in\":604801}"), "expires_in", "expires_in must be at most 604800" },
    { "integer for a bool",  STR_INIT(P "\"dry\":1}"), "dry", "dry must be true or false" },
    { "bool in quotes",      STR_INIT(P "\"dry\":\"true\"}"), "dry", "dry must be true or false" },
    { "integer for a word",  STR_INIT(P "\"method\":1}"), "method", "method must be a string" },
    { "another word",        STR_INIT(P "\"method\":\"post\"}"), "method", "method must be one of \"auto\", \"POST\", \"PUT\"" },
    { "word with a tail",    STR_INIT(P "\"method\":\"POST \"}"), "method", "method must be one of \"auto\", \"POST\", \"PUT\"" },
    { "integer for a text",  STR_INIT("{\"profile\":1}"), "profile", "profile must be a string" },

    { "list for an object",  STR_INIT(P "\"file\":[]}"), "file", "file must be an object" },
    { "inside an object",    STR_INIT(P "\"file\":{\"content_length\":1001}}"), "file.content_length", "file.content_length must be at most 1000" },
    { "too long",            STR_INIT(P "\"file\":{\"content_type\":\"12345678901\"}}"), "file.content_type", "file.content_type must have at most 10 bytes" },
    { "optional object",     STR_INIT(P "\"spare\":\"x\"}"), "spare", "spare must be an object" },
    { "inside an optional",  STR_INIT(P "\"spare\":{\"content_length\":-1}}"), "spare.content_length", "spare.content_length must be at least 0" },

    { "object for a list",   STR_INIT(P "\"files\":{}}"), "files", "files must be a list" },
    { "too few entries",     STR_INIT(P "\"files\":[]}"), "files", "files must have at least 1 entries" },
    { "too many entries",    STR_INIT(P "\"files\":[{},{},{},{}]}"), "files", "files must have at most 3 entries" },
    { "entry is no object",  STR_INIT(P "\"files\":[{},1]}"), "files[1]", "files[1] must be an object" },
    { "entry is null",       STR_INIT(P "\"files\":[null]}"), "files[0]", "files[0] must be an object" },
    { "inside an entry",     STR_INIT(P "\"files\":[{},{},{\"content_length\":\"1\"}]}"), "files[2].content_length", "files[2].content_length must be an integer" },

    { "list for a map",      STR_INIT(P "\"profiles\":[]}"), "profiles", "profiles must be an object" },
    { "empty map",           STR_INIT(P "\"profiles\":{}}"), "profiles", "profiles must not be empty" },
    { "map entry",           STR_INIT(P "\"profiles\":{\"a\":1}}"), "profiles.a", "profiles.a must be an object" },
    { "map entry lacks",     STR_INIT(P "\"profiles\":{\"a\":{}}}"), "profiles.a.max_bytes", "profiles.a.max_bytes is missing" },
    { "map entry unknown",   STR_INIT(P "\"profiles\":{\"a\":{\"name\":\"b\"}}}"), "profiles.a.name", "unknown member \"profiles.a.name\"" },
    { "map entry, empty",    STR_INIT(P "\"profiles\":{\"a\":{\"max_bytes\":1,\"key\":\"\"}}}"), "profiles.a.key", "profiles.a.key must not be empty" },

    { "text for texts",      STR_INIT(P "\"tags\":\"a\"}"), "tags", "tags must be a list of strings" },
    { "no texts",            STR_INIT(P "\"tags\":[]}"), "tags", "tags must not be empty" },
    { "integer among texts", STR_INIT(P "\"tags\":[\"a\",1]}"), "tags[1]", "tags[1] must be a string" },
    { "null among texts",    STR_INIT(P "\"tags\":[null]}"), "tags[0]", "tags[0] must be a string" },
    { "a text too short",    STR_INIT(P "\"tags\":[\"\"]}"), "tags[0]", "tags[0] must have at least 1 bytes" },
    { "a text too long",     STR_INIT(P "\"tags\":[\"a\",\"abcd\"]}"), "tags[1]", "tags[1] must have at most 3 bytes" },

    { "list for pairs",      STR_INIT(P "\"metadata\":[]}"), "metadata", "metadata must be an object of strings" },
    { "integer in pairs",    STR_INIT(P "\"metadata\":{\"a\":1}}"), "metadata.a", "metadata.a must be a string" },
    { "null in pairs",       STR_INIT(P "\"metadata\":{\"a\":null}}"), "metadata.a", "metadata.a must be a string" },
    { "too many pairs",      STR_INIT(P "\"metadata\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}"), "metadata", "metadata must have at most 2 entries" },
};
/* clang-format on */

static void test_fill_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(fill_cases); i++) {
        const char *name = fill_cases[i].name;
        AUTO(arena) a = ARENA_INIT(ARENA_MAX);
        struct wish w = { 0 };
        struct jr_error err = { 0 };
        json_t *doc;
        CHECK_EQ(name, read_wish(fill_cases[i].text, STR_NONE, &a, &w, &doc, &err),
                 ST_INVALID_REQUEST);
        json_decref(doc);
        CHECK_TEXT(name, err.detail, fill_cases[i].detail);
        CHECK_TEXT(name, err.member, fill_cases[i].member);
    }
}

static void test_path_stands_before(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct wish w = { 0 };
    struct jr_error err = { 0 };
    json_t *doc;
    enum status st = read_wish(STR("{\"profile\":1}"), STR("wishes[4]"), &a, &w, &doc, &err);
    json_decref(doc);
    assert_int_equal(st, ST_INVALID_REQUEST);
    CHECK_TEXT("member", err.member, "wishes[4].profile");

    st = read_wish(STR("[]"), STR("wishes[4]"), &a, &w, &doc, &err);
    json_decref(doc);
    assert_int_equal(st, ST_INVALID_REQUEST);
    CHECK_TEXT("itself", err.detail, "wishes[4] must be an object");
}

/* Ends of ranges that leave one side open, and a member that must be there but may be null. */
struct ends {
    int64_t any, up, down;
    struct str must;
    bool must_given;
};
/* clang-format off */
static const struct jr_field ends_fields[] = {
    { .name = "any",  .type = JR_INT, AT(ends, any) },
    { .name = "up",   .type = JR_INT, AT(ends, up),   .min = 5 },
    { .name = "down", .type = JR_INT, AT(ends, down), .min = INT64_MIN, .max = 0 },
    { .name = "must", .type = JR_STR, AT(ends, must), .flags = JR_REQUIRED | JR_NULL_OK,
      .given_offset = offsetof(struct ends, must_given) },
};
/* clang-format on */
static const struct jr_table ends_table = {
    ends_fields,
    ROWS(ends_fields),
    sizeof(struct ends),
    NULL,
};

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str text;
        enum status want;
    } cases[] = {
        { "any, lowest", STR_INIT("{\"must\":null,\"any\":-9223372036854775808}"), ST_OK },
        { "any, highest", STR_INIT("{\"must\":null,\"any\":9223372036854775807}"), ST_OK },
        { "up, highest", STR_INIT("{\"must\":null,\"up\":9223372036854775807}"), ST_OK },
        { "up, below", STR_INIT("{\"must\":null,\"up\":4}"), ST_INVALID_REQUEST },
        { "down, zero", STR_INIT("{\"must\":null,\"down\":0}"), ST_OK },
        { "down, minus zero", STR_INIT("{\"must\":null,\"down\":-0}"), ST_OK },
        { "down, above", STR_INIT("{\"must\":null,\"down\":1}"), ST_INVALID_REQUEST },
        { "must, absent", STR_INIT("{}"), ST_INVALID_REQUEST },
        { "must, another type", STR_INIT("{\"must\":1}"), ST_INVALID_REQUEST },
    };
    for (size_t i = 0; i < ROWS(cases); i++) {
        AUTO(arena) a = ARENA_INIT(ARENA_MAX);
        struct ends e = { 0 };
        struct jr_error err = { 0 };
        json_t *doc;
        CHECK_EQ(cases[i].name, jr_parse(cases[i].text, DEPTH, &a, &doc, &err), ST_OK);
        CHECK_EQ(cases[i].name, jr_fill(doc, &ends_table, STR_NONE, &a, &e, &err), cases[i].want);
        CHECK(cases[i].name, !e.must_given);
        json_decref(doc);
    }
}

/* ---- memory ---- */

static const struct str torture_text =
    STR_INIT("{\"profile\":\"photos\",\"files\":[{},{\"content_length\":3}],\"tags\":[\"a\"],"
             "\"profiles\":{\"a\":{\"max_bytes\":1}},\"metadata\":{\"k\":\"v\"},\"spare\":{}}");

static void test_arena_full(void **state)
{
    (void)state;
    size_t limit = 0;
    enum status st = ST_NO_MEMORY;
    for (; st != ST_OK && limit < ARENA_MAX; limit += 8) {
        AUTO(arena) a = ARENA_INIT(limit);
        struct wish w = { 0 };
        struct jr_error err = { 0 };
        json_t *doc;
        st = read_wish(torture_text, STR_NONE, &a, &w, &doc, &err);
        json_decref(doc);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
    }
    assert_int_equal(st, ST_OK);
    assert_true(limit > 100);
}

static void test_no_room_for_the_fault(void **state)
{
    (void)state;
    AUTO(arena) a = ARENA_INIT(0);
    struct jr_error err = { 0 };
    json_t *doc = NULL;
    assert_int_equal(jr_parse(STR("{"), DEPTH, &a, &doc, &err), ST_NO_MEMORY);
    assert_int_equal(jr_parse(STR("\xff"), DEPTH, &a, &doc, &err), ST_NO_MEMORY);
    assert_int_equal(jr_parse(STR("{\"a\":1,\"a\":1}"), DEPTH, &a, &doc, &err), ST_NO_MEMORY);
    assert_null(doc);
}

static bool reads_all_or_refuses(void)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct wish w = { 0 };
    struct jr_error err = { 0 };
    json_t *doc;
    enum status st = read_wish(torture_text, STR_NONE, &a, &w, &doc, &err);
    json_decref(doc);
    if (oom_struck())
        return st == ST_NO_MEMORY;
    return st == ST_OK && w.files.n == 2 && w.profiles.n == 1 && w.tags.n == 1 &&
           w.metadata.n == 1 && w.spare;
}

static bool explains_or_says_no_memory(void)
{
    AUTO(arena) a = ARENA_INIT(ARENA_MAX);
    struct jr_error err = { 0 };
    json_t *doc = NULL;
    enum status st = jr_parse(STR("{\"a\":1,\"a\":2}"), DEPTH, &a, &doc, &err);
    if (oom_struck())
        return st == ST_NO_MEMORY && !doc;
    return st == ST_INVALID_REQUEST && !doc && str_equal(err.member, STR("a"));
}

static void test_no_memory(void **state)
{
    (void)state;
    oom_torture(reads_all_or_refuses);
    oom_torture(explains_or_says_no_memory);
}

TEST_MAIN(cmocka_unit_test(test_parse), cmocka_unit_test(test_fill_everything),
          cmocka_unit_test(test_absent_and_null), cmocka_unit_test(test_fill_refuses),
          cmocka_unit_test(test_path_stands_before), cmocka_unit_test(test_ends),
          cmocka_unit_test(test_arena_full), cmocka_unit_test(test_no_room_for_the_fault),
          cmocka_unit_test(test_no_memory))
