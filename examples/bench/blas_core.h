/* blas_core.h - whether BLAS makes the most of this processor. */
#ifndef BENCH_BLAS_CORE_H
#define BENCH_BLAS_CORE_H

/* Says so on standard error when OpenBLAS runs kernels that are older than the processor: what is
 * judged by its products then looks better than it is. */
void warn_of_old_blas_kernels(void);

#endif
