// NCCL as nccl.go calls it; see nccl.c. Results are ncclResult_t, 0 for success.
#pragma once
#include <stddef.h>
int nccl_open(void);              // whether there is a library
const char *nccl_message(void);   // why not
int nccl_version(int *version);
int nccl_unique_id(char id[128]);
int nccl_init(void **comm, int size, const char *id, int rank);
int nccl_all_reduce(void *buffer, size_t count, int doubles, void *comm, void *stream);
int nccl_async_error(void *comm, int *error);
int nccl_abort(void *comm);
int nccl_destroy(void *comm);
const char *nccl_text(int result);
const char *nccl_last_error(void *comm); // "" where the library does not say
