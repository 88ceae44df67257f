/* prose.c - a text to encode when none is at hand. */
#include "bench/prose.h"

#include <ctype.h>
#include <stdint.h>

/* Ordered by how often English uses them. */
static const char *const words[] = {
    "the",       "of",        "and",       "to",        "a",        "in",       "that",
    "he",        "was",       "it",        "his",       "is",       "with",     "as",
    "I",         "had",       "for",       "at",        "be",       "on",       "not",
    "you",       "by",        "her",       "which",     "but",      "from",     "they",
    "she",       "have",      "this",      "all",       "one",      "so",       "said",
    "there",     "their",     "were",      "who",       "when",     "would",    "no",
    "them",      "what",      "up",        "out",       "then",     "into",     "little",
    "came",      "man",       "time",      "went",      "old",      "like",     "if",
    "now",       "could",     "before",    "down",      "don't",    "great",    "king",
    "house",     "upon",      "again",     "after",     "over",     "only",     "day",
    "night",     "made",      "must",      "should",    "never",    "way",      "see",
    "such",      "took",      "away",      "water",     "where",    "good",     "once",
    "long",      "children",  "light",     "it's",      "mountain", "forest",   "morning",
    "window",    "thought",   "asked",     "father",    "door",     "answered", "between",
    "together",  "another",   "nothing",   "beautiful", "carried",  "suddenly", "winter",
    "silver",    "question",  "village",   "remember",  "through",  "possible", "I'll",
    "although",  "country",   "certain",   "garden",    "whether",  "towards",  "evening",
    "brother",   "library",   "measure",   "language",  "machine",  "several",  "history",
    "problem",   "they've",   "because",   "strange",   "journey",  "promise",  "different",
    "knowledge", "sailor",    "traveller", "bread",     "letter",   "shadow",   "castle",
    "kitchen",   "silence",   "stranger",  "fortune",   "number",   "century",  "government",
    "river",     "important", "business",  "interest",  "according"};

enum { N_WORDS = sizeof words / sizeof *words };

/* The high bits of a linear congruential generator (Knuth's MMIX): a number below n. */
static uint32_t below(uint64_t *state, uint32_t n)
{
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((*state >> 33) % n);
}

/* Word w (from 1) comes in proportion to about 1 / w (Zipf): every doubling is equally likely. */
static const char *common_word(uint64_t *state)
{
  for (;;) {
    uint32_t first = 1u << below(state, 8);
    uint32_t index = first - 1 + below(state, first);
    if (index < N_WORDS)
      return words[index];
  }
}

/* Syllables that no dictionary has together. */
static void write_name(buffer *text, uint64_t *state)
{
  static const char *const syllables[] = {"ka",  "rel", "mo",  "tin", "sha",
                                          "vor", "li",  "dun", "ze",  "ph\xc3\xa9"};
  uint32_t n_syllables = 2 + below(state, 3);
  for (uint32_t i = 0; i < n_syllables; i++) {
    size_t start = text->size;
    buffer_text(text, syllables[below(state, 10)]);
    if (i == 0)
      text->bytes[start] = (char)toupper((unsigned char)text->bytes[start]);
  }
}

static void write_sentence(buffer *text, uint64_t *state)
{
  size_t start = text->size;
  uint32_t n_words = 4 + below(state, 20);
  for (uint32_t i = 0; i < n_words; i++) {
    uint32_t kind = below(state, 100);
    if (kind < 3)
      write_name(text, state);
    else if (kind < 4)
      buffer_format(text, "%u", (unsigned)below(state, 3000));
    else
      buffer_text(text, common_word(state));
    if (i + 1 < n_words)
      buffer_text(text, kind > 93 ? ", " : " ");
  }
  text->bytes[start] = (char)toupper((unsigned char)text->bytes[start]);
  buffer_text(text, below(state, 8) ? "." : "?");
}

void write_prose(buffer *text, size_t size)
{
  uint64_t state = 1;
  while (text->size < size) {
    write_sentence(text, &state);
    buffer_text(text, below(&state, 6) ? " " : "\n\n");
  }
}
