/* cpu.c - what the processor can do and how much of it we may use. */
#define _GNU_SOURCE
#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/system_file.h"

/* ---- Instruction sets ---- */

static uint32_t detected;
static pthread_once_t detect_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
/* clang's __builtin_cpu_supports does not know "f16c". */
static bool has_f16c(void)
{
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

static uint32_t hardware_features(void)
{
  uint32_t features = 0;
#if defined(__x86_64__)
  __builtin_cpu_init(); /* asks the operating system, too, whether it saves the registers */
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
    features |= CPU_AVX2;
  if ((features & CPU_AVX2) && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    features |= CPU_AVX512;
  if ((features & CPU_AVX512) && __builtin_cpu_supports("avx512vnni"))
    features |= CPU_AVX512_VNNI;
  if ((features & CPU_AVX512) && __builtin_cpu_supports("avx512bf16"))
    features |= CPU_AVX512_BF16;
  if ((features & CPU_AVX512_BF16) && __builtin_cpu_is("intel"))
    features |= CPU_SLOW_BF16;
#endif
  return features;
}

static void detect(void)
{
  detected = hardware_features();
  const char *mask = getenv("GPT2_CPU");
  if (mask && strcmp(mask, "scalar") == 0)
    detected = 0;
  else if (mask && strcmp(mask, "avx2") == 0)
    detected &= CPU_AVX2;
  else if (mask && strcmp(mask, "avx512") == 0)
    detected &= CPU_AVX2 | CPU_AVX512;
}

uint32_t cpu_features(void)
{
  pthread_once(&detect_once, detect);
  return detected;
}

/* ---- Cores ---- */

/* Whether `cpu` is the first of those allowed that share its core: hyper-threads of a core share
 * its multiplier and count once. Without topology in /sys every processor counts. */
static bool first_of_its_core(int cpu, const cpu_set_t *allowed)
{
  char path[96], text[256];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  if (!read_system_file(path, text, sizeof text))
    return true;
  for (char *at = text; *at;) { /* such as "0,64" or "0-1" */
    char *end;
    long first = strtol(at, &end, 10), last = first;
    if (end == at)
      break;
    if (*end == '-')
      last = strtol(end + 1, &end, 10);
    for (long other = first; other <= last && other < cpu; other++)
      if (other >= 0 && other < CPU_SETSIZE && CPU_ISSET((size_t)other, allowed))
        return false;
    at = *end == ',' ? end + 1 : end;
    if (at == end)
      break;
  }
  return true;
}

static int allowed_cores(void)
{
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
  }
  int cores = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    cores += CPU_ISSET((size_t)cpu, &allowed) && first_of_its_core(cpu, &allowed);
  return cores > 0 ? cores : 1;
}

int cpu_cores(void)
{
  int cores = allowed_cores(), quota = cgroup_cores("/proc/self/cgroup", "/sys/fs/cgroup");
  return quota > 0 && quota < cores ? quota : cores;
}
