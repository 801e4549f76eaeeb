package data

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"hbar/kernels"
)

// icons is n PNG files of 32×32 colour pictures: smooth shapes with some noise, which is what deflate meets in icons and photographs.
func icons(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		r := kernels.NewSource(uint64(i), kernels.StreamData, 0)
		m := image.NewNRGBA(image.Rect(0, 0, 32, 32))
		var corners [8 * 8 * 3]byte
		for k := range corners {
			corners[k] = byte(r.Uint64() >> 56)
		}
		for y := range 32 {
			for x := range 32 {
				p := m.Pix[m.PixOffset(x, y):]
				for c := range 3 {
					p[c] = corners[(y/4*8+x/4)*3+c]/2 + byte(r.Uint64()>>60)
				}
				p[3] = 255
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			panic(err)
		}
		out[i] = b.Bytes()
	}
	return out
}

const benchmarkPictures = 20000

// BenchmarkDecodeAlone is Go's decoder on all cores, from memory.
func BenchmarkDecodeAlone(b *testing.B) {
	pngs := icons(benchmarkPictures)
	b.SetBytes(benchmarkPictures * 32 * 32 * 3)
	for b.Loop() {
		parallel(len(pngs), func(i int) {
			if _, err := png.Decode(bytes.NewReader(pngs[i])); err != nil {
				panic(err)
			}
		})
	}
	b.ReportMetric(benchmarkPictures*float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
}

// BenchmarkReadPictures reads the same pictures from a folder, a zip and a tar, without and with what a cache has kept.
func BenchmarkReadPictures(b *testing.B) {
	dir := b.TempDir()
	contents := map[string][]byte{}
	for i, png := range icons(benchmarkPictures) {
		contents[fmt.Sprintf("%d/%06d.png", i%10, i)] = png
	}
	sources := writeEverywhere(b, dir, contents)
	for _, name := range []string{"folder", "a.zip", "a.tar", "a.tar.gz"} {
		for _, cache := range []string{NoCache, filepath.Join(dir, "cache")} {
			kind := "decoded"
			if cache != NoCache {
				kind = "cached"
			}
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(benchmarkPictures * 32 * 32 * 3)
				for b.Loop() {
					s, err := LoadWith(sources[name], Options{Cache: cache})
					if err != nil || s.N() != benchmarkPictures || s.Classes != 10 {
						b.Fatal(err)
					}
				}
				b.ReportMetric(benchmarkPictures*float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
			})
			runtime.GC()
		}
	}
	os.RemoveAll(dir)
}
