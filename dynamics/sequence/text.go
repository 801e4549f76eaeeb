package sequence

import (
	"fmt"
	"slices"

	"hbar/dynamics"
)

// Text is a text as symbols, cut in a part to train on and one that is held out.
type Text struct {
	Symbols     int // symbol 0 is any character that the training part does not have
	Train, Test []int32
	Alphabet    []rune // of symbols 1, 2, …
}

// heldOut is the share of a text, from its end, that is held out.
const heldOut = 0.1

// minText is the number of characters that a comparison needs.
const minText = 10_000

// ReadText makes symbols of a UTF-8 text.
func ReadText(b []byte) (*Text, error) {
	runes, err := dynamics.Characters(b)
	if err != nil {
		return nil, err
	}
	if len(runes) < minText {
		return nil, fmt.Errorf("a text of %d characters; a comparison needs at least %d", len(runes), minText)
	}
	cut := len(runes) - int(heldOut*float64(len(runes)))
	t := &Text{}
	index := map[rune]int32{}
	t.Alphabet = slices.Clone(runes[:cut])
	slices.Sort(t.Alphabet)
	t.Alphabet = slices.Compact(t.Alphabet)
	for i, r := range t.Alphabet {
		index[r] = int32(i + 1)
	}
	t.Symbols = len(t.Alphabet) + 1
	if t.Symbols < 3 || t.Symbols > 4096 {
		return nil, fmt.Errorf("a text with %d different characters; want 2 to 4095", len(t.Alphabet))
	}
	for i, r := range runes {
		if i < cut {
			t.Train = append(t.Train, index[r])
		} else {
			t.Test = append(t.Test, index[r])
		}
	}
	return t, nil
}
