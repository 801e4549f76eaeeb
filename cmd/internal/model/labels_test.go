package model

import (
	"strings"
	"testing"

	"hbar/checkpoint"
	"hbar/nets"
)

// What a network with classes can be asked for, with and without the label none.
func TestLabels(t *testing.T) {
	c, err := nets.NewDiT([]int{2, 2, 1}, 3, nets.DiTSizes{Patch: 1, Width: 8, Depth: 1, Heads: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		o    Options
		none bool
		want string // of the error; "" for none
	}{
		{Options{Class: "2", Guidance: 1}, true, ""},
		{Options{Class: "none"}, true, ""},
		{Options{InTurn: true, Guidance: 1}, true, ""},
		{Options{Class: "none", Guidance: 1}, true, "guidance is towards a class"},
		{Options{Guidance: 1}, true, "guidance is towards a class"},
		{Options{Class: "3"}, true, "classes 0 to 2"},
		{Options{Class: "2", Guidance: 1}, false, "guidance needs a network that was also trained without labels"},
		{Options{Class: "none", InTurn: true}, false, "never trained without; name one of 0 to 2, or all"},
		{Options{}, false, "trained with label dropout would do"},
		{Options{Class: "all"}, false, ""},
	} {
		if c.ClassDropoutProb = 0; q.none {
			c.ClassDropoutProb = 0.1
		}
		n, err := nets.New(c)
		if err != nil {
			t.Fatal(err)
		}
		m := &Model{Model: &checkpoint.Model{Net: n}}
		if err := m.labels(q.o); (err == nil) != (q.want == "") || err != nil && !strings.Contains(err.Error(), q.want) {
			t.Errorf("class %q, guidance %g, none %v: %v, want %q", q.o.Class, q.o.Guidance, q.none, err, q.want)
		}
	}
}
