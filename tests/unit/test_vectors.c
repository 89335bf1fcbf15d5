/* floor: sign - known answers, a folder each in tests/vectors/sigv4.
 *
 * `case.json` holds what to sign (../oracle/sign_ask.h) and where the answer is from. A URL's answers
 * are `canonical-request`, `string-to-sign` and `url`; a POST's are `policy`, `string-to-sign` (its
 * base64) and `signature`. A POST with "given_policy" signs a policy of somebody else's making.
 */
#include "test.h"

#include <dirent.h>
#include <stdio.h>

#include "presignd/encode.h"

#include "../oracle/sign_ask.h"

#define FOLDER "tests/vectors/sigv4"

enum { FILE_MAX = 65536, CASES_AT_LEAST = 12, CASES_MAX = 200 };

/* A file of the case; the newline at its end is the file's, not the text's. */
static struct buf answer_file(const char *name, const char *file)
{
    struct buf path = BUF_INIT(4096);
    buf_lit(&path, FOLDER "/");
    buf_str(&path, str_from(name));
    buf_lit(&path, "/");
    buf_str(&path, str_from(file));
    struct buf text = BUF_INIT(FILE_MAX);
    char *room = buf_room(&text, FILE_MAX);
    FILE *f = fopen(buf_cstr(&path), "rbe");
    if (!f || !room)
        fail_msg("%s: no file %s", name, file);
    const size_t n = fread(room, 1, FILE_MAX, f);
    (void)fclose(f);
    CHECK(name, n > 0 && n < FILE_MAX);
    buf_advance(&text, room[n - 1] == '\n' ? n - 1 : n);
    buf_release(&path);
    return text;
}

/* Compares with the file and empties the text for the next one. */
static void check_file(const char *name, const char *file, struct buf *got)
{
    struct buf want = answer_file(name, file);
    CHECK_STR(name, *got, want);
    buf_release(&want);
    buf_reset(got);
}

static void check_url(const char *name, struct sign_ask *a, const struct signing_key *k)
{
    struct buf place = BUF_INIT(1024);
    struct buf why = BUF_INIT(512);
    struct buf text = BUF_INIT(FILE_MAX);
    struct buf canonical = answer_file(name, "canonical-request");
    CHECK_EQ(name, endpoint_resolve(&a->where, true, &place, &a->url.place, &why), ST_OK);
    CHECK_EQ(name, url_canonical_request(&text, &a->url, &a->creds, k, a->now_s), ST_OK);
    check_file(name, "canonical-request", &text);
    CHECK_EQ(name, url_string_to_sign(&text, buf_view(&canonical), k, a->now_s), ST_OK);
    check_file(name, "string-to-sign", &text);
    CHECK_EQ(name, url_packet_sign(&text, &a->url, &a->creds, k, a->now_s), ST_OK);
    check_file(name, "url", &text);
    buf_release(&canonical);
    buf_release(&text);
    buf_release(&why);
    buf_release(&place);
}

static void check_packet(const char *name, const struct sign_ask *a, const struct signing_key *k)
{
    struct post_packet p = POST_PACKET_INIT;
    struct buf text = BUF_INIT(FILE_MAX);
    CHECK_EQ(name, post_policy(&text, &a->post, &a->creds, k, a->now_s), ST_OK);
    check_file(name, "policy", &text);
    CHECK_EQ(name, post_packet_sign(&p, &a->post, &a->creds, k, a->now_s), ST_OK);
    buf_str(&text, p.fields[p.n_fields - 2].value);
    check_file(name, "string-to-sign", &text);
    buf_str(&text, p.fields[p.n_fields - 1].value);
    check_file(name, "signature", &text);
    buf_release(&text);
    post_packet_release(&p);
}

static void check_given_policy(const char *name, const struct signing_key *k)
{
    struct buf policy = answer_file(name, "policy");
    struct buf base64 = answer_file(name, "string-to-sign");
    struct buf text = BUF_INIT(FILE_MAX);
    encode_base64(&text, buf_view(&policy));
    check_file(name, "string-to-sign", &text);
    sigv4_sign(&text, k, buf_view(&base64));
    check_file(name, "signature", &text);
    buf_release(&text);
    buf_release(&base64);
    buf_release(&policy);
}

static void check_case(const char *name)
{
    struct buf text = answer_file(name, "case.json");
    json_t *in = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(name, in);
    struct sign_ask a;
    struct signing_key k;
    sign_ask_read(&a, in);
    CHECK(name, ask_text(in, "source").len > 0);
    CHECK_EQ(name, signing_key_derive(&k, &a.creds, a.region, a.now_s), ST_OK);
    if (ask_flag(in, "given_policy"))
        check_given_policy(name, &k);
    else if (a.is_post)
        check_packet(name, &a, &k);
    else
        check_url(name, &a, &k);
    signing_key_release(&k);
    json_decref(in);
    buf_release(&text);
}

static void test_vectors(void **state)
{
    (void)state;
    size_t n = 0;
    DIR *folder = opendir(FOLDER);
    CHECK(FOLDER, folder);
    const struct dirent *entry = NULL;
    while (n < CASES_MAX && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        check_case(entry->d_name);
        n++;
    }
    (void)closedir(folder);
    CHECK("all cases found", n >= CASES_AT_LEAST);
}

TEST_MAIN(cmocka_unit_test(test_vectors))
