package ownscore

import (
	"fmt"
	"math"
	"slices"
)

// Kind says what c is made of. σ c is linear in features of y = x/√(α² + σ²) and σ s, with weights that depend on λ alone.
type Kind string

const (
	// Scalars: y_j and σ s_j of a coordinate, two numbers for all coordinates.
	Scalars Kind = "scalars"
	// Coordinates: 1, y_j and σ s_j of a coordinate, three numbers for each coordinate.
	Coordinates Kind = "coordinates"
	// Filters: of images and sequences, 1 and all channels of y and σ s at a position and its neighbours (3×3 or 3; zero outside), for each
	// channel. The numbers are the same at all positions: a convolution.
	Filters Kind = "filters"
	// Cosines: 1, y, σ s and cos(ω·y + b) of a point, a row for each coordinate. In few dimensions.
	Cosines Kind = "cosines"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Scalars, Coordinates, Filters, Cosines} }

// point is one point with its score, or the tangents of both. one is the value of the constant feature: 1, or 0 for tangents.
type point struct {
	x, s             []float64
	norm, sigma, one float64
}

// units are how many places of a point have features of their own, the coordinates that are computed at each, and the number of sets of
// weights.
func (c *Score) units() (places, out, sets int) {
	switch c.Features {
	case Coordinates:
		return c.D, 1, c.D
	case Filters:
		channels := c.Shape[len(c.Shape)-1]
		return c.D / channels, channels, 1
	case Cosines:
		return 1, c.D, 1
	}
	return c.D, 1, 1
}

// features is their number at a place.
func (c *Score) features() int {
	switch c.Features {
	case Coordinates:
		return 3
	case Filters:
		window := 3
		if len(c.Shape) == 3 {
			window = 9
		}
		return 1 + 2*window*c.Shape[len(c.Shape)-1]
	case Cosines:
		return 1 + 2*c.D + len(c.Phase)
	}
	return 2
}

// weightsAtKnot is their number.
func (c *Score) weightsAtKnot() int {
	_, out, sets := c.units()
	return c.features() * out * sets
}

// row writes σ c of one point, uncapped, or its tangent.
func (c *Score) row(dst, phi, w []float64, p point) {
	places, out, sets := c.units()
	n := len(phi) * out
	for at := range places {
		c.fill(phi, p, at)
		of := w[at%sets*n:][:n]
		row := dst[at*out : (at+1)*out]
		clear(row)
		for f, v := range phi {
			for j := range row {
				row[j] += of[f*out+j] * v
			}
		}
	}
}

// fill writes the features of a place.
func (c *Score) fill(phi []float64, p point, at int) {
	switch c.Features {
	case Coordinates:
		phi[0], phi[1], phi[2] = p.one, p.norm*p.x[at], p.sigma*p.s[at]
	case Filters:
		c.window(phi, p, at)
	case Cosines:
		d := c.D
		phi[0] = p.one
		for j := range d {
			phi[1+j], phi[1+d+j] = p.norm*p.x[j], p.sigma*p.s[j]
		}
		for m, b := range c.Phase {
			for j := range d {
				b += c.Omega[m*d+j] * phi[1+j]
			}
			phi[1+2*d+m] = math.Cos(b)
		}
	default:
		phi[0], phi[1] = p.norm*p.x[at], p.sigma*p.s[at]
	}
}

// window writes the features of the positions around one.
func (c *Score) window(phi []float64, p point, at int) {
	channels := c.Shape[len(c.Shape)-1]
	height, width := 1, c.Shape[0]
	if len(c.Shape) == 3 {
		height, width = c.Shape[0], c.Shape[1]
	}
	phi[0] = p.one
	f := 1
	for dy := -1; dy <= 1; dy++ {
		if len(c.Shape) < 3 && dy != 0 {
			continue
		}
		for dx := -1; dx <= 1; dx++ {
			y, x := at/width+dy, at%width+dx
			inside := y >= 0 && y < height && x >= 0 && x < width
			for k := range channels {
				phi[f], phi[f+1] = 0, 0
				if inside {
					j := (y*width+x)*channels + k
					phi[f], phi[f+1] = p.norm*p.x[j], p.sigma*p.s[j]
				}
				f += 2
			}
		}
	}
}

// checkKind refuses features that do not go with the dimensions.
func (c *Score) checkKind() error {
	if !slices.Contains(Kinds(), c.Features) {
		return fmt.Errorf("ownscore: features %q unknown; have %v", c.Features, Kinds())
	}
	if len(c.Omega) != c.D*len(c.Phase) || (c.Features == Cosines) != (len(c.Phase) > 0) {
		return fmt.Errorf("ownscore: %d frequencies for %d cosines in %d dimensions, of features %s", len(c.Omega), len(c.Phase), c.D, c.Features)
	}
	if c.Features != Filters {
		return nil
	}
	size := 1
	for _, n := range c.Shape {
		size *= n
	}
	if len(c.Shape) < 2 || len(c.Shape) > 3 || slices.Min(c.Shape) < 1 || size != c.D {
		return fmt.Errorf("ownscore: filters for the shape %v of %d dimensions; want positions and channels", c.Shape, c.D)
	}
	return nil
}
