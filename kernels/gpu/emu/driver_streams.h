// Streams, captures, graphs and events: a part of driver.cc.
#pragma once

// --- streams, captures, graphs

typedef std::function<void()> Op;
// What an op throws that waits for another process, when the caller does not: it stays at the front of its queue.
struct NotYet {};
static bool impatient;
struct Impatient {
  const bool before = impatient;
  Impatient() { impatient = true; }
  ~Impatient() { impatient = before; }
};
// A node of a graph runs after others. Its branch is 0 on the stream where the capture began, and another number on each stream
// that joined.
struct Node { Op f; std::vector<int> after; int branch; };
struct Stream;
struct Graph {
  std::vector<Node> nodes;
  Stream* origin = nullptr;
  std::vector<Stream*> joined;
  bool broken = false;
  std::thread::id owner;
};
struct Stream {
  bool blocking = true;  // the legacy stream and it wait for each other
  std::deque<Op> queue;
  uint64_t enqueued = 0, done = 0;
  Graph* capture = nullptr;
  std::vector<int> tail;  // of the capture: the nodes that the next one runs after
};
static Stream legacy;
static std::set<Stream*> streams;
static std::set<Graph*> graphs, captures;
static bool valid(Stream*& s) { if (!s) s = &legacy; return s == &legacy || streams.count(s); }
static void run_to(Stream* s, uint64_t ticket) {
  while (s->done < ticket) {
    s->queue.front()();
    s->queue.pop_front();
    s->done++;
  }
}
static void finish(Stream* s) { run_to(s, s->enqueued); }
static void finish_all() { for (Stream* s : streams) finish(s); finish(&legacy); }
static void finish_legacy() {  // what a call on the legacy stream waits for: not the streams made as non-blocking
  for (Stream* s : streams) if (s->blocking) finish(s);
  finish(&legacy);
}
static bool at_once() { static const bool b = env_size("HBAR_EMU_ORDER", 0) & 1; return b; }
static size_t queue_room() { static const size_t n = env_size("HBAR_EMU_QUEUE", SIZE_MAX); return n; }
static R enqueue(Stream* s, Op f) {
  if (Graph* g = s->capture) {
    if (g->broken) return CAPTURE_INVALIDATED;
    const int branch = s == g->origin ? 0 : 1 + int(std::find(g->joined.begin(), g->joined.end(), s) - g->joined.begin());
    g->nodes.push_back(Node{std::move(f), s->tail, branch});
    s->tail = {int(g->nodes.size()) - 1};
    return OK;
  }
  while (s->queue.size() >= queue_room()) run_to(s, s->done + 1);  // the caller waits, as for a driver whose queue is full
  s->queue.push_back(std::move(f)), s->enqueued++;
  if (s == &legacy) finish(s);
  else if (at_once()) {
    Impatient now;
    try { finish(s); } catch (NotYet&) {}
  }
  return sticky;
}
// What may not be done while this thread captures a stream; it ends the capture.
static bool refuse() {
  bool any = false;
  for (Stream* s : streams)
    if (s->capture && s->capture->owner == std::this_thread::get_id()) s->capture->broken = any = true;
  return any;
}
#define NO_CAPTURE if (refuse()) return CAPTURE_UNSUPPORTED
#define STREAM(s) if (!valid(s)) return INVALID_HANDLE

API cuStreamCreate(Stream** s, unsigned flags) {
  CONTEXT;
  *s = new Stream;
  (*s)->blocking = !(flags & 1);
  streams.insert(*s);
  return OK;
}
API cuStreamDestroy_v2(Stream* s) {
  CONTEXT;
  if (!streams.count(s)) return INVALID_HANDLE;
  if (s->capture) return CAPTURE_UNSUPPORTED;
  finish(s);
  streams.erase(s);
  delete s;
  return OK;
}
API cuStreamSynchronize(Stream* s) {
  CONTEXT;
  STREAM(s);
  if (s->capture) { s->capture->broken = true; return CAPTURE_UNSUPPORTED; }
  finish(s);
  return sticky;
}
API cuStreamQuery(Stream* s) {
  ENTER;
  Impatient now;
  try { return cuStreamSynchronize(s); } catch (NotYet&) { return NOT_READY; }
}
API cuStreamBeginCapture_v2(Stream* s, int) {
  CONTEXT;
  STREAM(s);
  if (s == &legacy) return CAPTURE_UNSUPPORTED;
  if (s->capture) return ILLEGAL_STATE;
  captures.insert(s->capture = new Graph), s->tail.clear();
  s->capture->origin = s, s->capture->owner = std::this_thread::get_id();
  return OK;
}
// Whether all that a stream has captured runs before what the capture's first stream would capture next.
static bool rejoined(const Graph* g, const Stream* s) {
  std::vector<char> before(g->nodes.size());
  for (int i : g->origin->tail) before[i] = 1;
  for (int i = int(g->nodes.size()) - 1; i >= 0; i--)
    if (before[i]) for (int k : g->nodes[i].after) before[k] = 1;
  for (int i : s->tail) if (!before[i]) return false;
  return true;
}
API cuStreamEndCapture(Stream* s, Graph** g) {
  CONTEXT;
  STREAM(s);
  *g = nullptr;
  Graph* made = s->capture;
  if (!made) return ILLEGAL_STATE;
  if (made->owner != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
  if (made->origin != s) { made->broken = true; return CAPTURE_UNMATCHED; }
  R r = made->broken ? CAPTURE_INVALIDATED : OK;
  for (Stream* j : made->joined) {
    if (!r && !rejoined(made, j)) r = CAPTURE_UNJOINED;
    j->capture = nullptr, j->tail.clear();
  }
  s->capture = nullptr, s->tail.clear();
  captures.erase(made);
  if (r) { delete made; return r; }
  graphs.insert(*g = made);
  return OK;
}
API cuGraphInstantiateWithFlags(Graph** e, Graph* g, unsigned long long) {
  CONTEXT;
  if (!graphs.count(g)) return INVALID_VALUE;
  graphs.insert(*e = new Graph(*g));
  return OK;
}
// The nodes in an order that their edges allow: what was captured on other streams as late as possible, or with an odd
// HBAR_EMU_ORDER as early as possible.
static std::vector<int> ordered(const Graph* g) {
  std::vector<int> order, waits(g->nodes.size());
  std::vector<std::vector<int>> next(g->nodes.size());
  std::set<std::pair<int, int>> ready;
  const int sign = at_once() ? -1 : 1;
  for (size_t i = 0; i < g->nodes.size(); i++) {
    waits[i] = int(g->nodes[i].after.size());
    for (int k : g->nodes[i].after) next[k].push_back(int(i));
    if (!waits[i]) ready.insert({sign * g->nodes[i].branch, int(i)});
  }
  while (!ready.empty()) {
    const int i = ready.begin()->second;
    ready.erase(ready.begin());
    order.push_back(i);
    for (int k : next[i]) if (!--waits[k]) ready.insert({sign * g->nodes[k].branch, k});
  }
  return order;
}
API cuGraphLaunch(Graph* e, Stream* s) {
  CONTEXT;
  STREAM(s);
  if (!graphs.count(e)) return INVALID_VALUE;
  for (int i : ordered(e))
    if (R r = enqueue(s, e->nodes[i].f)) return r;
  return OK;
}
API cuGraphDestroy(Graph* g) {
  ENTER;
  if (!graphs.erase(g)) return INVALID_VALUE;
  delete g;
  return OK;
}
API cuGraphExecDestroy(Graph* g) { return cuGraphDestroy(g); }

// --- events

struct Event {
  bool timed, recorded = false, captured = false;
  Stream* on = nullptr;
  uint64_t ticket = 0;
  std::chrono::steady_clock::time_point at;
  Graph* in = nullptr;  // captured: the graph, and the nodes before the event
  std::vector<int> nodes;
};
static std::map<Event*, std::shared_ptr<Event>> events;
#define EVENT(e) if (!events.count(e)) return INVALID_HANDLE
static void reach(Event* e) { if (e->recorded && (e->on == &legacy || streams.count(e->on))) run_to(e->on, e->ticket); }
API cuEventCreate(Event** e, unsigned flags) {
  CONTEXT;
  auto p = std::make_shared<Event>();
  p->timed = !(flags & 2);
  events[*e = p.get()] = p;
  return OK;
}
API cuEventDestroy_v2(Event* e) { CONTEXT; return events.erase(e) ? OK : INVALID_HANDLE; }
API cuEventRecord(Event* e, Stream* s) {
  CONTEXT;
  STREAM(s);
  EVENT(e);
  auto p = events[e];  // a destroyed event's record still runs
  if ((e->captured = s->capture)) {
    e->recorded = true, e->in = s->capture, e->nodes = s->tail;
    return s->capture->broken ? CAPTURE_INVALIDATED : OK;
  }
  e->recorded = true, e->on = s, e->ticket = s->enqueued + 1;
  return enqueue(s, [=] { p->at = std::chrono::steady_clock::now(); });
}
API cuEventSynchronize(Event* e) {
  CONTEXT;
  EVENT(e);
  if (e->captured) { refuse(); return CAPTURED_EVENT; }
  reach(e);
  return sticky;
}
API cuEventQuery(Event* e) {
  ENTER;
  Impatient now;
  try { return cuEventSynchronize(e); } catch (NotYet&) { return NOT_READY; }
}
API cuEventElapsedTime(float* ms, Event* a, Event* b) {
  CONTEXT;
  EVENT(a);
  EVENT(b);
  if (a->captured || b->captured) return CAPTURED_EVENT;
  if (!a->recorded || !b->recorded || !a->timed || !b->timed) return INVALID_HANDLE;
  if (b->on->done < b->ticket || a->on->done < a->ticket) return NOT_READY;
  *ms = std::chrono::duration<float, std::milli>(b->at - a->at).count();
  return OK;
}
API cuStreamWaitEvent(Stream* s, Event* e, unsigned) {
  CONTEXT;
  STREAM(s);
  EVENT(e);
  if (!e->recorded && !s->capture) return OK;
  if (e->captured && captures.count(e->in)) {  // the stream joins the capture, or one branch of it waits for another
    if (!s->capture && s != &legacy) s->capture = e->in, e->in->joined.push_back(s), s->tail.clear();
    if (s->capture != e->in) { refuse(); return CAPTURE_MERGE; }
    for (int i : e->nodes)
      if (std::find(s->tail.begin(), s->tail.end(), i) == s->tail.end()) s->tail.push_back(i);
    return OK;
  }
  if (s->capture) { refuse(); return CAPTURE_ISOLATION; }
  if (e->captured) return CAPTURED_EVENT;
  Event now = *e;
  return enqueue(s, [now]() mutable { reach(&now); });
}
