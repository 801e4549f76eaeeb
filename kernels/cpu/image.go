package cpu

import "hbar/kernels/simd"

// Layers on images [N, H, W, C].

// Upsample writes y [N, 2H, 2W, C]: each pixel of x twice in both directions (nearest neighbour).
func Upsample(t *Team, y, x []float32, n, h, w, c int) {
	want("Upsample", "x", len(x), n*h*w*c)
	want("Upsample", "y", len(y), 4*n*h*w*c)
	t.Run(n*h, func(_, i int) {
		row := 2 * w * c
		in, out := x[i*w*c:], y[2*i*row:]
		for j := range w {
			copy(out[2*j*c:(2*j+1)*c], in[j*c:])
			copy(out[(2*j+1)*c:(2*j+2)*c], in[j*c:])
		}
		copy(out[row:2*row], out[:row])
	})
}

// UpsampleGrad writes dx [N, H, W, C], the sums of four pixels of dy [N, 2H, 2W, C].
func UpsampleGrad(t *Team, dx, dy []float32, n, h, w, c int) {
	want("UpsampleGrad", "dx", len(dx), n*h*w*c)
	want("UpsampleGrad", "dy", len(dy), 4*n*h*w*c)
	t.Run(n*h, func(_, i int) { quads(t.Impl, dx[i*w*c:], dy[4*i*w*c:], 2*w, w, c, 1) })
}

// quads writes to y the sums of 2×2 pixels of two rows of x, each in pixels, times s.
func quads(im *simd.Impl, y, x []float32, in, out, c int, s float32) {
	top, bottom := x[:in*c], x[in*c:]
	for j := range out {
		a, b := top[2*j*c:(2*j+2)*c], bottom[2*j*c:(2*j+2)*c]
		im.Sum4(y[j*c:(j+1)*c], a[:c], a[c:], b[:c], b[c:], s)
	}
}

// AvgPool writes y [N, H/2, W/2, C], the means of 2×2 pixels of x; an odd last row or column is dropped.
func AvgPool(t *Team, y, x []float32, n, h, w, c int) {
	want("AvgPool", "x", len(x), n*h*w*c)
	want("AvgPool", "y", len(y), n*(h/2)*(w/2)*c)
	t.Run(n*(h/2), func(_, i int) {
		s, r := i/(h/2), i%(h/2)
		quads(t.Impl, y[i*(w/2)*c:], x[(s*h+2*r)*w*c:], w, w/2, c, 0.25)
	})
}

// AvgPoolGrad writes dx [N, H, W, C] from dy [N, H/2, W/2, C].
func AvgPoolGrad(t *Team, dx, dy []float32, n, h, w, c int) {
	want("AvgPoolGrad", "dx", len(dx), n*h*w*c)
	want("AvgPoolGrad", "dy", len(dy), n*(h/2)*(w/2)*c)
	im := t.Impl
	t.Run(n*h, func(_, i int) {
		s, r := i/h, i%h
		out := dx[i*w*c : (i+1)*w*c]
		if r/2 == h/2 {
			clear(out)
			return
		}
		in := dy[(s*(h/2)+r/2)*(w/2)*c:]
		for j := range w / 2 {
			im.Scale(out[2*j*c:(2*j+1)*c], in[j*c:(j+1)*c], 0.25)
			copy(out[(2*j+1)*c:(2*j+2)*c], out[2*j*c:])
		}
		clear(out[w/2*2*c:])
	})
}

// CopyColumns copies w columns of rows rows: dst[i·dld + j] = src[i·sld + j]. Concatenating channels is one call for
// each part, splitting them too.
func CopyColumns(t *Team, dst []float32, dld int, src []float32, sld, rows, w int) {
	checkColumns("CopyColumns", dst, dld, src, sld, rows, w)
	rowsAtOnce(t, rows, w, func(i int) { copy(dst[i*dld:i*dld+w], src[i*sld:]) })
}

func checkColumns(op string, dst []float32, dld int, src []float32, sld, rows, w int) {
	if rows > 0 {
		want(op, "dst", len(dst), (rows-1)*dld+w)
		want(op, "src", len(src), (rows-1)*sld+w)
	}
}

// Patchify writes y [N, (H/PH)·(W/PW), PH·PW·C]: patches row by row, and in a patch (row, column, channel) with the
// channel fastest. Sequences are images of height 1. Unpatchify puts them back, and each is the other's gradient.
func Patchify(t *Team, y, x []float32, n, h, w, c, ph, pw int) {
	patches(t, "Patchify", y, x, n, h, w, c, ph, pw, func(patch, image []float32) { copy(patch, image) })
}

// Unpatchify writes x [N, H, W, C] from patches y as Patchify makes them.
func Unpatchify(t *Team, x, y []float32, n, h, w, c, ph, pw int) {
	patches(t, "Unpatchify", y, x, n, h, w, c, ph, pw, func(patch, image []float32) { copy(image, patch) })
}

// patches calls f for each row of each patch, with the elements in y and in x.
func patches(t *Team, op string, y, x []float32, n, h, w, c, ph, pw int, f func(patch, image []float32)) {
	if ph < 1 || pw < 1 || h%ph != 0 || w%pw != 0 {
		panic("cpu: " + op + ": patches do not divide the image")
	}
	want(op, "the image", len(x), n*h*w*c)
	want(op, "the patches", len(y), n*h*w*c)
	run := pw * c
	t.Run(n*(h/ph), func(_, i int) { // a row of patches
		x, y := x[i*ph*w*c:(i+1)*ph*w*c], y[i*ph*w*c:(i+1)*ph*w*c]
		for p := range w / pw {
			for r := range ph {
				o := r*w*c + p*run
				f(y[(p*ph+r)*run:(p*ph+r+1)*run], x[o:o+run])
			}
		}
	})
}
