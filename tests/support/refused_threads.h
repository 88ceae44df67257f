/* refused_threads.h - a system that refuses a thread. A test that uses it is linked with it in
 * front of pthread_create: it stands in the table `wrapped` of tests/meson.build. */
#ifndef TESTS_SUPPORT_REFUSED_THREADS_H
#define TESTS_SUPPORT_REFUSED_THREADS_H

/* Of all threads that are asked for from now on, the nth is refused, from 1 on; 0: none. */
void refuse_thread(int nth);

#endif
