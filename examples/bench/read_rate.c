/* read_rate.c - how fast the machine reads a buffer like the model's weights. */
#define _DEFAULT_SOURCE
#include "bench/read_rate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/output.h"
#include "support/program.h"

static const double shortest = 0.02; /* seconds of reading that are worth timing */

enum { ALIGNMENT = 64, N_SUMS = 8, PAGE = 4096, LARGEST_CHUNK = 1 << 20 };

typedef uint64_t wide __attribute__((vector_size(64), aligned(1), may_alias));

/* One copy for each vector width; what a sanitizer adds to the choice between them does not start
 * up. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&             \
    !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* Adds up `size` bytes (all but the last few) as integers, which cost the same whatever they are.
 * The sums are independent, so that only the memory has to be waited for. */
FOR_EACH_CPU static uint64_t add_up(const unsigned char *bytes, size_t size)
{
  const wide *at = (const void *)bytes;
  const wide *end = at + size / (sizeof *at * N_SUMS) * N_SUMS;
  wide sums[N_SUMS] = {{0}};
  for (; at < end; at += N_SUMS)
    for (int i = 0; i < N_SUMS; i++)
      sums[i] += at[i];
  uint64_t total = 0;
  for (int i = 0; i < N_SUMS; i++)
    for (size_t lane = 0; lane < sizeof *at / sizeof total; lane++)
      total += sums[i][lane];
  return total;
}

/* What keeps the compiler from leaving the additions out. */
static _Atomic uint64_t sink;

/* Reads the bytes [start, start + size) of all regions, one after another. */
static uint64_t read_range(const read_probe *probe, size_t start, size_t size)
{
  uint64_t total = 0;
  for (int32_t i = 0; i < probe->n_regions && size > 0; i++) {
    const region *r = &probe->regions[i];
    if (start < r->size) {
      size_t part = r->size - start < size ? r->size - start : size;
      total += add_up(r->bytes + start, part);
      start += part;
      size -= part;
    }
    start -= r->size;
  }
  return total;
}

/* Threads claim one chunk after another, like the library's tiles: a core that is busy with
 * something else then costs a part of the rate, not half of it. */
static void read_chunks(int32_t index, int32_t n_threads, void *data)
{
  read_probe *probe = data;
  size_t share = probe->size / (size_t)n_threads / 4 / PAGE * PAGE;
  size_t chunk = share > LARGEST_CHUNK ? LARGEST_CHUNK : share < PAGE ? PAGE : share;
  size_t n_chunks = (probe->size + chunk - 1) / chunk;
  uint64_t total = 0;
  size_t claimed;
  (void)index;
  while ((claimed = probe->n_claimed++) < n_chunks * (size_t)probe->n_passes)
    total += read_range(probe, claimed % n_chunks * chunk, chunk);
  sink += total;
}

static double read_passes(read_probe *probe)
{
  probe->n_claimed = 0;
  return team_run(probe->threads, read_chunks, probe);
}

double read_probe_rate(read_probe *probe)
{
  double seconds = read_passes(probe);
  while (seconds < shortest) {
    double more = seconds > shortest / 100 ? 1.1 * shortest / seconds : 100;
    probe->n_passes = (int)(probe->n_passes * more) + 1;
    seconds = read_passes(probe);
  }
  return (double)probe->size * probe->n_passes / seconds;
}

/* Maps the first bytes of a file, `wanted` at most, as a region. */
static void map_file(read_probe *probe, const char *path, uint64_t wanted)
{
  int descriptor = open(path, O_RDONLY);
  struct stat about;
  if (descriptor < 0 || probe->n_regions == MAX_REGIONS)
    return;
  if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0) {
    size_t size = (uint64_t)about.st_size < wanted ? (size_t)about.st_size : (size_t)wanted;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes != MAP_FAILED) {
      probe->regions[probe->n_regions++] = (region){.bytes = bytes, .size = size, .mapped = true};
      probe->size += size;
    }
  }
  close(descriptor);
}

static bool ends_with(const char *name, const char *ending)
{
  size_t size = strlen(name), ending_size = strlen(ending);
  return size > ending_size && strcmp(name + size - ending_size, ending) == 0;
}

/* Maps the model's files until `wanted` bytes are there. */
static void map_model(read_probe *probe, const char *path, uint64_t wanted)
{
  DIR *folder = opendir(path);
  if (!folder) {
    map_file(probe, path, wanted);
    return;
  }
  const struct dirent *entry;
  while (probe->size < wanted && (entry = readdir(folder)) != NULL) {
    if (!ends_with(entry->d_name, ".safetensors"))
      continue;
    buffer file = {0};
    buffer_format(&file, "%s/%s", path, entry->d_name);
    buffer_add(&file, "", 1);
    map_file(probe, file.bytes, wanted - probe->size);
    buffer_free(&file);
  }
  closedir(folder);
}

/* Allocates as the library does, and writes, so that every page is one of its own. */
static void allocate_region(read_probe *probe, size_t size)
{
  void *bytes = NULL;
  if (posix_memalign(&bytes, ALIGNMENT, size) != 0)
    return;
  memset(bytes, 1, size);
  probe->regions[probe->n_regions++] = (region){.bytes = bytes, .size = size};
  probe->size += size;
}

int read_probe_new(read_probe *probe, team *threads, const char *path, uint64_t mapped_size,
                   uint64_t allocated_size)
{
  memset(probe, 0, sizeof *probe);
  probe->threads = threads;
  probe->n_passes = 1;
  if (mapped_size > 0)
    map_model(probe, path, mapped_size);
  if (allocated_size > 0 && probe->n_regions < MAX_REGIONS)
    allocate_region(probe, (size_t)allocated_size);
  if (probe->size != mapped_size + allocated_size) {
    read_probe_free(probe);
    return program_fail(
        "%s: a buffer like its weights (%llu bytes mapped, %llu allocated) cannot be had", path,
        (unsigned long long)mapped_size, (unsigned long long)allocated_size);
  }
  read_probe_rate(probe); /* the first pass finds cold pages */
  return EXIT_DONE;
}

void read_probe_free(read_probe *probe)
{
  for (int32_t i = 0; i < probe->n_regions; i++)
    if (probe->regions[i].mapped)
      munmap((void *)probe->regions[i].bytes, probe->regions[i].size);
    else
      free((void *)probe->regions[i].bytes);
  probe->n_regions = 0;
  probe->size = 0;
}
