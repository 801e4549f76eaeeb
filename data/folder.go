package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hbar/data/internal/files"
	"hbar/data/internal/picture"
)

// datasetJSON names the labels of the pictures of a folder or an archive, as EDM and StyleGAN have it:
// {"labels": [["a/1.png", 3], …]}.
const datasetJSON = "dataset.json"

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// isFolderLike reports whether a path is that of a folder or an archive of files.
func isFolderLike(name string) bool { return files.IsArchive(name) || isDir(name) }

// listing is what a folder or an archive holds, by kinds.
type listing struct {
	*files.Set
	pictures, sounds, batches []int // indices of files
	labels                    int   // of dataset.json; −1: there is none
	others                    []string
}

func list(name string) (*listing, error) {
	set, err := files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	l := &listing{Set: set, labels: -1}
	root := commonFolder(set.Files)
	for i, f := range set.Files {
		switch {
		case picture.IsPicture(f.Path):
			l.pictures = append(l.pictures, i)
		case isWav(f.Path):
			l.sounds = append(l.sounds, i)
		case isBatch(path.Base(f.Path)):
			l.batches = append(l.batches, i)
		case f.Path == datasetJSON || f.Path == path.Join(root, datasetJSON):
			l.labels = i
		default:
			if !slices.Contains(l.others, path.Ext(f.Path)) {
				l.others = append(l.others, path.Ext(f.Path))
			}
		}
	}
	return l, nil
}

// readFolder reads what a folder or an archive holds: pictures, sounds, or CIFAR's batches.
func readFolder(name string, o Options) (*Dataset, error) {
	l, err := list(name)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	kinds := 0
	for _, k := range [][]int{l.pictures, l.sounds, l.batches} {
		kinds += min(len(k), 1)
	}
	switch {
	case kinds > 1:
		return nil, fmt.Errorf("data: %s holds %d pictures, %d sounds and %d CIFAR batches; want one kind", name, len(l.pictures), len(l.sounds), len(l.batches))
	case len(l.pictures) > 0:
		return readPictures(l, o)
	case len(l.sounds) > 0:
		return readSounds(l, o)
	case len(l.batches) > 0:
		return readBatches(l, o)
	case len(l.Files) == 0:
		return nil, fmt.Errorf("data: %s is empty; want PNG or JPEG pictures, .wav sounds, or CIFAR-10's data_batch_*.bin", name)
	}
	return nil, fmt.Errorf("data: %s holds no PNG or JPEG pictures, no .wav sounds and none of CIFAR-10's data_batch_*.bin, but %d other files, such as %s",
		name, len(l.Files), l.Files[0].Path)
}

// commonFolder is the folder that all files are in, perhaps several deep, or "".
func commonFolder(fs []files.File) string {
	if len(fs) == 0 {
		return ""
	}
	common := path.Dir(fs[0].Path)
	for _, f := range fs {
		for common != "." && !strings.HasPrefix(f.Path, common+"/") {
			common = path.Dir(common)
		}
	}
	if common == "." {
		return ""
	}
	return common
}

// label gives the set the labels that the listing carries: those of dataset.json, else the names of the sub-folders, if every
// file is in one and there are at least two. each are the indices of the files.
func (l *listing) label(s *Dataset, each []int) error {
	if l.labels >= 0 {
		return l.labelFromJSON(s, each)
	}
	of := make([]files.File, len(each))
	for k, i := range each {
		of[k] = l.Files[i]
	}
	root := commonFolder(of)
	if root != "" {
		root += "/"
	}
	names := make([]string, len(each))
	for k, f := range of {
		folder, _, ok := strings.Cut(strings.TrimPrefix(f.Path, root), "/")
		if !ok {
			return nil
		}
		names[k] = folder
	}
	labels, classes := numberNames(names)
	if len(classes) < 2 {
		return nil
	}
	return s.setLabels(labels, classes)
}

func (l *listing) labelFromJSON(s *Dataset, each []int) error {
	where := l.Name + ": " + l.Files[l.labels].Path
	b, err := l.Read(l.labels)
	if err != nil {
		return err
	}
	var list struct {
		Labels []labelled `json:"labels"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if list.Labels == nil {
		return nil // "labels": null says that there are none
	}
	root := path.Dir(l.Files[l.labels].Path)
	byPath := make(map[string]float64, len(list.Labels))
	for _, e := range list.Labels {
		byPath[path.Join(root, filepath.ToSlash(e.path))] = e.label
	}
	labels := make([]float64, len(each))
	for k, i := range each {
		v, ok := byPath[l.Files[i].Path]
		if !ok {
			return fmt.Errorf("%s has no label for %s (%d labels for %d pictures)", where, l.Files[i].Path, len(list.Labels), len(each))
		}
		labels[k] = v
	}
	if err := s.setLabels(labels, nil); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// labelled is an entry ["path", number] of dataset.json.
type labelled struct {
	path  string
	label float64
}

func (e *labelled) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) != 2 {
		return errors.New(`an entry of "labels" is not of the form ["path", number]`)
	}
	// Unmarshal leaves a value alone that null is to be written to: the label would be 0.
	null := slices.ContainsFunc(parts, func(part json.RawMessage) bool { return string(bytes.TrimSpace(part)) == "null" })
	if null || json.Unmarshal(parts[0], &e.path) != nil || json.Unmarshal(parts[1], &e.label) != nil {
		return fmt.Errorf(`entry %.40q of "labels" is not of the form ["path", number]`, b)
	}
	return nil
}
