package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
)

// slow is what image/png makes of a file.
func slow(b []byte) (Picture, error) {
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return Picture{}, err
	}
	p := Picture{H: m.Bounds().Dy(), W: m.Bounds().Dx(), Channels: channels(m, b)}
	p.Pix = make([]byte, p.H*p.W*p.Channels)
	toBytes(p.Pix, m, p.Channels)
	p.Blended = !m.(interface{ Opaque() bool }).Opaque()
	return p, nil
}

// samples are PNG files of every kind that the fast way reads, and some that it leaves to image/png.
func samples(t testing.TB) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	var out [][]byte
	for _, size := range [][2]int{{1, 1}, {3, 5}, {32, 32}, {200, 150}} {
		rect := image.Rect(0, 0, size[0], size[1])
		grey, rgb, rgba := image.NewGray(rect), image.NewNRGBA(rect), image.NewNRGBA(rect)
		pal := image.NewPaletted(rect, color.Palette{color.NRGBA{1, 2, 3, 255}, color.NRGBA{200, 9, 9, 77}, color.Gray{9}})
		for len(pal.Palette) < 200 { // fewer than 17 colours take fewer than 8 bits
			pal.Palette = append(pal.Palette, color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255})
		}
		deep := image.NewGray16(rect)
		for y := range size[1] {
			for x := range size[0] {
				// Ramps and noise, so that every filter is the best for some rows.
				v := uint8(3*x + 5*y + int(r.Uint32()%uint32(1+y%7*6)))
				grey.SetGray(x, y, color.Gray{v})
				rgb.SetNRGBA(x, y, color.NRGBA{v, uint8(x * y), uint8(r.Uint32() % 9), 255})
				rgba.SetNRGBA(x, y, color.NRGBA{v, uint8(x * y), uint8(y), uint8(r.Uint32())})
				pal.SetColorIndex(x, y, uint8(r.Uint32()%200))
				deep.SetGray16(x, y, color.Gray16{uint16(r.Uint32())})
			}
		}
		for _, m := range []image.Image{grey, rgb, rgba, pal, deep} {
			for _, level := range []png.CompressionLevel{png.DefaultCompression, png.NoCompression} {
				var b bytes.Buffer
				if err := (&png.Encoder{CompressionLevel: level}).Encode(&b, m); err != nil {
					t.Fatal(err)
				}
				out = append(out, b.Bytes())
			}
		}
	}
	return out
}

func same(a, b Picture) bool {
	return a.H == b.H && a.W == b.W && a.Channels == b.Channels && bytes.Equal(a.Pix, b.Pix)
}

// The fast way takes all but 16 bits a channel, and gives what image/png gives.
func TestFastAgrees(t *testing.T) {
	var f fastPNG
	filters := map[byte]bool{}
	for i, b := range samples(t) {
		want, err := slow(b)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := f.decode(b)
		if deep := b[24] == 16; ok == deep {
			t.Errorf("picture %d, colour type %d of %d bits: taken %v", i, b[25], b[24], ok)
		}
		if !ok {
			continue
		}
		if !same(got, want) || got.Blended != want.Blended {
			t.Errorf("picture %d, colour type %d, %d×%d: other pixels", i, b[25], want.W, want.H)
		}
		rows := bytes.Clone(f.raw) // the filter bytes are still there
		for y := range got.H {
			filters[rows[y*len(rows)/got.H]] = true
		}
	}
	if len(filters) != 5 {
		t.Errorf("the pictures used filters %v; want all five", filters)
	}
}

// mutated is the k-th variant of a PNG: bytes changed, cut, chunks dropped, with checksums of chunks made right again so that
// damage lies deeper.
func mutated(b []byte, r *rand.Rand) []byte {
	out := bytes.Clone(b)
	for range 1 + r.IntN(3) {
		switch at := r.IntN(max(len(out), 1)); r.IntN(4) {
		case 0:
			out[min(at, len(out)-1)] ^= byte(1 << r.IntN(8))
		case 1:
			out[r.IntN(min(len(out), 48))] = byte(r.Uint32())
		case 2:
			out = append(out[:at:at], out[min(at+r.IntN(20), len(out)):]...)
		case 3:
			out = out[:max(at, min(20, len(out)))]
		}
	}
	for at := 8; at+12 <= len(out); {
		n := uint64(binary.BigEndian.Uint32(out[at:]))
		if n > uint64(len(out)-at-12) {
			break
		}
		end := at + 8 + int(n)
		binary.BigEndian.PutUint32(out[end:], crc32.ChecksumIEEE(out[at+4:end]))
		at = end + 4
	}
	return out
}

// What the fast way takes of damaged files, image/png takes too, and makes the same of it; nothing panics.
func TestFastTakesNoMore(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var f fastPNG
	var d Decoder
	taken := 0
	all := samples(t)
	for range 4000 {
		b := mutated(all[r.IntN(30)], r)
		_, _ = d.Decode(b)
		if len(b) < 33 || !bytes.HasPrefix(b, []byte(pngSignature)) || checkPNG(b) != nil {
			continue
		}
		got, ok := f.decode(b)
		if !ok {
			continue
		}
		taken++
		want, err := slow(b)
		if err != nil || !same(got, want) {
			t.Fatalf("taken, but image/png says %v of % x", err, b)
		}
	}
	if taken < 100 {
		t.Errorf("only %d variants could be read; want a test that compares more", taken)
	}
}

// A PNG in many IDAT chunks, as Go writes large ones, reads as well.
func TestManyChunks(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 400, 400))
	for i := range m.Pix {
		m.Pix[i] = byte(i * i >> 3)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b.Bytes(), []byte("IDAT")); n < 3 {
		t.Fatalf("%d chunks", n)
	}
	var f fastPNG
	p, ok := f.decode(b.Bytes())
	if !ok || !bytes.Equal(p.Pix, m.Pix) {
		t.Errorf("taken %v", ok)
	}
}

// Files that declare more than they can hold are refused before room is made for it.
func TestBombs(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 3, 3))); err != nil {
		t.Fatal(err)
	}
	declare := func(w, h uint32) []byte {
		out := bytes.Clone(b.Bytes())
		binary.BigEndian.PutUint32(out[16:], w)
		binary.BigEndian.PutUint32(out[20:], h)
		binary.BigEndian.PutUint32(out[29:], crc32.ChecksumIEEE(out[12:29]))
		return out
	}
	for _, c := range []struct {
		file []byte
		want string
	}{
		{declare(60000, 60000), "declares 60000×60000 pixels; at most 2²⁶"},
		{declare(1<<31-1, 1<<31-1), "at most 2²⁶"},
		{declare(8000, 8000), "which cannot hold them"},
		{declare(0, 5), "declares 0×5"},
		{b.Bytes()[:20], "truncated"},
		{b.Bytes()[:b.Len()-15], "truncated"},
		{nil, "empty"},
		{[]byte("GIF89a"), "neither PNG nor JPEG"},
		{[]byte{0xff, 0xd8, 0xff}, "truncated"},
	} {
		var d Decoder
		_, err := d.Decode(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.30q: %v, want %q", c.file, err, c.want)
		}
	}
	jpegOf := func(w, h uint16) []byte {
		head := []byte{0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), 1, 1, 0x11, 0}
		return append(head, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0x3f, 0, 0xff, 0xd9)
	}
	var d Decoder
	if _, err := d.Decode(jpegOf(8000, 8000)); err == nil || !strings.Contains(err.Error(), "cannot hold them") {
		t.Errorf("JPEG: %v", err)
	}
}
