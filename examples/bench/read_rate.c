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

#include "bench/readers.h"
#include "bench/samples.h"
#include "support/output.h"
#include "support/program.h"

static const double shortest = 0.02; /* seconds of reading that are worth timing */

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20, PAGE = 4096, LARGEST_CHUNK = 1 << 20, N_ROUNDS = 5 };

/* What keeps the compiler from leaving the additions out. */
static _Atomic uint64_t sink;

/* Reads the bytes [start, start + size) of all regions and the cache, one after another. */
static uint64_t read_range(const read_probe *probe, size_t start, size_t size)
{
  uint64_t total = 0;
  for (int32_t i = 0; i <= probe->n_regions && size > 0; i++) {
    const region *r = i < probe->n_regions ? &probe->regions[i] : &probe->cache;
    if (start < r->size) {
      size_t part = r->size - start < size ? r->size - start : size;
      total += read_bytes(probe->reader, r->bytes + start, part);
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
  while ((claimed = probe->n_claimed++) < n_chunks * (size_t)probe->n_passes) {
    size_t start = claimed % n_chunks * chunk, left = probe->size - start;
    total += read_range(probe, start, left < chunk ? left : chunk);
  }
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

/* The reader that is the fastest here, with these threads and these bytes: one that is slower than
 * need be would flatter what is judged by it. They take turns, because a machine's speed
 * changes. */
static void choose_reader(read_probe *probe)
{
  double rates[N_READERS][N_ROUNDS], best = 0;
  int chosen = 0;
  for (int round = 0; round < N_ROUNDS; round++)
    for (probe->reader = 0; probe->reader < N_READERS; probe->reader++)
      rates[probe->reader][round] = read_probe_rate(probe);
  for (int reader = 0; reader < N_READERS; reader++) {
    double rate = median(rates[reader], N_ROUNDS);
    chosen = rate > best ? reader : chosen;
    best = rate > best ? rate : best;
  }
  probe->reader = chosen;
}

void read_probe_use(read_probe *probe, team *threads)
{
  probe->threads = threads;
  probe->n_passes = 1;
  read_probe_rate(probe); /* the first pass finds cold pages */
  choose_reader(probe);
}

/* Asks for huge pages where the library does. The system may refuse, here as there. */
static void ask_for_pages(const read_probe *probe, void *bytes, size_t size)
{
#if defined(MADV_HUGEPAGE)
  if (probe->huge)
    madvise(bytes, size / PAGE * PAGE, MADV_HUGEPAGE);
#else
  (void)probe, (void)bytes, (void)size;
#endif
}

/* Maps the first bytes of a file, `wanted` at most, as a region. */
static void map_file(read_probe *probe, const char *path, uint64_t wanted)
{
  struct stat about;
  if (probe->n_regions == MAX_REGIONS)
    return;
  int descriptor = open(path, O_RDONLY);
  if (descriptor < 0)
    return;
  if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0) {
    size_t size = (uint64_t)about.st_size < wanted ? (size_t)about.st_size : (size_t)wanted;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes != MAP_FAILED) {
      ask_for_pages(probe, bytes, size);
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

/* Makes every page one of its own, unlike any other: a machine may keep equal ones only once. */
static void fill(unsigned char *bytes, size_t size)
{
  memset(bytes, 1, size);
  for (size_t page = 0; page < size / PAGE; page++)
    memcpy(bytes + page * PAGE, &page, sizeof page);
}

/* Allocates as the library does; a region without bytes if it cannot. */
static region allocate_region(const read_probe *probe, size_t size)
{
  void *bytes = NULL;
  if (posix_memalign(&bytes, probe->huge ? HUGE_PAGE : ALIGNMENT, size) != 0)
    return (region){0};
  ask_for_pages(probe, bytes, size);
  fill(bytes, size);
  return (region){.bytes = bytes, .size = size};
}

int read_probe_new(read_probe *probe, const char *path, uint64_t mapped_size,
                   uint64_t allocated_size, bool huge)
{
  *probe = (read_probe){.huge = huge};
  if (mapped_size > 0)
    map_model(probe, path, mapped_size);
  if (allocated_size > 0 && probe->n_regions < MAX_REGIONS) {
    region allocated = allocate_region(probe, (size_t)allocated_size);
    probe->regions[probe->n_regions++] = allocated;
    probe->size += allocated.size;
  }
  if (probe->size == mapped_size + allocated_size)
    return EXIT_DONE;
  read_probe_free(probe);
  return program_fail(
      "%s: a buffer like its weights (%llu bytes mapped, %llu allocated) cannot be had", path,
      (unsigned long long)mapped_size, (unsigned long long)allocated_size);
}

static size_t weights_size(const read_probe *probe)
{
  size_t size = 0;
  for (int32_t i = 0; i < probe->n_regions; i++)
    size += probe->regions[i].size;
  return size;
}

int read_probe_set_cache(read_probe *probe, uint64_t size)
{
  if (size > probe->cache.size) {
    free((void *)probe->cache.bytes);
    probe->cache = allocate_region(probe, (size_t)size);
    if (probe->cache.size != size)
      return program_fail("out of memory for a buffer like the keys and values: %llu bytes",
                          (unsigned long long)size);
  }
  probe->size = weights_size(probe) + (size_t)size;
  probe->n_passes = 1;
  return EXIT_DONE;
}

void read_probe_free(read_probe *probe)
{
  free((void *)probe->cache.bytes);
  probe->cache = (region){0};
  for (int32_t i = 0; i < probe->n_regions; i++)
    if (probe->regions[i].mapped)
      munmap((void *)probe->regions[i].bytes, probe->regions[i].size);
    else
      free((void *)probe->regions[i].bytes);
  probe->n_regions = 0;
  probe->size = 0;
}
