/* cxx17.cpp - a C++17 program: handles that free themselves, failures that are exceptions, and
 * callbacks that let none through the library. It tells its story twice - step by step, and in one
 * call - and both must be the same. */
#include <gpt2.h>

#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2
{

/* ---- Handles: a unique_ptr that calls the library's own function ---- */

template <auto function> struct freed_by {
  template <typename T> void operator()(T *handle) const noexcept
  {
    function(handle);
  }
};
using model = std::unique_ptr<gpt2_model, freed_by<gpt2_model_free>>;
using context = std::unique_ptr<gpt2_context, freed_by<gpt2_context_free>>;
using sampler = std::unique_ptr<gpt2_sampler, freed_by<gpt2_sampler_free>>;
using decoder = std::unique_ptr<gpt2_decoder, freed_by<gpt2_decoder_free>>;

/* ---- Failures: the library's words as an exception ---- */

class failure : public std::runtime_error
{
public:
  explicit failure(const gpt2_error &error)
      : std::runtime_error(error.message), status_(error.status)
  {
  }
  /* For who wants to go on. */
  gpt2_status status() const noexcept
  {
    return status_;
  }

private:
  gpt2_status status_;
};

/* Every struct of the library is zero but for its size. */
template <typename T> T zeroed() noexcept
{
  T value{};
  value.struct_size = sizeof value;
  return value;
}

static void expect(gpt2_status status, const gpt2_error &error)
{
  if (status != GPT2_OK)
    throw failure(error);
}

/* The functions of a context keep the words in it. */
static void expect(gpt2_status status, const context &in)
{
  expect(status, *gpt2_context_error(in.get()));
}

/* Calls what makes a handle - it takes where to put it, and an error, last - and owns the result. */
template <typename owner, typename function, typename... arguments>
owner make(function *create, arguments... given)
{
  auto error = zeroed<gpt2_error>();
  typename owner::pointer handle = nullptr;
  gpt2_status status = create(given..., &handle, &error);
  owner owned(handle);
  expect(status, error);
  return owned;
}

} // namespace gpt2

/* ---- Step by step: encode, evaluate, sample, decode ---- */

enum { N_TOKENS = 10 };

static std::vector<gpt2_token> encode(const gpt2::model &model, std::string_view text)
{
  auto error = gpt2::zeroed<gpt2_error>();
  std::vector<gpt2_token> tokens(text.size()); /* always enough */
  size_t n_tokens = 0;
  gpt2::expect(gpt2_encode(model.get(), text.data(), text.size(), 0, tokens.data(), tokens.size(),
                           &n_tokens, &error),
               error);
  tokens.resize(n_tokens);
  return tokens;
}

static std::string tell(const gpt2::model &model, std::string_view prompt)
{
  auto error = gpt2::zeroed<gpt2_error>();
  auto greedy = gpt2::zeroed<gpt2_sampler_options>();
  const gpt2_context_options *defaults = nullptr;
  auto context = gpt2::make<gpt2::context>(gpt2_context_new, model.get(), defaults);
  auto sampler = gpt2::make<gpt2::sampler>(gpt2_sampler_new, &greedy);
  auto decoder = gpt2::make<gpt2::decoder>(gpt2_decoder_new, model.get(), 0u);

  std::string told;
  std::vector<gpt2_token> tokens = encode(model, prompt);
  for (int i = 0; i < N_TOKENS; i++) {
    gpt2::expect(gpt2_eval(context.get(), 0, tokens.data(), tokens.size(), 0), context);
    tokens.resize(1);
    gpt2::expect(gpt2_sample(context.get(), 0, sampler.get(), tokens.data()), context);
    const char *text = nullptr;
    size_t size = 0;
    gpt2::expect(gpt2_decoder_push(decoder.get(), tokens[0], &text, &size, &error), error);
    told.append(text, size);
  }
  return told;
}

/* ---- In one call, with a callback ---- */

struct listener {
  std::string told;
  std::exception_ptr thrown;
};

/* No exception may pass through the library: it waits here until the library has returned. */
extern "C" {
static int32_t listen(const gpt2_piece *piece, void *user) noexcept
{
  auto *self = static_cast<listener *>(user);
  try {
    self->told.append(piece->text, piece->size);
    return 0;
  } catch (...) {
    self->thrown = std::current_exception();
    return 1; /* stop */
  }
}
}

static std::string tell_at_once(const gpt2::model &model, std::string_view prompt)
{
  const gpt2_context_options *defaults = nullptr;
  auto context = gpt2::make<gpt2::context>(gpt2_context_new, model.get(), defaults);
  auto options = gpt2::zeroed<gpt2_generate_options>();
  options.max_tokens = N_TOKENS;
  listener listening;
  gpt2::expect(gpt2_generate(context.get(), prompt.data(), prompt.size(), &options, listen,
                             &listening, nullptr),
               context);
  if (listening.thrown)
    std::rethrow_exception(listening.thrown);
  return listening.told;
}

int main(int argc, char **argv)
{
  if (argc != 2)
    return 2;
  try {
    const gpt2_load_options *defaults = nullptr;
    auto model = gpt2::make<gpt2::model>(gpt2_load, argv[1], defaults);
    std::string told = tell(model, "Once upon a time");
    if (tell_at_once(model, "Once upon a time") != told)
      throw std::logic_error("two ways to generate tell two stories");
    std::cout << told;
  } catch (const gpt2::failure &failure) {
    std::cerr << gpt2_status_name(failure.status()) << ": " << failure.what() << '\n';
    return 1;
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
