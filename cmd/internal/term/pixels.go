package term

import (
	"bytes"
	"fmt"
	"image"
	"io"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/kitty"
	"github.com/charmbracelet/x/ansi/sixel"
)

// drawKitty sends a PNG, in parts, to be shown at the cursor. The terminal is not to answer.
func drawKitty(w io.Writer, m image.Image) error {
	var b bytes.Buffer
	err := kitty.EncodeGraphics(&b, m, &kitty.Options{Action: kitty.TransmitAndPut, Transmission: kitty.Direct, Format: kitty.PNG, Quiet: 2, Chunk: true})
	if err != nil {
		return fmt.Errorf("picture for Kitty: %w", err)
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// Parameters of a sixel picture: the aspect ratio is in its raster attributes, and what is not drawn keeps its colour.
const (
	sixelAspect      = 0
	sixelTransparent = 1
	sixelGrid        = 0
)

// drawSixel writes a picture of at most 256 colours, which are chosen for it.
func drawSixel(w io.Writer, m image.Image) error {
	var b bytes.Buffer
	if err := (&sixel.Encoder{}).Encode(&b, m); err != nil {
		return fmt.Errorf("sixels: %w", err)
	}
	_, err := io.WriteString(w, ansi.SixelGraphics(sixelAspect, sixelTransparent, sixelGrid, b.Bytes())+"\n")
	return err
}
