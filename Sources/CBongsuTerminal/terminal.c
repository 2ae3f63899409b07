#define _GNU_SOURCE
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGSYS, SIGQUIT};
enum { crash_signal_count = sizeof crash_signals / sizeof crash_signals[0] };

static struct termios before;
static struct sigaction handlers_before[crash_signal_count];
static int terminal_input, terminal_output;
static char leave_text[256];
static size_t leave_length;
static atomic_int is_taken;
static int is_prepared;

static void write_all(int output, const char *text, size_t length) {
  while (length > 0) {
    ssize_t written = write(output, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    length -= (size_t)written;
  }
}

void bongsu_terminal_end(void) {
  int error = errno;
  if (atomic_exchange(&is_taken, 0)) {
    write_all(terminal_output, leave_text, leave_length);
    /* Not TCSADRAIN: it would wait for ever for a terminal that takes no more output. */
    tcsetattr(terminal_input, TCSANOW, &before);
  }
  errno = error;
}

static void crashed(int number) {
  bongsu_terminal_end();
  for (int i = 0; i < crash_signal_count; i++)
    if (crash_signals[i] == number) sigaction(number, &handlers_before[i], (struct sigaction *)0);
  /* Blocked while this handler runs: it arrives on return, at whoever handled it before. */
  raise(number);
}

int bongsu_terminal_begin(int input, int output, const char *enter, const char *leave) {
  if (tcgetattr(input, &before) != 0) return -errno;
  terminal_input = input;
  terminal_output = output;
  leave_length = strlen(leave);
  if (leave_length >= sizeof leave_text) leave_length = sizeof leave_text - 1;
  memcpy(leave_text, leave, leave_length);
  if (!is_prepared) {
    is_prepared = 1;
    atexit(bongsu_terminal_end);
    for (int i = 0; i < crash_signal_count; i++) {
      struct sigaction action;
      memset(&action, 0, sizeof action);
      action.sa_handler = crashed;
      /* On the other stack where there is one: an overflow of this one is a crash too. */
      action.sa_flags = SA_ONSTACK;
      sigaction(crash_signals[i], &action, &handlers_before[i]);
    }
  }
  struct termios live = before;
  /* Signals stay on (ISIG): Ctrl-C and Ctrl-Z work even if this program hangs. Ctrl-S does not stop the drawing. */
  live.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
  live.c_iflag &= ~(tcflag_t)(IXON | ICRNL | INLCR);
  live.c_cc[VMIN] = 1;
  live.c_cc[VTIME] = 0;
  atomic_store(&is_taken, 1);
  if (tcsetattr(input, TCSANOW, &live) != 0) {
    int error = errno;
    atomic_store(&is_taken, 0);
    return -error;
  }
  write_all(output, enter, strlen(enter));
  return 0;
}
