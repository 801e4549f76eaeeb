package samples

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"hbar/internal/atomicfile"
)

// text writes windows of characters in UTF-8, each followed by the end of a line, whether or not there are ends of lines in it.
type text struct {
	rows
	f   *atomicfile.File
	buf *bufio.Writer
}

func createText(path string, o Options) (*text, error) {
	if err := o.checkText(); err != nil {
		return nil, err
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return nil, err
	}
	w := &text{f: f, buf: bufio.NewWriterSize(f, 1<<16)}
	w.rows = rows{o: o, take: w.sample}
	return w, nil
}

func (o Options) checkText() error {
	switch {
	case o.Alphabet == nil:
		return errors.New("text is written for networks that were trained on text, and this is none; have .npy, .csv, .npz, .wav, /")
	case len(o.Shape) != 2 || o.Shape[1] != o.Alphabet.Bits():
		return fmt.Errorf("samples of shape %v are no characters of %d bits", o.Shape, o.Alphabet.Bits())
	}
	return nil
}

func (w *text) sample(_ int, x []float64) error {
	if _, err := w.buf.WriteString(w.o.Alphabet.Text(x)); err != nil {
		return err
	}
	return w.buf.WriteByte('\n')
}

// Commit gives the file its name.
func (w *text) Commit() error {
	err := w.complete()
	return commit(w.f, w.buf, err)
}

// Abort discards the file.
func (w *text) Abort() { w.f.Abort() }

// joinText joins files of windows.
func joinText(path string, parts []Part, o Options) error {
	if err := o.checkText(); err != nil {
		return err
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	w := bufio.NewWriterSize(f, 1<<16)
	for _, p := range parts {
		err := withFile(p.Path, func(r *bufio.Reader) error { return copyCharacters(w, r, p.N*(o.Shape[0]+1)) })
		if err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Commit()
}

// copyCharacters copies a text, which must have n characters.
func copyCharacters(w *bufio.Writer, r *bufio.Reader, n int) error {
	for i := 0; ; i++ {
		c, size, err := r.ReadRune()
		switch {
		case err == io.EOF && i == n:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%d characters; want %d", i, n)
		case err != nil:
			return err
		case c == utf8.RuneError && size == 1:
			return fmt.Errorf("character %d is not UTF-8", i)
		}
		if _, err := w.WriteRune(c); err != nil {
			return err
		}
	}
}
