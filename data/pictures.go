package data

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"hbar/data/internal/picture"
)

// maxImageBytes bounds the bytes of a set of pictures: 8 GiB.
const maxImageBytes = 1 << 33

// pictures is the decoding of a listing's pictures.
type pictures struct {
	l        *listing
	fit      picture.Fit
	h, w, c  int    // of every picture afterwards
	first    [2]int // height and width of the first before
	out      []byte
	colour   atomic.Bool // a picture has colours where the first had none
	blended  atomic.Bool // a picture has transparent pixels
	decoders []picture.Decoder
}

// readPictures is the pictures of a listing, decoded now or before, with their labels.
func readPictures(l *listing, o Options) (*Dataset, error) {
	s, err := cached(l, o, func() (*Dataset, error) { return decodePictures(l, o) })
	if err != nil {
		return nil, err
	}
	if o.Labels == "" {
		if err := l.label(s, l.pictures); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	if len(l.others) > 0 {
		s.note("left out", "files of other kinds: %s", strings.Join(l.others, ", "))
	}
	return s, nil
}

// decodePictures decodes the pictures of a listing.
func decodePictures(l *listing, o Options) (*Dataset, error) {
	p := &pictures{l: l, fit: picture.Fit{Side: o.Resize, Crop: o.Crop}}
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	for {
		if err := p.decodeAll(); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		if !p.colour.Load() || p.c == 3 {
			break
		}
		p.c = 3 // grey ones before one with colours: all get three channels
	}
	s := &Dataset{D: p.h * p.w * p.c, Shape: []int{p.h, p.w, p.c}, Bytes: p.out}
	if p.blended.Load() {
		s.note("pixels", "transparent ones are laid over white")
	}
	return s, nil
}

// start takes the size of all pictures from the first.
func (p *pictures) start() error {
	name := p.l.Name + ": " + p.l.Files[p.l.pictures[0]].Path
	b, err := p.l.Read(p.l.pictures[0])
	if err != nil {
		return err
	}
	var d picture.Decoder
	m, err := d.Decode(b)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.first, p.c = [2]int{m.H, m.W}, m.Channels
	if p.h, p.w, err = p.fit.Size(p.first[0], p.first[1]); err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	return nil
}

func (p *pictures) decodeAll() error {
	n, d := len(p.l.pictures), p.h*p.w*p.c
	if n > maxImageBytes/d {
		return fmt.Errorf("%s holds %d pictures of %d×%d×%d; at most 2³³ bytes are read (--resize N makes them smaller)", p.l.Name, n, p.h, p.w, p.c)
	}
	workers := runtime.GOMAXPROCS(0)
	p.out = make([]byte, n*d)
	p.decoders = make([]picture.Decoder, workers)
	return p.l.Each(p.l.pictures, workers, func(worker, k int, b []byte) error {
		if p.colour.Load() && p.c == 1 {
			return nil // decoded again
		}
		return p.decode(worker, k, b)
	})
}

// decode is picture k.
func (p *pictures) decode(worker, k int, b []byte) error {
	m, err := p.decoders[worker].Decode(b)
	if err != nil {
		return err
	}
	if m.Channels == 3 && p.c == 1 {
		p.colour.Store(true)
		return nil
	}
	if m.Blended && !p.blended.Load() {
		p.blended.Store(true)
	}
	if h, w, err := p.fit.Size(m.H, m.W); err != nil {
		return err
	} else if h != p.h || w != p.w {
		return fmt.Errorf("has %d×%d pixels, but %s has %d×%d; all must have one size (--resize N makes them so, with --crop if they are not square)",
			m.W, m.H, p.l.Files[p.l.pictures[0]].Path, p.first[1], p.first[0])
	}
	d := p.h * p.w * p.c
	p.fit.Bytes(p.out[k*d:(k+1)*d], m.WithChannels(p.c), m.H, m.W, p.c)
	return nil
}

// resize brings the images of an array to a size, as pictures are.
func (s *Dataset) resize(f picture.Fit) error {
	if f == (picture.Fit{}) {
		return nil
	}
	if s.Bytes == nil || len(s.Shape) != 3 || s.Shape[2] > 3 || s.Shape[2] == 2 {
		return fmt.Errorf("samples of shape %v cannot be resized or cropped; want images of bytes with 1 or 3 channels", s.Shape)
	}
	h0, w0, c := s.Shape[0], s.Shape[1], s.Shape[2]
	h, w, err := f.Size(h0, w0)
	if err != nil {
		return fmt.Errorf("the images %w", err)
	}
	n, d := s.N(), h*w*c
	if n > maxImageBytes/d {
		return fmt.Errorf("%d images of %d×%d×%d; at most 2³³ bytes are read", n, h, w, c)
	}
	out := make([]byte, n*d)
	parallel(n, func(i int) { f.Bytes(out[i*d:(i+1)*d], s.Bytes[i*s.D:(i+1)*s.D], h0, w0, c) })
	s.Bytes, s.D, s.Shape = out, d, []int{h, w, c}
	return nil
}

// parallel calls do with 0 … n−1 on all cores.
func parallel(n int, do func(i int)) {
	workers := runtime.GOMAXPROCS(0)
	done := make(chan bool, workers)
	var next atomic.Int64
	for range workers {
		go func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
			done <- true
		}()
	}
	for range workers {
		<-done
	}
}
