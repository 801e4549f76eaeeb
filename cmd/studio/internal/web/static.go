package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"hbar/cmd/studio/internal/runs"
	"hbar/cmd/studio/page"
)

// asset is a file of the page.
type asset struct {
	content []byte
	kind    string
	tag     string
}

// kinds are the types of files by their ending.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// assets are the files of the page by their addresses. A file of another kind is not served.
var assets = func() map[string]asset {
	all := map[string]asset{}
	err := fs.WalkDir(page.Files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || kinds[path.Ext(name)] == "" {
			return err
		}
		b, err := page.Files.ReadFile(name)
		h := sha256.Sum256(b)
		all["/static/"+name] = asset{b, kinds[path.Ext(name)], `"` + hex.EncodeToString(h[:8]) + `"`}
		return err
	})
	if err != nil {
		panic(fmt.Sprint("the embedded files: ", err)) // they are part of the program
	}
	return all
}()

func (s *Server) index(w http.ResponseWriter, r *http.Request) { serve(w, r, "/static/index.html") }

func (s *Server) static(w http.ResponseWriter, r *http.Request) { serve(w, r, r.URL.Path) }

func serve(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := assets[name]
	if !ok {
		fail(w, http.StatusNotFound, "the page has no such file")
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("ETag", a.tag)
	w.Header().Set("Cache-Control", "no-cache") // ask each time whether it has changed
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

// newest are the runs that changed last.
func newest(list []runs.Run, most int) []runs.Run {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b runs.Run) int { return b.Modified.Compare(a.Modified) })
	sorted = sorted[:min(len(sorted), most)]
	slices.SortFunc(sorted, func(a, b runs.Run) int { return strings.Compare(a.Name, b.Name) })
	return sorted
}
