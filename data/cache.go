package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hbar/internal/atomicfile"
)

// A cache file keeps the pictures of a folder or an archive as they were decoded: a magic, the length of a JSON header, the
// header, and from the next multiple of 4096 on the bytes, n × height × width × channels. Its name is made of the path of the
// source and of how its pictures were brought to size; its header has the stamp of the source, which changes when the source
// does. A cache file is written whole or not at all, and never changed.
const (
	cacheMagic     = "hbar pictures 1\n"
	cacheAlign     = 4096
	cacheMaxHeader = 1 << 20
	cacheFolder    = "hbar"
)

// NoCache is the value of Options.Cache that decodes anew and keeps nothing.
const NoCache = "none"

type cacheHeader struct {
	Source string `json:"source"`
	Stamp  string `json:"stamp"`
	N      int    `json:"n"`
	Shape  []int  `json:"shape"`
	Notes  []Note `json:"notes,omitempty"`
}

// cached returns the pictures of a source from its cache file, or reads them and leaves them in one. A cache that cannot be
// read or written is no error: the pictures are decoded, and a note says why.
func cached(l *listing, o Options, read func() (*Dataset, error)) (*Dataset, error) {
	path, err := cachePath(l.Name, o)
	if path == "" && err == nil {
		return readUnchanged(l, read)
	}
	stamp := hex.EncodeToString(l.Stamp[:])
	if err == nil {
		if s := readCache(path, stamp); s != nil {
			s.note("decoded", "before, and kept in %s", path)
			return s, nil
		}
	}
	s, rerr := readUnchanged(l, read)
	if rerr != nil {
		return nil, rerr
	}
	if !l.Settled() {
		return s, nil // it was written a moment ago: a further change might not show
	}
	if err == nil {
		err = writeCache(path, cacheHeader{l.Name, stamp, s.N(), s.Shape, s.Notes}, s.Bytes)
	}
	if err != nil {
		s.note("decoded", "and not kept for the next time: %v", err)
	} else {
		s.note("decoded", "and kept in %s", path)
	}
	return s, nil
}

// readUnchanged reads the pictures and sees that the source did not change meanwhile.
func readUnchanged(l *listing, read func() (*Dataset, error)) (*Dataset, error) {
	s, err := read()
	if err == nil {
		if err = l.Unchanged(); err != nil {
			err = fmt.Errorf("data: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// cachePath is the name of the cache file of a source; empty if none is wanted.
func cachePath(name string, o Options) (string, error) {
	dir := o.Cache
	switch dir {
	case NoCache:
		return "", nil
	case "":
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, cacheFolder)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%t", abs, o.Resize, o.Crop))
	return filepath.Join(dir, filepath.Base(abs)+"-"+hex.EncodeToString(key[:8])+".pictures"), nil
}

// readCache is the set of a cache file that has this stamp, or nil.
func readCache(path, stamp string) *Dataset {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	head := make([]byte, len(cacheMagic)+8)
	if _, err := io.ReadFull(f, head); err != nil || !bytes.HasPrefix(head, []byte(cacheMagic)) {
		return nil
	}
	size := binary.LittleEndian.Uint64(head[len(cacheMagic):])
	if size > cacheMaxHeader {
		return nil
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil
	}
	var h cacheHeader
	if json.Unmarshal(text, &h) != nil || h.Stamp != stamp || len(h.Shape) != 3 || h.N < 1 {
		return nil
	}
	d := 1
	for _, v := range h.Shape {
		if v < 1 || v > maxImageBytes/d {
			return nil
		}
		d *= v
	}
	start := aligned(int64(len(head) + len(text)))
	if h.N > maxImageBytes/d || st.Size() != start+int64(h.N)*int64(d) {
		return nil
	}
	b, err := mapFile(f, start, int64(h.N)*int64(d))
	if err != nil {
		return nil
	}
	return &Dataset{D: d, Shape: h.Shape, Bytes: b, Notes: h.Notes}
}

func aligned(n int64) int64 { return (n + cacheAlign - 1) / cacheAlign * cacheAlign }

func writeCache(path string, h cacheHeader, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(text) > cacheMaxHeader {
		return fmt.Errorf("a header of %d bytes", len(text))
	}
	head := append([]byte(cacheMagic), binary.LittleEndian.AppendUint64(nil, uint64(len(text)))...)
	head = append(head, text...)
	head = append(head, make([]byte, aligned(int64(len(head)))-int64(len(head)))...)
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	for _, part := range [][]byte{head, b} {
		if _, err := f.Write(part); err != nil {
			return err
		}
	}
	return f.Commit()
}
