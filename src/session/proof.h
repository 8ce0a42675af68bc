/*
 * proof.h
 *		The proof that a connection is this session's alone.
 */
#ifndef POOL_PROOF_H
#define POOL_PROOF_H

#include "session/run.h"

extern bool pool_proof_is_plain(const char *sql);
extern bool pool_proof_may_lead(const PoolRun *run);
extern bool pool_proof_send_alone(PoolRun *run);
extern bool pool_proof_send_with_statement(PoolRun *run);
extern PoolProof pool_proof_take(PoolRun *run, PGresult *res);

#endif /* POOL_PROOF_H */
