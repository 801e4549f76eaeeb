package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"hbar/checkpoint"
	"hbar/cmd/studio/internal/runs"
)

// keptOpen is how many checkpoints stay open when nobody uses them.
const keptOpen = 4

// Cache opens checkpoints below a store. Its methods may be called concurrently.
type Cache struct {
	store   *runs.Store
	workers int
	budget  budget

	mu      sync.Mutex
	entries map[string]*entry
	uses    uint64
}

// entry is the place of one file.
type entry struct {
	used uint64        // under Cache.mu
	lock chan struct{} // holds a value while the file is looked at
	gone bool          // under lock: the entry has made room, and nothing would close what is opened in it
	file fs.FileInfo
	open *Checkpoint // nil: not yet, or not readable
}

// NewCache makes a cache. workers is the number of goroutines of each computation; 0: one for each core.
func NewCache(store *runs.Store, workers int) *Cache {
	return &Cache{store: store, workers: workers, entries: map[string]*entry{}}
}

// Get opens a checkpoint, or returns the open one if its file is the same as before. The caller calls Release when done.
func (c *Cache) Get(ctx context.Context, run, file string) (*Checkpoint, error) {
	if file == "" || strings.ContainsAny(file, "/\\") || !strings.EqualFold(path.Ext(file), ".safetensors") {
		return nil, fmt.Errorf("%.100q is no checkpoint; want the name of a .safetensors file in the run", file)
	}
	name := path.Join(run, file)
	e, err := c.hold(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { <-e.lock }()
	f, st, err := c.store.OpenFile(name)
	if err != nil {
		c.forget(e)
		return nil, err
	}
	defer f.Close()
	if e.open != nil && os.SameFile(e.file, st) && e.file.Size() == st.Size() && e.file.ModTime().Equal(st.ModTime()) {
		e.open.refer()
		return e.open, nil
	}
	c.forget(e)
	m, id, err := read(ctx, f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	o := &Checkpoint{ID: id, Path: c.store.Path(run, file), Model: m, workers: c.workers, budget: &c.budget, refs: 1}
	o.describe()
	e.file, e.open = st, o
	o.refer()
	return o, nil
}

// hold locks the place of a file. A place that made room before it was locked is not the file's any more.
func (c *Cache) hold(ctx context.Context, name string) (*entry, error) {
	for {
		e := c.entry(name)
		select {
		case e.lock <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !e.gone {
			return e, nil
		}
		<-e.lock
	}
}

// entry is the place of a file. The one that was used longest ago makes room.
func (c *Cache) entry(name string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[name]
	if e == nil {
		if len(c.entries) >= keptOpen {
			oldest := ""
			for k, v := range c.entries {
				if oldest == "" || v.used < c.entries[oldest].used {
					oldest = k
				}
			}
			old := c.entries[oldest]
			delete(c.entries, oldest)
			go func() { // whoever looks at the file may take a while
				old.lock <- struct{}{}
				c.forget(old)
				old.gone = true
				<-old.lock
			}()
		}
		e = &entry{lock: make(chan struct{}, 1)}
		c.entries[name] = e
	}
	c.uses++
	e.used = c.uses
	return e
}

// forget gives up the cache's own use of a checkpoint. The caller holds the entry's lock.
func (c *Cache) forget(e *entry) {
	if e.open != nil {
		e.open.Release()
		e.open, e.file = nil, nil
	}
}

// Close closes what nobody uses.
func (c *Cache) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		e.lock <- struct{}{}
		c.forget(e)
		e.gone = true
		<-e.lock
	}
	clear(c.entries)
}

// Open is the number of checkpoints that are open.
func (c *Cache) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// read reads a checkpoint and the hash of its file.
func read(ctx context.Context, r io.Reader, size int64) (*checkpoint.Model, string, error) {
	h := sha256.New()
	m, err := checkpoint.Read(io.TeeReader(contextReader{ctx, r}, h), size)
	if err != nil {
		if e := ctx.Err(); e != nil {
			return nil, "", e
		}
		return nil, "", errors.New(strings.TrimPrefix(err.Error(), "checkpoint: "))
	}
	return m, hex.EncodeToString(h.Sum(nil))[:16], nil
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
