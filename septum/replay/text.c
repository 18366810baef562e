/* Words and numbers of a line, which may hold anything: every reader stops at the end of its text.
 *
 * Offers blanks, skip, find and has; hex, decimal and below; is_digit and is_word. */

typedef struct text {
    const char *at, *end;
} text_t;

static int skip(text_t *t, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n))
        return 0;
    t->at += n;
    return 1;
}

static void blanks(text_t *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
        t->at++;
}

static int at_end(text_t *t)
{
    blanks(t);
    return t->at == t->end;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int digit_of(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* At most sixteen digits, with or without 0x. */
static int hex(text_t *t, uint64_t *value)
{
    int n = 0;
    uint64_t found = 0;
    if (t->end - t->at > 2 && t->at[0] == '0' && t->at[1] == 'x')
        t->at += 2;
    for (int d; t->at < t->end && (d = digit_of(*t->at)) >= 0; t->at++, n++)
        found = found << 4 | (uint64_t)d;
    *value = found;
    return n > 0 && n <= 16;
}

/* At most nineteen digits, so that no value is cut. */
static int decimal(text_t *t, uint64_t *value)
{
    int n = 0;
    uint64_t found = 0;
    for (; t->at < t->end && is_digit(*t->at); t->at++, n++)
        found = found * 10 + (uint64_t)(*t->at - '0');
    *value = found;
    return n > 0 && n < 20;
}

static int below(text_t *t, uint64_t limit, uint64_t *value)
{
    return decimal(t, value) && *value < limit;
}

/* Goes behind the next occurrence of `word`. */
static int find(text_t *t, const char *word)
{
    size_t n = strlen(word);
    const char *found = memmem(t->at, (size_t)(t->end - t->at), word, n);
    if (!found)
        return 0;
    t->at = found + n;
    return 1;
}

static int has(text_t t, const char *word)
{
    return find(&t, word);
}

static int hex_after(text_t *t, const char *word, uint64_t *value)
{
    return find(t, word) && hex(t, value);
}
