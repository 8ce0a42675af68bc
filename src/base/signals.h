/*
 * signals.h
 *		The signals of background workers that run as long as the server does.
 *
 * Inline, since one of them is in a library of its own, which needs no symbol of
 * this one.
 */
#ifndef POOL_SIGNALS_H
#define POOL_SIGNALS_H

#include <signal.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"

/* Begins to take signals; pg_cancel_backend() is not for these processes. */
static inline void
pool_signals_accept(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
}

/* Does what signals have asked for; called once in each round of the loop. */
static inline void
pool_signals_handle(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ShutdownRequestPending)
		proc_exit(1); /* 1: to be started again, if the server runs */
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

#endif /* POOL_SIGNALS_H */
