/* gpt2.h - libgpt2: run GPT-2 on a CPU, inside any program.
 *
 * A model is opened once and shared; a context is one user's working memory on it; a sequence is
 * one text inside a context. This whole program continues a sentence:
 *
 *     #include <gpt2.h>
 *     #include <stdio.h>
 *
 *     static int32_t print_piece(const gpt2_piece *piece, void *user)
 *     {
 *       fwrite(piece->text, 1, (size_t)piece->size, (FILE *)user);
 *       return 0;
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *       gpt2_model *model = NULL;
 *       gpt2_context *context = NULL;
 *       gpt2_error error = {sizeof error, 0, 0, ""};
 *       if (argc == 2 && gpt2_load(argv[1], NULL, &model, &error) == GPT2_OK &&
 *           gpt2_context_new(model, NULL, &context, &error) == GPT2_OK &&
 *           gpt2_generate(context, "Once upon a time", 16, NULL, print_piece, stdout, NULL))
 *         error = *gpt2_context_error(context);
 *       gpt2_context_free(context);
 *       gpt2_model_free(model);
 *       if (error.status != GPT2_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *       return argc == 2 && error.status == GPT2_OK ? 0 : 1;
 *     }
 *
 * The header goes from the simplest call to the most advanced: version, errors, loading,
 * describing, text and tokens, contexts, evaluation, logits, the KV cache, sampling, generation,
 * scoring.
 *
 * What holds everywhere, and is not repeated below:
 * - Zero is the default. Options may be NULL, or a struct whose struct_size is set and whose other
 *   fields are zero. A negative or NaN number is GPT2_ERR_ARGUMENT unless its comment gives it a
 *   meaning.
 * - Every struct that starts with struct_size must have it set by the caller, also where the
 *   library fills the struct. A smaller size than today's works for ever; a larger one works if the
 *   part that this library does not know is zero (GPT2_ERR_UNSUPPORTED otherwise); of a larger
 *   output the unknown part is zeroed.
 * - A function that fails leaves its handles as they were and usable; what it would have created is
 *   NULL. A required pointer that is NULL is GPT2_ERR_ARGUMENT. Functions called ..._free accept
 *   NULL.
 * - Functions of a context keep the words of their last failure in it (gpt2_context_error); all
 *   others take a gpt2_error last, which may be NULL. A success does not touch the words.
 * - n_ counts elements, size counts bytes; one that no memory can hold, such as (size_t)-1, is
 *   refused before anything is read. Buffers are filled by one convention: the caller gives a
 *   capacity, the library sets the count that is needed, and answers GPT2_ERR_BUFFER_TOO_SMALL -
 *   having written nothing - when it exceeds the capacity. A capacity of 0 with a NULL buffer asks
 *   for the count.
 * - Text is UTF-8 with an explicit size and may hold NUL bytes. Bytes that are not UTF-8 are kept
 *   as they are.
 * - Callbacks take their user pointer last. They must not throw or jump through the library, and
 *   must not use the context that is calling them (GPT2_ERR_BUSY).
 * - The library never prints, exits, aborts, or changes locale or signal handlers. A file that
 *   another process shortens while it is mapped is the one thing it cannot survive; GPT2_LOAD_COPY
 *   avoids that.
 * - Threads: any number of threads may use one model at once. A context, and what belongs to it
 *   (generations), is used by one thread at a time; a second one is answered GPT2_ERR_BUSY, but
 *   functions without a status (gpt2_logits, gpt2_kv_length and their like) do not check.
 *   gpt2_cancel may be called from anywhere. Samplers and decoders are used by one thread at a
 *   time, unchecked. Handles may be freed in any order: contexts and decoders keep their model, a
 *   generation its context. Stacks of 128 KB are enough for every call.
 * - Functions without a status answer NULL, -1 or 0 when they are given NULL.
 * - A bit of `flags`, or a reserved field, that is set and not known is GPT2_ERR_UNSUPPORTED.
 * - Results do not depend on the number of threads, to the bit. */
#ifndef GPT2_H
#define GPT2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GPT2_API __attribute__((visibility("default")))
#else
#define GPT2_API
#endif

/* ---- Version --------------------------------------------------------------------------------- */

/* The version of this header; gpt2_version() is that of the library in use. */
#define GPT2_VERSION_MAJOR 0
#define GPT2_VERSION_MINOR 1
#define GPT2_VERSION_PATCH 0

/* The version of the library in use, such as "0.1.0". Static memory. Since: 0.1 */
GPT2_API const char *gpt2_version(void);

/* ---- Status and errors ----------------------------------------------------------------------- */

/* Every status: name, value, sentence. The values never change; new ones may be added at the end.
 */
#define GPT2_STATUS_MAP(X)                                                                         \
  X(OK, 0, "success")                                                                              \
  X(ERR_ARGUMENT, -1, "an argument has a value that is not allowed")                               \
  X(ERR_MEMORY, -2, "out of memory")                                                               \
  X(ERR_IO, -3, "a file could not be opened or read")                                              \
  X(ERR_NOT_FOUND, -4, "a file, tensor or entry that is needed is missing")                        \
  X(ERR_FORMAT, -5, "a file is damaged or is not what it claims to be")                            \
  X(ERR_UNSUPPORTED, -6, "something valid that this library does not implement")                   \
  X(ERR_LIMIT, -7, "more than a limit allows")                                                     \
  X(ERR_BUSY, -8, "the context is in use by another call")                                         \
  X(ERR_CANCELLED, -9, "stopped on request before it was finished")                                \
  X(ERR_NO_LOGITS, -10, "the sequence has no next-token logits")                                   \
  X(ERR_NO_TOKENIZER, -11, "the model was loaded without a usable tokenizer")                      \
  X(ERR_BUFFER_TOO_SMALL, -12, "the buffer is smaller than the result")                            \
  X(ERR_CONTEXT_FULL, -13, "more tokens than the model has positions")                             \
  X(ERR_NON_FINITE, -14, "the logits are not finite numbers")                                      \
  X(ERR_SYSTEM, -15, "the operating system refused a thread or another resource")

/* GPT2_OK, and an error for each other line. */
enum {
#define GPT2_STATUS_VALUE(name, value, sentence) GPT2_##name = value,
  GPT2_STATUS_MAP(GPT2_STATUS_VALUE)
#undef GPT2_STATUS_VALUE
};

/* GPT2_OK, or one of the errors, which are negative. */
typedef int32_t gpt2_status;

/* What went wrong, in words for the user of the program: the file, tensor or argument, what was
 * found, what was expected. */
typedef struct gpt2_error {
  uint32_t struct_size;
  gpt2_status status; /* what the call returned */
  int64_t offset;     /* byte position in the file or text the message names, or -1 */
  char message[496];  /* UTF-8, ends with NUL */
} gpt2_error;

/* The name of a status, such as "GPT2_ERR_FORMAT", and its sentence. For a number that is no
 * status: "GPT2_ERR_UNKNOWN" and "unknown status". Static memory. Since: 0.1 */
GPT2_API const char *gpt2_status_name(gpt2_status status);
GPT2_API const char *gpt2_status_text(gpt2_status status);

/* What this library was built with and found at run time. */
typedef struct gpt2_build {
  uint32_t struct_size;
  int32_t n_cpus;            /* physical cores the process may run on; default of n_threads */
  char version[16];          /* as gpt2_version() */
  char compiler[64];         /* and its version */
  char instruction_sets[64]; /* in use by our kernels: "scalar", "avx2", "avx512+vnni+bf16" */
  char blas[64];             /* "OpenBLAS 0.3.21", or "cblas" for any other library */
  char blas_core[32];        /* the kernels OpenBLAS chose, such as "SkylakeX"; or empty */
  char blas_threading[16];   /* "serial", "pthreads", "openmp", or "unknown" */
  char blas_linkage[16];     /* "system" or "private" */
  int32_t blas_threads;      /* its process-wide thread count now; 0 if unknown */
  char unicode[16];          /* version of the tokenizer's letter and number classes */
} gpt2_build;

/* Fills `build`. Never allocates. Any thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_build_info(gpt2_build *build, gpt2_error *error);

/* ---- Loading --------------------------------------------------------------------------------- */

/* A GPT-2 that was loaded. It never changes, and is shared by all that use it. */
typedef struct gpt2_model gpt2_model;

/* Memory hooks. Both or neither must be set; they are called from any thread that uses the model
 * (by a load, whatever its threads, only from the one that called it). They serve every allocation
 * of the library itself; the JSON parser (during load only) and OpenBLAS allocate by malloc. Large
 * tables (weights that are converted, in one piece; the KV cache) come through them too; mapped
 * files do not. */
typedef struct gpt2_allocator {
  uint32_t struct_size;
  uint32_t reserved;
  /* Memory of size > 0 bytes, aligned to a power of two; NULL if there is none. */
  void *(*allocate)(size_t size, size_t alignment, void *user);
  void (*release)(void *memory, void *user); /* memory is never NULL */
  void *user;                                /* handed to both */
} gpt2_allocator;

/* Levels of what is logged. */
enum {
  GPT2_LOG_INFO = 1,   /* nothing to worry about: a tensor that is not used, for one */
  GPT2_LOG_WARNING = 2 /* the model can do less than it might: it has no tokenizer, for one */
};

/* Receives a finished sentence without newline, during load, on the loading thread. */
typedef void (*gpt2_log_callback)(int32_t level, const char *message, void *user);

/* Bits of gpt2_load_options.flags. */
enum {
  /* Read files into memory instead of mapping them: slower and larger, but nothing that happens to
   * the files afterwards can matter. */
  GPT2_LOAD_COPY = 1 << 0,
  /* Have every page of the weights in memory when the load returns, so that the first token does
   * not wait for any. */
  GPT2_LOAD_PREFAULT = 1 << 1,
  /* Ask the system for huge pages: for weights in memory of our own, and for mapped ones where the
   * system can. Fewer page table walks; the kernel may take memory in steps of 2 MB. */
  GPT2_LOAD_HUGE_PAGES = 1 << 2
};

/* Element types of weights, and of the KV cache. */
enum {
  GPT2_TYPE_DEFAULT = 0, /* weights: as they are stored; KV cache: f32 */
  GPT2_TYPE_F32 = 1,     /* IEEE 754 binary32 */
  GPT2_TYPE_F16 = 2,     /* IEEE 754 binary16 */
  GPT2_TYPE_BF16 = 3,    /* the upper half of an f32 */
  GPT2_TYPE_Q8_0 = 4,    /* blocks of 32 int8 with an f16 scale, as in GGUF: 8.5 bits a weight */
  GPT2_TYPE_Q4_0 = 5     /* blocks of 32 int4 with an f16 scale, as in GGUF: 4.5 bits a weight */
};

/* How weights and activations are multiplied. Exact: activations are f32, logits within 1e-5 of
 * their range of what float64 arithmetic gives on the weights as they are kept. Fast: activations
 * are rounded once a product - with q8_0 and q4_0 to int8, by row and block of 32; with bf16 to
 * bf16 - where the processor then multiplies faster; f32 and f16 weights are multiplied exactly
 * all the same. */
enum {
  GPT2_COMPUTE_DEFAULT = 0, /* fast for q8_0 and q4_0, else exact */
  GPT2_COMPUTE_EXACT = 1,   /* activations in f32 */
  GPT2_COMPUTE_FAST = 2     /* activations rounded */
};

/* How a model is loaded. */
typedef struct gpt2_load_options {
  uint32_t struct_size;
  uint32_t flags;                  /* GPT2_LOAD_... */
  const gpt2_allocator *allocator; /* NULL: malloc. Copied; `user` outlives the last handle */
  gpt2_log_callback log;           /* NULL: silent */
  void *log_user;                  /* handed to `log` */
  int32_t weights;   /* GPT2_TYPE_...: what the matrices are kept in. Norms and biases are f32, and
                        so is what is stored as F64; tables whose rows are only looked up (of
                        positions, and of tokens unless it is the unembedding) stay as they are
                        stored. With q4_0 the unembedding is kept in q8_0, as its errors go straight
                        to the logits (gpt2_info says which types are in use) */
  int32_t compute;   /* GPT2_COMPUTE_... */
  int32_t n_threads; /* that convert weights and read the tokenizer's files, the caller's included;
                        they end with the load. 0: one a physical core; 1: none is started */
  int32_t reserved;
} gpt2_load_options;

/* Opens the model at `path`: a Hugging Face folder (config.json, model.safetensors or its shards,
 * and tokenizer.json or vocab.json + merges.txt), or a .safetensors file inside one, or the
 * .safetensors.index.json of its shards (then config and tokenizer come from the file's folder).
 *
 * Files are mapped, not read: loading is quick, weights that are kept as they are stored (F32, F16
 * and BF16, aligned to their type) stay shared with the page cache, and their pages are read when
 * first used. Others are converted into memory of our own, and their pages of the file given back
 * on the way. A folder without a usable tokenizer loads all the same: gpt2_info and the log say
 * why, and what needs text answers GPT2_ERR_NO_TOKENIZER. Errors: ARGUMENT, IO, NOT_FOUND, FORMAT,
 * UNSUPPORTED, LIMIT, MEMORY, SYSTEM; the message names file and key or tensor. The limits: JSON
 * files of 64 MB, safetensors headers of 16 MB, added tokens of 256 bytes. Any thread. The model
 * has one reference, to be dropped by gpt2_model_free. Since: 0.1 */
GPT2_API gpt2_status gpt2_load(const char *path, const gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error);

/* A file in memory, under the name it would have in the folder ("config.json"). */
typedef struct gpt2_blob {
  const char *name;  /* ends with NUL */
  const void *bytes; /* (size) what is in the file */
  uint64_t size;     /* bytes */
  uint64_t reserved; /* 0 */
} gpt2_blob;

/* The same from files that are in memory already: an archive, a resource, a test. The bytes (not
 * the array, nor the names) are borrowed: they must stay, unchanged, until the model's last
 * reference is gone. Weights are used where they are as in a mapped file. Since: 0.1 */
GPT2_API gpt2_status gpt2_load_memory(const gpt2_blob *blobs, size_t n_blobs,
                                      const gpt2_load_options *options, gpt2_model **model,
                                      gpt2_error *error);

/* What gpt2_source.open answers. */
enum {
  GPT2_SOURCE_FOUND = 0,   /* size and handle are set */
  GPT2_SOURCE_MISSING = 1, /* there is no file of this name */
  GPT2_SOURCE_FAILED = -1  /* it cannot be opened: GPT2_ERR_IO */
};

/* Where the bytes of a model come from, when that is neither a folder nor memory. Functions are
 * called during load from the loading thread; `close` and `release` possibly later, from the thread
 * that drops the last reference. The struct is copied. */
typedef struct gpt2_source {
  uint32_t struct_size;
  uint32_t reserved;
  /* Finds a file by its name in the folder; sets its size in bytes and a handle. A GPT2_SOURCE_...
   * value. */
  int32_t (*open)(const char *name, void **file, uint64_t *size, void *user);
  /* Reads exactly `size` bytes at `offset`; never called outside the file. 0, or anything else for
   * failure. */
  int32_t (*read_at)(void *file, uint64_t offset, void *buffer, size_t size, void *user);
  /* Optional: the whole file as memory that stays, unchanged, until `close`; NULL if it is not in
   * memory. */
  const void *(*view)(void *file, void *user);
  /* Optional: the handle is no longer used. */
  void (*close)(void *file, void *user);
  /* Optional: called once, when nothing of the source is in use any more; also when loading fails.
   * Only when this struct itself is refused, or `model` is NULL, the source is not taken over and
   * it is not called. */
  void (*release)(void *user);
  void *user; /* handed to all of them */
} gpt2_source;

/* The same from the host's own callbacks. Since: 0.1 */
GPT2_API gpt2_status gpt2_load_source(const gpt2_source *source, const gpt2_load_options *options,
                                      gpt2_model **model, gpt2_error *error);

/* Adds a reference and returns the model (NULL stays NULL); drops one, and with the last one the
 * model. Atomic: any thread. Since: 0.1 */
GPT2_API gpt2_model *gpt2_model_ref(gpt2_model *model);
GPT2_API void gpt2_model_free(gpt2_model *model);

/* ---- Describing a model ---------------------------------------------------------------------- */

/* The function between the two products of the MLP. */
enum {
  GPT2_ACTIVATION_GELU_TANH = 0, /* GELU by tanh, as in the published models ("gelu_new") */
  GPT2_ACTIVATION_GELU_ERF = 1,  /* GELU as it is defined ("gelu") */
  GPT2_ACTIVATION_RELU = 2       /* the greater of 0 and x ("relu") */
};

/* Bits of gpt2_info.flags. */
enum {
  GPT2_INFO_TIED = 1 << 0,           /* the unembedding is wte itself */
  GPT2_INFO_SCALE_ATTN = 1 << 1,     /* scores are divided by sqrt(d_head) */
  GPT2_INFO_SCALE_BY_LAYER = 1 << 2, /* and by the layer's number, counted from 1 */
  GPT2_INFO_TOKENIZER = 1 << 3       /* text can be encoded and decoded */
};

/* What a model is, and what it takes. */
typedef struct gpt2_info {
  uint32_t struct_size;
  uint32_t flags;               /* GPT2_INFO_... */
  int32_t n_vocab;              /* rows of wte: logits have as many */
  int32_t n_ctx;                /* positions: the longest sequence */
  int32_t n_embd;               /* width of the residual stream */
  int32_t n_head;               /* attention heads of a block; d_head is n_embd / n_head */
  int32_t n_layer;              /* blocks */
  int32_t n_inner;              /* width of the MLP */
  int32_t activation;           /* GPT2_ACTIVATION_... */
  float layer_norm_epsilon;     /* added to the variance in layer norms */
  gpt2_status tokenizer_status; /* why there is no tokenizer, or GPT2_OK */
  int32_t n_tokens;             /* entries of the tokenizer's vocabulary, added tokens included */
  int32_t n_merges;             /* of the tokenizer */
  int32_t bos_token;            /* -1: none */
  int32_t n_eos_tokens;         /* (gpt2_eos_token) */
  int32_t n_ignored;            /* tensors that are not used (gpt2_ignored_tensor) */
  uint64_t n_parameters;        /* distinct ones, a tied unembedding counted once */
  uint64_t weights_size;        /* bytes of weights read for one token, as they are kept */
  uint64_t mapped_size;         /* bytes of them in the mapped file (or borrowed memory) */
  uint64_t allocated_size;      /* bytes of them in memory of our own */
  uint64_t kv_token_size;       /* bytes of KV cache for one token, in f32; f16 takes half */
  char format[32];              /* "safetensors" */
  char stored_type[32];         /* element types in the file, most bytes first: "F16", "F32+F16" */
  char weights_type[32];        /* as the blocks' matrices are kept, likewise: "f32", "q8_0" */
  char unembedding_type[32];    /* as the unembedding is kept */
  char tokenizer[32];           /* "tokenizer.json", "vocab.json + merges.txt", or "none" */
  char tokenizer_message[256];  /* why there is none */
  int32_t compute;              /* GPT2_COMPUTE_EXACT or GPT2_COMPUTE_FAST */
  int32_t reserved;             /* 0 */
} gpt2_info;

/* Fills `info`. Needs no context. Any thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_model_info(const gpt2_model *model, gpt2_info *info, gpt2_error *error);

/* The name of the index-th tensor of the file that the model does not use, in the file's order;
 * NULL beyond the last. Owned by the model. Any thread. Since: 0.1 */
GPT2_API const char *gpt2_ignored_tensor(const gpt2_model *model, size_t index);

/* ---- Text and tokens ------------------------------------------------------------------------- */

/* The id of a token: its place in the vocabulary, from 0. */
typedef int32_t gpt2_token;

/* Bits of the flags of gpt2_encode. */
enum {
  /* Read the text of special tokens (`<|endoftext|>`) as those tokens. Without it they are ordinary
   * text, so that what a stranger typed cannot end a document. Added tokens that are not special
   * always match. */
  GPT2_ENCODE_SPECIAL = 1 << 0
};

/* Turns `size` bytes of text into tokens, exactly as GPT-2 does: no BOS is added. `tokens`
 * (capacity) receives them, `n_tokens` their number; size 0 gives none. Errors: ARGUMENT,
 * NO_TOKENIZER, BUFFER_TOO_SMALL (n_tokens set; `size` tokens are always enough, or 2 * size for a
 * tokenizer.json with add_prefix_space), MEMORY, UNSUPPORTED. Any thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_encode(const gpt2_model *model, const char *text, size_t size,
                                 uint32_t flags, gpt2_token *tokens, size_t capacity,
                                 size_t *n_tokens, gpt2_error *error);

/* The bytes of `n_tokens` tokens, one after another; no NUL is added. Encoded text decodes to the
 * same bytes, UTF-8 or not, unless the tokenizer's own files change it (add_prefix_space, an
 * added token that takes the spaces beside it, an unknown token). An id within the model's
 * n_vocab but without text decodes to nothing; one outside both is GPT2_ERR_ARGUMENT. Errors:
 * ARGUMENT, NO_TOKENIZER, BUFFER_TOO_SMALL (size set). Any thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_decode(const gpt2_model *model, const gpt2_token *tokens, size_t n_tokens,
                                 char *text, size_t capacity, size_t *size, gpt2_error *error);

/* The bytes of one token: owned by the model, not ended by NUL, possibly part of a character. Any
 * thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_token_bytes(const gpt2_model *model, gpt2_token token, const char **bytes,
                                      size_t *size, gpt2_error *error);

/* Bits of what gpt2_token_flags returns. */
enum {
  GPT2_TOKEN_BOS = 1 << 0,     /* what an empty prompt starts with */
  GPT2_TOKEN_EOS = 1 << 1,     /* ends generation */
  GPT2_TOKEN_SPECIAL = 1 << 2, /* matched only on request */
  GPT2_TOKEN_ADDED = 1 << 3,   /* matched in text before the merges */
  GPT2_TOKEN_TEXT = 1 << 4     /* the tokenizer has bytes for it */
};

/* What a token is: GPT2_TOKEN_... bits; 0 for ids outside. Any thread. Since: 0.1 */
GPT2_API uint32_t gpt2_token_flags(const gpt2_model *model, gpt2_token token);

/* The token that starts a document: the config's bos_token_id if that is in range, else the
 * vocabulary's <|endoftext|>, else -1. And the index-th token that ends one (the config may have
 * several, or none: -1). Both work without a tokenizer. Any thread. Since: 0.1 */
GPT2_API gpt2_token gpt2_bos_token(const gpt2_model *model);
GPT2_API gpt2_token gpt2_eos_token(const gpt2_model *model, size_t index);

/* A decoder turns a stream of tokens into whole characters: bytes of a character that is not
 * complete yet wait for the next token. */
typedef struct gpt2_decoder gpt2_decoder;

/* Bits of the flags of gpt2_decoder_new. */
enum {
  /* Write U+FFFD for what is no character: one for each beginning of a character that does not go
   * on, and one for each other byte, as Unicode recommends. Without it such bytes come out as they
   * are as soon as that is certain. */
  GPT2_DECODE_REPLACE = 1 << 0
};

/* Makes a decoder on `model`, which it keeps alive. `flags` are GPT2_DECODE_... Errors: ARGUMENT,
 * NO_TOKENIZER, UNSUPPORTED (an unknown flag), LIMIT, MEMORY. Any thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_decoder_new(gpt2_model *model, uint32_t flags, gpt2_decoder **decoder,
                                      gpt2_error *error);

/* Adds a token; `text` (size bytes, possibly none) is what became complete: a view until the next
 * call on the decoder. Allocates nothing. A bad token is GPT2_ERR_ARGUMENT and changes nothing.
 * Since: 0.1 */
GPT2_API gpt2_status gpt2_decoder_push(gpt2_decoder *decoder, gpt2_token token, const char **text,
                                       size_t *size, gpt2_error *error);

/* Hands out what was still waiting, and makes the decoder new again. Since: 0.1 */
GPT2_API gpt2_status gpt2_decoder_finish(gpt2_decoder *decoder, const char **text, size_t *size,
                                         gpt2_error *error);

/* Frees a decoder. Since: 0.1 */
GPT2_API void gpt2_decoder_free(gpt2_decoder *decoder);

/* ---- Contexts -------------------------------------------------------------------------------- */

/* A context holds sequences (numbered 0 to GPT2_MAX_SEQUENCES - 1, all empty at first and needing
 * no declaration), their KV cache, a workspace and threads. */
typedef struct gpt2_context gpt2_context;

/* Sequences that every context has. */
#define GPT2_MAX_SEQUENCES 65536

/* The host's own threads: calls task(index, data) once for every index in [0, n), on any threads in
 * any order or at once, and returns when all have returned; none may begin later. It is called on
 * the thread that evaluates, and never for n < 2. A host that has fewer threads than n, or runs
 * fewer tasks or none at all, loses speed only: what is left is done when it returns, on the thread
 * that evaluates. */
typedef void (*gpt2_parallel_for)(int32_t n, void (*task)(int32_t index, void *data), void *data,
                                  void *user);

/* Asked between blocks of a running evaluation, on the calling thread; non-zero stops it. */
typedef int32_t (*gpt2_abort_callback)(void *user);

/* How a context works. */
typedef struct gpt2_context_options {
  uint32_t struct_size;
  int32_t n_threads;              /* including the caller's; 0: one a physical core it may run on */
  int32_t max_logit_rows;         /* rows of one batch that may have GPT2_ROW_LOGITS; 0: 64 */
  int32_t max_hidden_rows;        /* likewise for GPT2_ROW_HIDDEN; 0: 1024 */
  gpt2_parallel_for parallel_for; /* NULL: threads of our own, started when first needed */
  void *parallel_for_user;        /* handed to `parallel_for` */
  gpt2_abort_callback abort_callback; /* NULL: nobody is asked */
  void *abort_user;                   /* handed to `abort_callback` */
  int32_t kv_type; /* of keys and values: GPT2_TYPE_F32 (also 0), or GPT2_TYPE_F16: half the memory,
                      logits within 1e-3 of their range of those with f32 (2e-3 where the config
                      says that scores are not scaled) */
  int32_t reserved;
} gpt2_context_options;

/* Makes a context on `model`, which it keeps alive. Its memory grows with use: 16 tokens of cache
 * at a time (gpt2_info.kv_token_size bytes a token), a workspace for up to 512 rows. After fork()
 * the child may go on with contexts that were idle. Errors: ARGUMENT, LIMIT (more than 1024
 * threads), MEMORY.
 *
 * BLAS: where gpt2_build.instruction_sets is "scalar", prompts use the process's BLAS library; with
 * vector instructions every product is our own. Its thread count is the host's and is never
 * changed: an OpenBLAS with threads of its own gets products so small that it leaves them to the
 * thread that asks, and at most 64 threads of all contexts are inside it at once. OpenBLAS on
 * OpenMP, and any other library, gets whole products from the calling thread. Since: 0.1 */
GPT2_API gpt2_status gpt2_context_new(gpt2_model *model, const gpt2_context_options *options,
                                      gpt2_context **context, gpt2_error *error);

/* Frees a context, which no other call may be using. Since: 0.1 */
GPT2_API void gpt2_context_free(gpt2_context *context);

/* The last failure of a call on this context; status GPT2_OK if there was none. Owned by the
 * context, changed by its next failure. (A GPT2_ERR_BUSY leaves no words: the context belongs to
 * the other thread.) Since: 0.1 */
GPT2_API const gpt2_error *gpt2_context_error(const gpt2_context *context);

/* The model the context was made on (no reference is added), and the number of threads it uses.
 * Since: 0.1 */
GPT2_API gpt2_model *gpt2_context_model(const gpt2_context *context);
GPT2_API int32_t gpt2_context_threads(const gpt2_context *context);

/* Stops the running evaluation, generation or scoring - or, if there is none, the next one that
 * evaluates a token - with GPT2_ERR_CANCELLED, within one block of the model over at most 512 rows;
 * then it is forgotten. Any thread, and signal handlers. Since: 0.1 */
GPT2_API void gpt2_cancel(gpt2_context *context);

/* ---- Evaluation ------------------------------------------------------------------------------ */

/* Bits of the flags of gpt2_eval, and of gpt2_row.flags. */
enum {
  GPT2_ROW_LOGITS = 1 << 0, /* keep this row's logits for gpt2_row_logits */
  GPT2_ROW_HIDDEN = 1 << 1, /* keep its last hidden state (after ln_f) for gpt2_row_hidden */
  GPT2_ROW_SCORE = 1 << 2,  /* score `target` by this row's logits, for gpt2_row_score */
  GPT2_ROW_NO_NEXT = 1 << 3 /* the sequence's last row: leave it without next-token logits */
};

/* One token of a batch. Its position is its place in its sequence. Array element: frozen. */
typedef struct gpt2_row {
  gpt2_token token; /* to be evaluated */
  int32_t sequence; /* that it is appended to */
  uint32_t flags;   /* GPT2_ROW_... */
  int32_t target;   /* a token; read only with GPT2_ROW_SCORE */
} gpt2_row;

/* Appends `n_tokens` tokens to a sequence and evaluates them; afterwards the sequence has
 * next-token logits. `flags` are those of every row. Errors: ARGUMENT (no tokens, a token or
 * sequence out of range; also GPT2_ROW_SCORE, which needs gpt2_eval_batch), CONTEXT_FULL, LIMIT,
 * BUSY: nothing has changed; CANCELLED, MEMORY, SYSTEM: every sequence is as long as before, but
 * those of the call have lost their next-token logits, and views of rows are gone. Since: 0.1 */
GPT2_API gpt2_status gpt2_eval(gpt2_context *context, int32_t sequence, const gpt2_token *tokens,
                               size_t n_tokens, uint32_t flags);

/* The same for any mixture of rows of any sequences, in any order: the rows of one sequence are
 * appended to it in the order in which they stand. Since: 0.1 */
GPT2_API gpt2_status gpt2_eval_batch(gpt2_context *context, const gpt2_row *rows, size_t n_rows);

/* Views into the context, valid until its next evaluation (a KV function may end that of its
 * sequence); NULL when there is nothing to see. gpt2_logits: next-token logits (n_vocab) of a
 * sequence. gpt2_row_logits (n_vocab) and gpt2_row_hidden (n_embd): of a row of the last batch that
 * asked for them. Since: 0.1 */
GPT2_API const float *gpt2_logits(const gpt2_context *context, int32_t sequence);
GPT2_API const float *gpt2_row_logits(const gpt2_context *context, size_t row);
GPT2_API const float *gpt2_row_hidden(const gpt2_context *context, size_t row);

/* How a model judged one token. Array element: frozen. */
typedef struct gpt2_token_score {
  int64_t position; /* in the text (or the batch), from 0 */
  gpt2_token token; /* that was judged */
  int32_t rank;     /* 1 + the tokens with a strictly greater logit; 0: the token was not scored */
  float logprob;    /* natural logarithm of its probability; may be -infinity */
  float entropy;    /* of the distribution it was drawn from, in nats */
} gpt2_token_score;

/* How the target of a row of the last batch with GPT2_ROW_SCORE was judged. Errors: ARGUMENT,
 * NO_LOGITS (the row did not ask), NON_FINITE. Since: 0.1 */
GPT2_API gpt2_status gpt2_row_score(gpt2_context *context, size_t row, gpt2_token_score *score);

/* ---- The KV cache: what a sequence remembers ------------------------------------------------- */

/* Tokens evaluated in a sequence; 0 for one never used, for a number out of range and for NULL.
 * Since: 0.1 */
GPT2_API size_t gpt2_kv_length(const gpt2_context *context, int32_t sequence);

/* Copies those tokens to `tokens` (capacity). Errors: ARGUMENT, BUFFER_TOO_SMALL (n_tokens set).
 * Since: 0.1 */
GPT2_API gpt2_status gpt2_kv_tokens(gpt2_context *context, int32_t sequence, gpt2_token *tokens,
                                    size_t capacity, size_t *n_tokens);

/* Forgets all but the first `length` tokens, and the next-token logits unless nothing was
 * forgotten. A length beyond the end is GPT2_ERR_ARGUMENT. Since: 0.1 */
GPT2_API gpt2_status gpt2_kv_truncate(gpt2_context *context, int32_t sequence, size_t length);

/* Forgets a whole sequence, or all of them, and frees their memory for others. Since: 0.1 */
GPT2_API gpt2_status gpt2_kv_drop(gpt2_context *context, int32_t sequence);
GPT2_API gpt2_status gpt2_kv_clear(gpt2_context *context);

/* ---- Sampling -------------------------------------------------------------------------------- */

/* A sampler chooses the next token from logits; it belongs to the caller, one a sequence. */
typedef struct gpt2_sampler gpt2_sampler;

/* Bits of gpt2_sampler_options.flags. */
enum {
  GPT2_SAMPLER_RANDOM_SEED = 1 << 0 /* take a seed from the system; gpt2_sampler_seed tells it */
};

/* The filters work in this order: temperature, top_k, top_p, min_p. Of equal logits the lower id
 * counts as the greater. All zero: the token with the greatest logit. */
typedef struct gpt2_sampler_options {
  uint32_t struct_size;
  uint32_t flags;    /* GPT2_SAMPLER_... */
  uint64_t seed;     /* any number: the same gives the same draws */
  float temperature; /* logits are divided by it; 0: greedy, whatever the rest says */
  int32_t top_k;     /* keep the k greatest; 0, or more than there are: all */
  float top_p;       /* in (0, 1]: the fewest that add up to it (Holtzman et al., 2020); 0: all */
  float min_p;       /* in (0, 1]: those at least so probable relative to the best; 0: all */
  const gpt2_allocator *allocator; /* NULL: malloc */
} gpt2_sampler_options;

/* The random numbers are Philox4x32-10 of (seed, tokens accepted so far): Salmon et al., "Parallel
 * random numbers: as easy as 1, 2, 3", SC 2011; the same on every platform. Errors: ARGUMENT,
 * MEMORY, SYSTEM. Since: 0.1 */
GPT2_API gpt2_status gpt2_sampler_new(const gpt2_sampler_options *options, gpt2_sampler **sampler,
                                      gpt2_error *error);

/* Chooses a token from logits (n_vocab). Does not advance the sampler: asked again, it chooses the
 * same. The first draw allocates. Errors: ARGUMENT, NON_FINITE (a NaN, +infinity, or nothing but
 * -infinity), MEMORY. Since: 0.1 */
GPT2_API gpt2_status gpt2_sampler_draw(gpt2_sampler *sampler, const float *logits, size_t n_vocab,
                                       gpt2_token *token, gpt2_error *error);

/* Tells the sampler that `token` was taken, which need not be the one drawn; moves to the next
 * random number. Since: 0.1 */
GPT2_API gpt2_status gpt2_sampler_accept(gpt2_sampler *sampler, gpt2_token token,
                                         gpt2_error *error);

/* Back to the state after gpt2_sampler_new; a copy of the present state, with the same allocator
 * (errors: ARGUMENT, MEMORY); the seed in use (0 for NULL); the end of the sampler. Since: 0.1 */
GPT2_API void gpt2_sampler_reset(gpt2_sampler *sampler);
GPT2_API gpt2_status gpt2_sampler_clone(const gpt2_sampler *sampler, gpt2_sampler **clone,
                                        gpt2_error *error);
GPT2_API uint64_t gpt2_sampler_seed(const gpt2_sampler *sampler);
GPT2_API void gpt2_sampler_free(gpt2_sampler *sampler);

/* Draws from a sequence's next-token logits and accepts. `sampler` NULL is greedy. Errors as draw;
 * NO_LOGITS. Since: 0.1 */
GPT2_API gpt2_status gpt2_sample(gpt2_context *context, int32_t sequence, gpt2_sampler *sampler,
                                 gpt2_token *token);

/* ---- Generation ------------------------------------------------------------------------------ */

/* Why a generation ended. */
enum {
  GPT2_FINISH_NONE = 0,     /* there is more to come */
  GPT2_FINISH_LENGTH = 1,   /* max_tokens were drawn */
  GPT2_FINISH_STOP = 2,     /* a stop string appeared */
  GPT2_FINISH_END = 3,      /* an end token was drawn */
  GPT2_FINISH_CONTEXT = 4,  /* the sequence has no position left */
  GPT2_FINISH_CANCELLED = 5 /* the callback said so */
};

/* A name for a finish: "length", "stop", "end", "context", "cancelled"; "none" for any other.
 * Since: 0.1 */
GPT2_API const char *gpt2_finish_name(int32_t finish);

/* A string that ends generation. Array element: frozen. */
typedef struct gpt2_string {
  const char *bytes; /* (size) need not end with NUL */
  uint64_t size;     /* > 0 */
} gpt2_string;

/* Bits of gpt2_generate_options.flags. */
enum {
  GPT2_GENERATE_SPECIAL = 1 << 0,    /* read special tokens in the prompt (GPT2_ENCODE_SPECIAL) */
  GPT2_GENERATE_IGNORE_END = 1 << 1, /* go on after an end token, whose text is left out */
  GPT2_GENERATE_REPLACE = 1 << 2     /* U+FFFD for bytes that are not UTF-8 (GPT2_DECODE_REPLACE) */
};

/* How a text is continued. */
typedef struct gpt2_generate_options {
  uint32_t struct_size;
  uint32_t flags;                       /* GPT2_GENERATE_... */
  int32_t sequence;                     /* what is generated is appended to it */
  int32_t max_tokens;                   /* 0: until an end token or a full context */
  const gpt2_sampler_options *sampling; /* NULL: greedy */
  gpt2_sampler *sampler;                /* the caller's own, instead of `sampling`; borrowed */
  const gpt2_string *stops;             /* (n_stops) UTF-8 strings of at most 4096 bytes each */
  uint32_t n_stops;                     /* of `stops` */
  uint32_t n_prompt_tokens;             /* of `prompt_tokens` */
  const gpt2_token *prompt_tokens;      /* (n_prompt_tokens) evaluated after the prompt in text */
} gpt2_generate_options;

/* What one more token brought. Filled by the library; the views live until the next call on the
 * generation. */
typedef struct gpt2_piece {
  uint32_t struct_size;
  int32_t finish;   /* GPT2_FINISH_...; the last piece has one, beside its token and text */
  gpt2_token token; /* the token drawn, or -1 */
  float logprob;    /* ln of its probability by the model: temperature 1, nothing filtered */
  const char *text; /* whole characters that are certain not to begin a stop string; may be empty */
  uint64_t size;    /* bytes of `text` */
} gpt2_piece;

/* A generation continues a text token by token, on demand. */
typedef struct gpt2_generation gpt2_generation;

/* Encodes the prompt and gets ready to continue it; nothing is evaluated yet. A prompt gets no BOS.
 * An empty one continues the sequence as it is, or starts an empty sequence with BOS
 * (GPT2_ERR_NO_LOGITS if the model has none). A model without tokenizer works with prompt_tokens,
 * and gives pieces without text; stop strings and a prompt in text are GPT2_ERR_NO_TOKENIZER there.
 *
 * The last token drawn is not evaluated: the sequence holds the prompt and every other token, and
 * the context remembers this one, so that the next generation on the sequence evaluates it first;
 * evaluating, truncating or dropping the sequence makes it forgotten. Stop strings are cut from the
 * text, not from the sequence. Errors: ARGUMENT, UNSUPPORTED, LIMIT (a stop string that is too
 * long), NO_TOKENIZER, NO_LOGITS, CONTEXT_FULL (a prompt longer than the positions left), MEMORY,
 * SYSTEM, BUSY; in words in the context. Since: 0.1 */
GPT2_API gpt2_status gpt2_generation_new(gpt2_context *context, const char *prompt, size_t size,
                                         const gpt2_generate_options *options,
                                         gpt2_generation **generation);

/* Draws one more token (the first call evaluates the prompt). After the last piece it returns that
 * finish again with token -1 and no text. A failure leaves the generation where it was: the call
 * may be repeated. Errors: as gpt2_eval and gpt2_sample. Since: 0.1 */
GPT2_API gpt2_status gpt2_generation_next(gpt2_generation *generation, gpt2_piece *piece);

/* The seed of the generation's sampler (0 if it has none); the tokens of its prompt; its end.
 * Since: 0.1 */
GPT2_API uint64_t gpt2_generation_seed(const gpt2_generation *generation);
GPT2_API size_t gpt2_generation_prompt_length(const gpt2_generation *generation);
GPT2_API void gpt2_generation_free(gpt2_generation *generation);

/* Receives every piece, also those without text; non-zero stops with GPT2_FINISH_CANCELLED. */
typedef int32_t (*gpt2_text_callback)(const gpt2_piece *piece, void *user);

/* What became of a generation. */
typedef struct gpt2_result {
  uint32_t struct_size;
  int32_t finish;          /* GPT2_FINISH_... */
  int32_t n_prompt_tokens; /* of the prompt, in text and in tokens */
  int32_t n_tokens;        /* drawn */
  uint64_t seed;           /* of the sampler */
} gpt2_result;

/* Generates to the end: the loop over the functions above. `callback` and `result` may be NULL. A
 * callback's stop is a success; gpt2_cancel and the abort callback give GPT2_ERR_CANCELLED. After a
 * failure the sequence holds what was evaluated, `result` tells how far it came, and a generation
 * with an empty prompt goes on from there. Since: 0.1 */
GPT2_API gpt2_status gpt2_generate(gpt2_context *context, const char *prompt, size_t size,
                                   const gpt2_generate_options *options,
                                   gpt2_text_callback callback, void *user, gpt2_result *result);

/* ---- Scoring: how surprised the model is by a text ------------------------------------------- */

/* Bits of gpt2_score_options.flags. */
enum {
  GPT2_SCORE_NO_BOS = 1 << 0, /* do not start with BOS: the first token is left unscored */
  GPT2_SCORE_SPECIAL = 1 << 1 /* read special tokens in the text (GPT2_ENCODE_SPECIAL) */
};

/* How a text is scored. */
typedef struct gpt2_score_options {
  uint32_t struct_size;
  uint32_t flags; /* GPT2_SCORE_... */
  int32_t stride; /* tokens from a window's start to the next one's; 0: n_ctx / 2; at most n_ctx */
  int32_t reserved;
} gpt2_score_options;

/* What a text was scored in all. */
typedef struct gpt2_score_result {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t n_tokens;    /* of the text */
  uint64_t n_scored;    /* of these */
  uint64_t scored_size; /* bytes of the scored tokens */
  double logprob;       /* sum over the scored tokens, nats */
  double perplexity;    /* exp(-logprob / n_scored); 0 when nothing was scored */
  double bits_per_byte; /* -logprob / ln 2 / scored_size; 0 likewise */
} gpt2_score_result;

/* Receives the score of each token of the text in turn; non-zero stops with GPT2_ERR_CANCELLED. */
typedef int32_t (*gpt2_score_callback)(const gpt2_token_score *score, void *user);

/* Scores a text of any length. BOS and the text are one list, cut into windows of n_ctx tokens that
 * start `stride` after one another; a token is scored in the first window that holds it other than
 * as its first (the sliding window of Hugging Face's "Perplexity of fixed-length models"). Works
 * beside the context's sequences and leaves them alone. `callback` and `result` may be NULL; what
 * was called back before a failure stands. A model without BOS leaves the first token unscored.
 * Errors: ARGUMENT, NO_TOKENIZER, NON_FINITE (names the token), CANCELLED, MEMORY, SYSTEM, BUSY.
 * Since: 0.1 */
GPT2_API gpt2_status gpt2_score(gpt2_context *context, const char *text, size_t size,
                                const gpt2_score_options *options, gpt2_score_callback callback,
                                void *user, gpt2_score_result *result);

/* The same for tokens (n_tokens); works without a tokenizer (scored_size and bits_per_byte are then
 * 0). Since: 0.1 */
GPT2_API gpt2_status gpt2_score_tokens(gpt2_context *context, const gpt2_token *tokens,
                                       size_t n_tokens, const gpt2_score_options *options,
                                       gpt2_score_callback callback, void *user,
                                       gpt2_score_result *result);

#ifdef __cplusplus
}
#endif

#endif
