/* A terminal that is given back whatever happens: the part of a full-screen program that has to run inside a signal
 * handler, where Swift cannot.
 *
 * One terminal per process. Begin and end are called from one thread at a time; what ends the process may come on any. */
#ifndef BONGSU_TERMINAL_H
#define BONGSU_TERMINAL_H

/* Remembers how the terminal `input` is set, turns off echo and line editing, and writes `enter` to `output`. From now on
 * `leave` is written and the settings are put back by bongsu_terminal_end, by exit(3), and by the signals of a crash
 * (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGSYS, SIGQUIT), which then go where they went before.
 * `leave` is copied, at most 255 bytes of it. 0, or the negated errno. */
int bongsu_terminal_begin(int input, int output, const char *enter, const char *leave);

/* Gives the terminal back; a second call does nothing. Safe inside a signal handler. */
void bongsu_terminal_end(void);

#endif
