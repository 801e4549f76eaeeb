package samples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"runtime"
	"sync"

	"hbar/internal/atomicfile"
)

// pictures writes a folder of PNG files, 000000.png and so on, and their labels as dataset.json, in the form of EDM and StyleGAN:
// read back, the samples have their order and their labels.
type pictures struct {
	rows
	dir *atomicfile.Dir
	sem chan bool // as many as may be encoded at a time
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

func createPictures(path string, o Options) (*pictures, error) {
	if !o.IsImage() {
		return nil, fmt.Errorf("samples of shape %v are no pictures; want height × width × 1 or 3 channels", o.Shape)
	}
	dir, err := atomicfile.CreateDir(path)
	if err != nil {
		return nil, err
	}
	w := &pictures{dir: dir, sem: make(chan bool, 2*runtime.GOMAXPROCS(0))}
	w.rows = rows{o: o, take: w.sample}
	return w, nil
}

// fileName is that of sample i; all are equally long.
func fileName(i, n int, ending string) string {
	return fmt.Sprintf("%0*d%s", max(6, len(fmt.Sprint(n-1))), i, ending)
}

func (w *pictures) sample(i int, x []float64) error {
	b := make([]byte, len(x))
	for k, v := range x {
		b[k] = w.o.toByte(v)
	}
	w.sem <- true
	w.wg.Go(func() {
		defer func() { <-w.sem }()
		file, err := EncodePNG(b, w.o.Shape)
		if err == nil {
			err = w.dir.WriteFile(fileName(i, w.o.N, ".png"), file)
		}
		if err != nil {
			w.fail(err)
		}
	})
	return w.failure()
}

func (w *pictures) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *pictures) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Commit writes the labels and gives the folder its name.
func (w *pictures) Commit() error {
	w.wg.Wait()
	err := w.failure()
	if err == nil {
		err = w.complete()
	}
	if err == nil {
		err = writeLabels(w.dir, w.o, ".png")
	}
	if err == nil {
		err = w.dir.Commit()
	}
	if err != nil {
		w.Abort()
		return fmt.Errorf("samples: %w", err)
	}
	return nil
}

// writeLabels writes dataset.json, if there are labels.
func writeLabels(dir *atomicfile.Dir, o Options, ending string) error {
	if o.Label == nil {
		return nil
	}
	list := struct {
		Labels [][2]any `json:"labels"`
	}{}
	for i := range o.N {
		list.Labels = append(list.Labels, [2]any{fileName(i, o.N, ending), o.Label(i)})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return dir.WriteFile("dataset.json", b)
}

// Abort discards the folder.
func (w *pictures) Abort() {
	w.wg.Wait()
	w.dir.Abort()
}

// EncodePNG is a PNG file of height × width × 1 or 3 bytes.
func EncodePNG(b []byte, shape []int) ([]byte, error) {
	h, w, c := shape[0], shape[1], shape[2]
	var m image.Image
	if c == 1 {
		m = &image.Gray{Pix: b, Stride: w, Rect: image.Rect(0, 0, w, h)}
	} else {
		p := image.NewNRGBA(image.Rect(0, 0, w, h))
		for k := range h * w {
			copy(p.Pix[4*k:], b[3*k:3*k+3])
			p.Pix[4*k+3] = 0xff
		}
		m = p
	}
	var out bytes.Buffer
	err := png.Encode(&out, m)
	return out.Bytes(), err
}
