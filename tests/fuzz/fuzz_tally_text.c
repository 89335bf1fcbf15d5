/*
 * The ledger's texts: the first byte chooses the reader. What it accepts must come out of the
 * writer byte by byte, and changes of it must be readable again.
 */
#include <stdlib.h>

#include "presignd/tally_text.h"

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_tallies(struct str text)
{
    struct tally t[TALLIES_MAX];
    size_t n;
    if (tallies_read(text, t, TALLIES_MAX, &n) != ST_OK)
        return;
    AUTO(buf) b = BUF_INIT(1 << 20);
    tallies_write(&b, t, n);
    must(str_equal(buf_view(&b), text));
}

static void fuzz_charges(struct str text)
{
    struct charge c[CHARGES_MAX];
    size_t n;
    if (charges_read(text, c, CHARGES_MAX, &n) != ST_OK)
        return;
    AUTO(buf) b = BUF_INIT(1 << 20);
    charges_write(&b, c, n);
    must(str_equal(buf_view(&b), text));
}

static void fuzz_ids(struct str text)
{
    struct id_pair p[IDS_MAX];
    size_t n;
    if (ids_read(text, p, IDS_MAX, &n) != ST_OK)
        return;
    AUTO(buf) b = BUF_INIT(1 << 20);
    ids_write(&b, p, n);
    must(str_equal(buf_view(&b), text));
}

static void fuzz_open_ends(struct str text)
{
    static struct open_end e[OPEN_ENDS_MAX], again[OPEN_ENDS_MAX];
    size_t n, n_again;
    if (open_ends_read(text, e, OPEN_ENDS_MAX, &n) != ST_OK)
        return;
    AUTO(buf) b = BUF_INIT(1 << 20);
    open_ends_write(&b, e, n);
    must(str_equal(buf_view(&b), text));

    const int64_t sum = open_ends_sum(e, n);
    open_ends_add(e, &n, (int64_t)text.len, 1);
    must(n <= OPEN_ENDS_MAX && open_ends_sum(e, n) == MIN_OF(sum + 1, LIMITS_NUMBER_MAX));
    open_ends_expire(e, &n, (int64_t)text.len);
    open_ends_add(e, &n, (int64_t)text.len, -1);
    buf_reset(&b);
    open_ends_write(&b, e, n);
    must(open_ends_read(buf_view(&b), again, OPEN_ENDS_MAX, &n_again) == ST_OK && n_again == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct str) = { fuzz_tallies, fuzz_charges, fuzz_ids,
                                                   fuzz_open_ends };
    if (size == 0)
        return 0;
    readers[data[0] % ARRAY_LEN(readers)]((struct str){ (const char *)data + 1, size - 1 });
    return 0;
}
