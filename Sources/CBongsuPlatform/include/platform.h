/* The Linux calls that Swift cannot make itself: variadic or macro-only system calls, the spin hint, compiler fences.
 *
 * Every function but the last is one system call or one instruction. No logic, no state, no allocation.
 * Results: 0 or a descriptor on success, otherwise the negated errno, so that no caller races on errno. */
#ifndef BONGSU_PLATFORM_H
#define BONGSU_PLATFORM_H

/* No _GNU_SOURCE here: it would change structs of the C library that Swift has already imported without it. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/ipmi.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Tells the core that this is a spin loop: saves power and gives the sibling hyperthread room. */
static inline void bongsu_spin_hint(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

/* Keeps the compiler, not the core, from moving a load above an earlier store. */
static inline void bongsu_compiler_fence(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/* Sleeps while *word == expected, at most timeout_ns (negative: for ever).
 * 0 woken (perhaps spuriously), -EAGAIN the value differs, -ETIMEDOUT, -EINTR. */
static inline int bongsu_futex_wait(const void *word, uint32_t expected, int64_t timeout_ns) {
  struct timespec t = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
  long r = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? (struct timespec *)0 : &t, 0, 0);
  return r < 0 ? -errno : 0;
}

/* Wakes at most `waiters` sleepers on word; returns how many. */
static inline int bongsu_futex_wake(const void *word, int waiters) {
  long r = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, waiters, (void *)0, 0, 0);
  return r < 0 ? -errno : (int)r;
}

/* Announces that this process uses the barrier below; 0, or -ENOSYS / -EPERM where the kernel or a filter refuses. */
static inline int bongsu_membarrier_register(void) {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0 ? -errno : 0;
}

/* A full memory barrier on every core that runs a thread of this process (membarrier(2)). */
static inline int bongsu_membarrier(void) {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0 ? -errno : 0;
}

/* A non-blocking, close-on-exec counter descriptor that poll(2) sees as readable while it is above zero. */
static inline int bongsu_eventfd_open(void) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* Makes the descriptor readable. -EAGAIN means that it already is. */
static inline int bongsu_eventfd_signal(int fd) {
  uint64_t one = 1;
  return write(fd, &one, sizeof one) < 0 ? -errno : 0;
}

/* Makes the descriptor unreadable again. -EAGAIN means that it already was. */
static inline int bongsu_eventfd_drain(int fd) {
  uint64_t count;
  return read(fd, &count, sizeof count) < 0 ? -errno : 0;
}

/* A non-blocking, close-on-exec descriptor that is readable once the time set below has come. */
static inline int bongsu_timer_open(void) {
  int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* Sets the time, nanoseconds of CLOCK_BOOTTIME above 0, in place of an earlier one; what is past has come at once. */
static inline int bongsu_timer_set(int fd, int64_t boottime_ns) {
  struct itimerspec time = {.it_value = {.tv_sec = boottime_ns / 1000000000, .tv_nsec = boottime_ns % 1000000000}};
  return timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, (struct itimerspec *)0) < 0 ? -errno : 0;
}

/* Makes the descriptor unreadable until a time is set again. -EAGAIN means that it was. */
static inline int bongsu_timer_drain(int fd) {
  uint64_t count;
  return read(fd, &count, sizeof count) < 0 ? -errno : 0;
}

/* Makes the kernel drop every packet that arrives at this socket from now on: on a listening socket, new connections. */
static inline int bongsu_socket_drop_arrivals(int fd) {
  struct sock_filter code = {.code = BPF_RET | BPF_K, .k = 0};
  struct sock_fprog program = {.len = 1, .filter = &code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

/* Ends the above. -ENOENT when it was not in force. */
static inline int bongsu_socket_accept_arrivals(int fd) {
  int none = 0;
  return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) < 0 ? -errno : 0;
}

/* Binds the calling thread to one core below 1024. */
static inline int bongsu_thread_pin(int core) {
  unsigned long set[1024 / (8 * sizeof(unsigned long))] = {0};
  if (core < 0 || core >= 1024) return -EINVAL;
  set[core / (8 * sizeof *set)] |= 1UL << (core % (8 * sizeof *set));
  return syscall(SYS_sched_setaffinity, 0, sizeof set, set) < 0 ? -errno : 0;
}

/* A close-on-exec descriptor that is readable while one of `signals`, which the caller has blocked, is pending. */
static inline int bongsu_signalfd_open(const sigset_t *signals) {
  int fd = signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* The number of the next pending signal, -EAGAIN when there is none. */
static inline int bongsu_signalfd_take(int fd) {
  struct signalfd_siginfo info;
  long r = read(fd, &info, sizeof info);
  return r < 0 ? -errno : r == (long)sizeof info ? (int)info.ssi_signo : -EIO;
}

/* Hands a command for the management controller of this machine to the kernel; its answer carries the same id. */
static inline int bongsu_ipmi_send(int fd, uint8_t netfn, uint8_t command, long id, const uint8_t *data,
                                   uint16_t length) {
  struct ipmi_system_interface_addr address = {
      .addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE, .channel = IPMI_BMC_CHANNEL, .lun = 0};
  struct ipmi_req request = {.addr = (unsigned char *)&address,
                             .addr_len = sizeof address,
                             .msgid = id,
                             .msg = {.netfn = netfn, .cmd = command, .data_len = length, .data = (unsigned char *)data}};
  return ioctl(fd, IPMICTL_SEND_COMMAND, &request) < 0 ? -errno : 0;
}

/* Takes an answer: its bytes (the completion code first) and id. The number of bytes, -EAGAIN when there is none yet,
 * -EMSGSIZE when it was cut. */
static inline int bongsu_ipmi_receive(int fd, long *id, uint8_t *data, uint16_t capacity) {
  struct ipmi_addr address;
  struct ipmi_recv answer = {
      .addr = (unsigned char *)&address, .addr_len = sizeof address, .msg = {.data = data, .data_len = capacity}};
  if (ioctl(fd, IPMICTL_RECEIVE_MSG_TRUNC, &answer) < 0) return -errno;
  *id = answer.msgid;
  return answer.msg.data_len;
}

/* Names the calling thread as `top -H` and debuggers show it; the kernel keeps the first 15 bytes. */
static inline int bongsu_thread_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0) < 0 ? -errno : 0; }

/* Limits how many arenas the allocator divides memory into, 0 when it cannot. By default each thread has one of its own
 * until there are eight for each core, and what is freed in one is of no use to the others. */
static inline int bongsu_limit_arenas(int most) {
#ifdef __GLIBC__
  return mallopt(M_ARENA_MAX, most);
#else
  return 0;
#endif
}

/* Gives free memory back to the system, also where it lies between memory in use; whether there was any. Takes some
 * milliseconds for each hundred megabytes, in which threads that allocate wait. */
static inline int bongsu_release_free_memory(void) {
#ifdef __GLIBC__
  return malloc_trim(0);
#else
  return 0;
#endif
}

/* Lets go of the mappings of all code and constant data of this process, which lie in files and come back page by page
 * when they are used: what start-up alone needed no longer counts as resident. Returns the bytes that were looked at. */
int64_t bongsu_release_code_pages(void);

#endif
