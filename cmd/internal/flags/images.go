package flags

import "hbar/data"

// Images are the options of how images, labels, sounds and text are read.
type Images struct {
	Labels string    `json:"labels,omitempty"`
	Range  []float64 `json:"range,omitempty"`
	Resize int       `json:"resize,omitempty"`
	Crop   bool      `json:"crop,omitempty"`
	Length int       `json:"length,omitempty"`
	Text   bool      `json:"text,omitempty"`
	Stride int       `json:"stride,omitempty"`
	Cache  string    `json:"cache,omitempty"`
}

// Define makes their flags.
func (i *Images) Define(g *Group) {
	g.String(&i.Labels, "labels", "FILE|none", "labels, one for each sample: .npy, .idx, or a text of a number or a name a line; none leaves away those that the data carry (idx files beside images, arr_1 of .npz, CIFAR, sub-folders, dataset.json)")
	g.List(&i.Range, "range", "LO,HI", Any, "range of the values of images or sequences, to be mapped to −1 … 1; default: that of bytes, or by looking")
	g.Int(&i.Resize, "resize", "PIXELS", Between(0, 1<<13), "resize images to this many pixels squared; 0 keeps their size")
	g.Bool(&i.Crop, "crop", "first cut images to the square at their centre")
	g.Int(&i.Length, "length", "SAMPLES", Between(0, 1<<30), "cut sounds into pieces of so many samples; an array of n × T or n × T × C with T = SAMPLES is then n sequences, not images; with --text, characters of a window")
	g.Bool(&i.Text, "text", "read a file of any name as text in UTF-8: windows of characters, each character as analog bits, the binary digits of its number among those that the text has (Chen 2022, arXiv:2208.04202)")
	g.Int(&i.Stride, "stride", "CHARACTERS", Between(0, 1<<30), "of text, from the beginning of a window to that of the next; 0: an eighth of a window")
	g.String(&i.Cache, "cache", "DIR|none", "where pictures of folders and archives are kept as they were decoded; default: the user's cache directory")
}

// AddTo writes them into the options that data is loaded with.
func (i Images) AddTo(o data.Options) data.Options {
	o.Labels, o.Range, o.Resize, o.Crop, o.Length, o.Cache = i.Labels, i.Range, i.Resize, i.Crop, i.Length, i.Cache
	if o.Text, o.Stride = i.Text, i.Stride; o.Text && o.Stride == 0 {
		o.Stride = max(1, i.Length/8)
	}
	return o
}
