// The part of NCCL that cuda/driver/nccl.c calls, between processes of one machine that each use an emulated device:
// HBAR_LIBNCCL names this library. An all-reduce passes through process 0, which adds up in the order of the ranks, or from
// another rank on with HBAR_EMU_ORDER: NCCL promises no order. Calls that do not match among the ranks, which NCCL would hang on or
// mix up, end the process, as does destroying a communicator that a graph still uses, or that another rank does not destroy within a minute. A process that
// has died is an asynchronous error, or with HBAR_EMU_NCCL_SILENT=1, as on NVLink and in shared memory, nothing is ever heard of it. With
// HBAR_EMU_NCCL_WRONG=1 the sums of float32 numbers that process 1 gets are not those of the others. With HBAR_EMU_NCCL_DIES=5 process 1 ends when its device
// comes to its sum number 5, counted from 0.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include "registry.h"
#include "waiting.h"

enum { SUCCESS = 0, UNHANDLED_CUDA = 1, SYSTEM = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5, REMOTE = 6 };
enum { FLOAT32 = 7, FLOAT64 = 8, SUM = 0 };
struct Id { char bytes[128]; };
struct Name { uint32_t magic, port, nonce; };  // what is in an Id
enum { MAGIC = 0x6e63636c };

static int setting(const char* name, int otherwise) {
  const char* v = getenv(name);
  return v && *v ? atoi(v) : otherwise;
}
static int version() { return setting("HBAR_EMU_NCCL_VERSION", 21805); }
static bool wrong() { static const bool b = setting("HBAR_EMU_NCCL_WRONG", 0); return b; }
static uint64_t dies() { static const int n = setting("HBAR_EMU_NCCL_DIES", -1); return (uint64_t)(int64_t)n; }
static bool silent() { static const bool b = setting("HBAR_EMU_NCCL_SILENT", 0); return b; }

// A connection whose other end has died reads as `dead`.
enum Moved { MORE, ALL, DEAD };
static Moved moved(ssize_t n, size_t size, size_t* done) {
  if (n > 0) return (*done += n) == size ? ALL : MORE;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return MORE;
  return DEAD;
}
static Moved send_some(int fd, const void* p, size_t size, size_t* done) {
  return *done == size ? ALL : moved(send(fd, (const char*)p + *done, size - *done, MSG_DONTWAIT | MSG_NOSIGNAL), size, done);
}
static Moved receive_some(int fd, void* p, size_t size, size_t* done) {
  return *done == size ? ALL : moved(recv(fd, (char*)p + *done, size - *done, MSG_DONTWAIT), size, done);
}
enum { PATIENCE = 60000 };  // ms
static bool whole(int fd, void* p, size_t size, bool sends) {  // waits
  for (size_t done = 0;;) {
    const Moved m = sends ? send_some(fd, p, size, &done) : receive_some(fd, p, size, &done);
    if (m == ALL) return true;
    if (m == DEAD) return false;
    pollfd q = {fd, (short)(sends ? POLLOUT : POLLIN), 0};
    if (poll(&q, 1, PATIENCE) <= 0) return false;
  }
}

struct Comm {
  int rank = 0, size = 0, device = 0;
  std::vector<int> to;  // connections: of rank 0 one to each other rank, of others one, to rank 0
  std::atomic<bool> aborted{false};
  std::atomic<int> error{0};
  uint64_t calls = 0;
  std::vector<std::weak_ptr<int>> captured;  // alive as long as a graph, or what it has enqueued, is
  bool in_graphs() const { for (auto& w : captured) if (!w.expired()) return true; return false; }
};

static std::mutex listening;
static std::vector<std::pair<Name, int>> listeners;

extern "C" {
int ncclGetVersion(int* v) { *v = version(); return SUCCESS; }
const char* ncclGetErrorString(int r) {
  switch (r) {
    case SUCCESS: return "no error";
    case UNHANDLED_CUDA: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case SYSTEM: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case INVALID_ARGUMENT: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case INVALID_USAGE: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case REMOTE: return "remote process exited or there was a network error";
  }
  return "unknown result code";
}
int ncclGetUniqueId(Id* id) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n = sizeof a;
  if (fd < 0 || bind(fd, (sockaddr*)&a, n) || listen(fd, 64) || getsockname(fd, (sockaddr*)&a, &n)) return SYSTEM;
  const Name name = {MAGIC, ntohs(a.sin_port), (uint32_t)getpid() * 2654435761u ^ (uint32_t)(uintptr_t)id};
  memset(id, 0, sizeof *id);
  memcpy(id, &name, sizeof name);
  std::lock_guard<std::mutex> hold(listening);
  listeners.push_back({name, fd});
  return SUCCESS;
}

struct Hello { uint32_t nonce; int rank, size, device; };

static int meet(Comm* c, const Name& name) {  // rank 0
  int fd = -1;
  {
    std::lock_guard<std::mutex> hold(listening);
    for (auto& l : listeners) if (!memcmp(&l.first, &name, sizeof name)) fd = l.second, l.second = -1;
  }
  if (fd < 0) return INVALID_ARGUMENT;
  int result = SUCCESS;
  std::vector<int> devices(c->size, -1);
  devices[0] = c->device;
  c->to.assign(c->size, -1);
  for (int left = c->size - 1; left > 0;) {
    pollfd q = {fd, POLLIN, 0};
    const int other = poll(&q, 1, PATIENCE) > 0 ? accept4(fd, 0, 0, SOCK_CLOEXEC) : -1;
    Hello h;
    if (other < 0) { result = SYSTEM; break; }
    if (!whole(other, &h, sizeof h, false) || h.nonce != name.nonce) { close(other); continue; }
    if (h.size != c->size || h.rank < 1 || h.rank >= c->size || c->to[h.rank] >= 0) { close(other), result = INVALID_ARGUMENT; break; }
    for (int d : devices) if (d == h.device) result = INVALID_USAGE;  // two ranks on one device
    devices[h.rank] = h.device, c->to[h.rank] = other, left--;
  }
  close(fd);
  for (int r = 1; r < c->size; r++) if (c->to[r] >= 0) whole(c->to[r], &result, sizeof result, true);
  return result;
}
static int join(Comm* c, const Name& name) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK), a.sin_port = htons((uint16_t)name.port);
  if (fd < 0 || connect(fd, (sockaddr*)&a, sizeof a)) return SYSTEM;
  c->to = {fd};
  Hello h = {name.nonce, c->rank, c->size, c->device};
  int result = REMOTE;
  if (!whole(fd, &h, sizeof h, true) || !whole(fd, &result, sizeof result, false)) return REMOTE;
  return result;
}
int ncclCommInitRank(Comm** made, int size, Id id, int rank) {
  Name name;
  memcpy(&name, &id, sizeof name);
  if (name.magic != MAGIC || size < 1 || rank < 0 || rank >= size) return INVALID_ARGUMENT;
  std::unique_ptr<Comm> c(new Comm);
  c->rank = rank, c->size = size, c->device = emu::device_in_use();
  if (c->device < 0) return UNHANDLED_CUDA;
  if (int r = rank ? join(c.get(), name) : meet(c.get(), name)) {
    for (int fd : c->to) if (fd >= 0) close(fd);
    return r;
  }
  *made = c.release();
  return SUCCESS;
}
int ncclCommGetAsyncError(Comm* c, int* r) { *r = c->error; return SUCCESS; }
const char* ncclGetLastError(Comm*) { return ""; }
}

// What ranks say to each other before the numbers of an all-reduce, or with the call FAREWELL when they destroy the communicator.
struct Head { uint64_t call, count; int type; };
static const uint64_t FAREWELL = ~0ull;
[[noreturn]] static void deserted(int rank) {
  fprintf(stderr, "emu: ncclCommDestroy would wait for ever: rank %d does not destroy its communicator\n", rank);
  abort();
}
// Waits until all ranks destroy their communicators, or have ended, as NCCL may.
static void part(Comm* c) {
  const auto began = std::chrono::steady_clock::now();
  const auto late = [&] { return std::chrono::steady_clock::now() - began > std::chrono::milliseconds(PATIENCE - 1000); };
  Head h{FAREWELL, 0, 0};
  if (c->rank && !(whole(c->to[0], &h, sizeof h, true) && whole(c->to[0], &h, sizeof h, false)) && late()) deserted(0);
  for (int r = 1; !c->rank && r < c->size; r++)
    if (whole(c->to[r], &h, sizeof h, false) ? h.call != FAREWELL : late()) deserted(r);
  for (int r = 1; !c->rank && r < c->size; r++) whole(c->to[r], &h, sizeof h, true);
}

// One all-reduce, in steps none of which waits.
struct AllReduce {
  Head head;
  Comm* c;
  char* data;
  size_t bytes;
  std::shared_ptr<int> token;  // of a graph
  bool numbered = false;
  int peer = 0;  // rank 0: whom it is about; others: 0
  enum Phase { FIRST_HEAD, FIRST_DATA, ADD, SECOND, END } phase = FIRST_HEAD;
  size_t done = 0;
  Head other{};
  std::vector<std::vector<char>> parts;

  void check() {
    if (other.call == FAREWELL) deserted(0);
    if (other.call == head.call && other.count == head.count && other.type == head.type) return;
    fprintf(stderr, "emu: all-reduce %llu of rank 0 is of %llu numbers of type %d; a rank's all-reduce %llu is of %llu of type %d: the calls of all ranks must match\n",
            (unsigned long long)head.call, (unsigned long long)head.count, head.type, (unsigned long long)other.call, (unsigned long long)other.count, other.type);
    abort();
  }
  template <class T> void add() {
    const int n = c->size, first = setting("HBAR_EMU_ORDER", 0) / 2 % n;
    std::vector<T> sum((const T*)(first ? parts[first].data() : data), (const T*)(first ? parts[first].data() : data) + head.count);
    for (int k = 1; k < n; k++) {
      const int r = (first + k) % n;
      const T* x = (const T*)(r ? parts[r].data() : data);
      for (size_t i = 0; i < head.count; i++) sum[i] += x[i];
    }
    memcpy(data, sum.data(), bytes);
  }
  bool spoil() { memset(data, 0xff, bytes); return true; }  // NaN
  // Whether the message of this phase is through. A death ends the all-reduce.
  bool step(Moved m, bool* dead) {
    if (m == DEAD && !silent()) *dead = true, c->error = REMOTE;
    return m == ALL;
  }
  bool run() {
    if (!numbered) {
      numbered = true, head.call = c->calls++, parts.resize(c->size);
      if (c->rank == 1 && head.call == dies()) _exit(9);
    }
    if (c->aborted || c->error) return spoil();
    return c->rank ? leaf() : hub();
  }
  bool hub() {
    bool dead = false;
    while (phase != END) {
      if (phase == FIRST_HEAD && peer == 0) peer = 1;
      if (phase == FIRST_HEAD && peer == c->size) phase = ADD;
      switch (phase) {
        case FIRST_HEAD:
          if (!step(receive_some(c->to[peer], &other, sizeof other, &done), &dead)) return dead && spoil();
          check();
          phase = FIRST_DATA, done = 0, parts[peer].resize(bytes);
          break;
        case FIRST_DATA:
          if (!step(receive_some(c->to[peer], parts[peer].data(), bytes, &done), &dead)) return dead && spoil();
          phase = FIRST_HEAD, done = 0, peer++;
          break;
        case ADD:
          head.type == FLOAT64 ? add<double>() : add<float>();
          phase = SECOND, peer = 1, done = 0;
          break;
        case SECOND:
          if (peer == c->size) { phase = END; break; }
          if (!step(send_some(c->to[peer], data, bytes, &done), &dead)) return dead && spoil();
          peer++, done = 0;
          break;
        case END: break;
      }
    }
    return true;
  }
  bool leaf() {
    bool dead = false;
    while (phase != END) {
      switch (phase) {
        case FIRST_HEAD:
          if (!step(send_some(c->to[0], &head, sizeof head, &done), &dead)) return dead && spoil();
          phase = FIRST_DATA, done = 0;
          break;
        case FIRST_DATA:
          if (!step(send_some(c->to[0], data, bytes, &done), &dead)) return dead && spoil();
          phase = SECOND, done = 0;
          break;
        case SECOND:
          if (!step(receive_some(c->to[0], data, bytes, &done), &dead)) return dead && spoil();
          if (wrong() && c->rank == 1 && head.type == FLOAT32 && head.count > 2) *(float*)data += 1;
          phase = END;
          break;
        default: break;
      }
    }
    return true;
  }
};

extern "C" {
int ncclAllReduce(const void* from, void* to, size_t count, int type, int op, Comm* c, void* stream) {
  if (from != to || !count || (type != FLOAT32 && type != FLOAT64) || op != SUM) return INVALID_ARGUMENT;  // what hbar calls
  if (c->aborted) return INVALID_USAGE;
  if (c->error) return c->error;
  AllReduce a{};
  a.c = c, a.data = (char*)to, a.bytes = count * (type == FLOAT64 ? 8 : 4);
  a.head.count = count, a.head.type = type;
  if (emu::capturing(stream)) {
    if (version() < 20900) return INVALID_USAGE;
    a.token = std::make_shared<int>(0);
    c->captured.push_back(a.token);
  }
  return emu::enqueue_waiting(stream, to, a.bytes, [a]() mutable { return a.run(); }) ? UNHANDLED_CUDA : SUCCESS;
}
int ncclCommDestroy(Comm* c) {
  if (c->in_graphs()) {
    fprintf(stderr, "emu: ncclCommDestroy would wait forever: a graph with an all-reduce of the communicator still exists\n");
    abort();
  }
  if (!c->error) part(c);
  for (int fd : c->to) if (fd >= 0) close(fd);
  delete c;
  return SUCCESS;
}
int ncclCommAbort(Comm* c) {
  c->aborted = true;
  while (c->in_graphs()) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // as the real one
  for (int fd : c->to) if (fd >= 0) shutdown(fd, SHUT_RDWR);
  return SUCCESS;  // the memory stays: work that is enqueued may still look at it
}
}
