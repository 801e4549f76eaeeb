package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hbar/checkpoint"
	"hbar/internal/atomicfile"
)

// Format is the value of Manifest.Format, and changes with what a manifest means.
const Format = "hbar shard 2"

// Manifest says what a shard is.
type Manifest struct {
	Format  string   `json:"format"`
	Command string   `json:"command"` // sample, likelihood, sweep
	Shard   int      `json:"shard"`   // from 0
	Shards  int      `json:"shards"`
	Source  string   `json:"shard_from"` // the option or the launcher's variables that said so
	Items   string   `json:"items"`      // what is numbered: samples, points, parts
	From    int      `json:"from"`       // the shard's items, from ≤ i < to of all n
	To      int      `json:"to"`
	N       int      `json:"n"`
	Name    string   `json:"run,omitempty"` // of one run among several of the command, "h = 0.3"
	Version string   `json:"version"`
	Device  string   `json:"device"`          // cpu or cuda
	Model   string   `json:"model_sha256"`    // of the checkpoint
	Data    string   `json:"data_sha256"`     // of the data, where they are not built in
	Reward  string   `json:"reward_sha256"`   // of the reward's file
	Options Values   `json:"options"`         // those that results depend on
	Args    []string `json:"command_line"`    // as it was, without the shard
	Files   []File   `json:"files,omitempty"` // that it wrote
	// About is what joining needs to know of the items, in the form of the command.
	About json.RawMessage `json:"about,omitempty"`

	path string // where it was read
}

// Values are options by their names.
type Values map[string]string

// File is one that a shard wrote.
type File struct {
	Role   string `json:"role"` // samples, trajectory, times, weights, shown
	Name   string `json:"name"` // as seen from the folder of the manifest
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // of a folder: of its files' names and hashes
}

// Path is where the manifest was read from.
func (m *Manifest) Path() string { return m.path }

// Of is the shard that the manifest is of.
func (m *Manifest) Of() Shard { return Shard{Index: m.Shard, Count: m.Shards} }

// File is the path of the file with that role, "" if there is none.
func (m *Manifest) File(role string) string {
	for _, f := range m.Files {
		if f.Role == role {
			return m.place(f)
		}
	}
	return ""
}

// places are the paths of all files.
func (m *Manifest) places() []string {
	var out []string
	for _, f := range m.Files {
		out = append(out, m.place(f))
	}
	return out
}

func (m *Manifest) place(f File) string {
	if filepath.IsAbs(f.Name) {
		return f.Name
	}
	return filepath.Join(filepath.Dir(m.path), filepath.FromSlash(f.Name))
}

// Add notes a file that has been written.
func (m *Manifest) Add(role, path string) error {
	sum, size, err := hash(path)
	if err != nil {
		return err
	}
	m.Files = append(m.Files, File{Role: role, Name: filepath.Clean(path), Bytes: size, SHA256: sum})
	return nil
}

// Write writes the manifest, after the files that it names.
func (m *Manifest) Write(path string) error {
	for i := range m.Files {
		f := &m.Files[i]
		if rel, err := filepath.Rel(filepath.Dir(path), f.Name); err == nil {
			f.Name = filepath.ToSlash(rel)
		}
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, append(b, '\n'))
}

// Read reads a manifest: a file of one, a result with one under "shard", or for a file or folder that a shard wrote, the manifest beside it.
func Read(path string) (*Manifest, error) {
	if strings.EqualFold(filepath.Ext(path), ".json") {
		return readJSON(path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var other error
	for _, role := range append([]string{""}, besides...) {
		base := filepath.Clean(path)
		if !st.IsDir() {
			base = strings.TrimSuffix(base, filepath.Ext(base))
		}
		beside, ok := strings.CutSuffix(base, role)
		if !ok {
			continue
		}
		m, err := readJSON(beside + ".json")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == filepath.Base(filepath.Clean(path)) }) {
			return m, nil
		}
		if role == "" && len(m.Files) > 0 {
			other = fmt.Errorf("%s is not among the files of %v that %s describes, such as %s", path, m.Of(), m.path, m.places()[0])
		}
	}
	if other != nil {
		return nil, other
	}
	return nil, fmt.Errorf("%s is no shard: %s, which would say of what, is not there; a shard has it once it is complete", path, Beside(path, ".json"))
}

// besides are the endings of a shard's further files, before their extensions.
var besides = []string{"-trajectory", "-times", "-shown", "-weights"}

func readJSON(path string) (*Manifest, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var inside struct {
		Shard json.RawMessage `json:"shard"`
	}
	if err := json.Unmarshal(b, &inside); err != nil && !json.Valid(b) {
		return nil, fmt.Errorf("%s is not whole: %w; run its shard again", path, err)
	} else if err != nil {
		return nil, noShard(path)
	}
	m := &Manifest{}
	if len(inside.Shard) > 0 && inside.Shard[0] == '{' {
		b = inside.Shard
	}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s is no shard of sample, likelihood or sweep as this program writes them: %w", path, err)
	}
	if m.Format != Format {
		if strings.HasPrefix(m.Format, "hbar shard") {
			return nil, fmt.Errorf("%s is a shard of format %q; this program reads %q", path, m.Format, Format)
		}
		return nil, noShard(path)
	}
	m.path = path
	s := m.Of()
	if m.Shards < 1 || m.Shards > most || m.Shard < 0 || m.Shard >= m.Shards || m.N < 1 {
		return nil, fmt.Errorf("%s says that it is %v with %d items, which no shard is", path, s, m.N)
	}
	return m, nil
}

func noShard(path string) error {
	return fmt.Errorf("%s is no shard of sample, likelihood or sweep: it does not say of what it is a part", path)
}

// Follow reads the command line in the manifest with another output. The error is that of the output where the command line alone can be read.
func Follow[Options any](m *Manifest, out string, parse func(args []string) (Options, error)) (Options, error) {
	o, err := parse(append(slices.Clone(m.Args), "--out", out))
	if err != nil {
		if _, alone := parse(m.Args); alone != nil {
			err = fmt.Errorf("the command line of %s in %s cannot be followed here: %v", m.Command, m.path, err)
		}
	}
	return o, err
}

// Verify compares the files with their hashes.
func (m *Manifest) Verify() error {
	for _, f := range m.Files {
		path := m.place(f)
		sum, size, err := hash(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s, of %v, is not there", path, m.Of())
		case err != nil:
			return err
		case size != f.Bytes:
			return fmt.Errorf("%s, of %v, has %d bytes and was written with %d", path, m.Of(), size, f.Bytes)
		case sum != f.SHA256:
			return fmt.Errorf("%s, of %v, is not as it was written: its hash differs from that in %s", path, m.Of(), m.path)
		}
	}
	return nil
}

// Hash is the SHA-256 of a file, or of the names and contents of the files in a folder.
func Hash(path string) (string, error) {
	sum, _, err := hash(path)
	return sum, err
}

func hash(path string) (sum string, size int64, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	if !st.IsDir() {
		h := sha256.New()
		f, err := os.Open(path)
		if err != nil {
			return "", 0, err
		}
		defer f.Close()
		size, err = io.Copy(h, f)
		return hex.EncodeToString(h.Sum(nil)), size, err
	}
	return hashFolder(path, func(string) bool { return true })
}

// hashFolder hashes the files of a folder whose names are wanted.
func hashFolder(path string, wanted func(name string) bool) (sum string, size int64, err error) {
	h := sha256.New()
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !wanted(d.Name()) {
			return err
		}
		inner, n, err := hash(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, name)
		size += n
		fmt.Fprintf(h, "%s %s\n", inner, filepath.ToSlash(rel))
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// HashModel is the hash of a checkpoint: of a file, or of the weights and the descriptions in a folder.
func HashModel(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		sum, _, err := hash(path)
		return sum, err
	}
	sum, _, err := hashFolder(path, checkpoint.IsModelFile)
	return sum, err
}
