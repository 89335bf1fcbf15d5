/* floor: http
 *
 * The input is a list of networks, one a line, an empty line, and an X-Forwarded-For. Networks that
 * are accepted must hold their own address; the client's text must be an address again.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "presignd/access_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NETS_MAX = 8 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static size_t read_nets(struct str *rest, struct cidr nets[NETS_MAX])
{
    struct str line;
    size_t n = 0;
    while (n < NETS_MAX && str_cut(rest, '\n', &line) && line.len > 0) {
        if (cidr_parse(line, &nets[n]) != ST_OK)
            continue;
        must(nets[n].bits >= 0 && nets[n].bits <= 128);
        must(cidr_has(&nets[n], 1, nets[n].bytes));
        n++;
    }
    return n;
}

static void ask(const struct sockaddr *peer, const struct cidr *nets, size_t n, struct str list)
{
    char space[CLIENT_TEXT];
    unsigned char address[16];
    struct buf out = BUF_FIXED(space);
    access_client(&out, peer, nets, n, list);
    const char *text = buf_cstr(&out);
    must(text != NULL);
    must(inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    struct str rest = { text, size };
    struct cidr nets[NETS_MAX];
    const size_t n = read_nets(&rest, nets);

    const struct sockaddr_in four = { .sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    ask((const struct sockaddr *)&four, nets, n, rest);
    ask((const struct sockaddr *)&six, nets, n, rest);
    free(text);
    return 0;
}
